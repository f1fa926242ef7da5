"""What the estimators share: how their input becomes numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from headstart.errors import InputError
from headstart.workflow import frozen

if TYPE_CHECKING:
    from headstart.types import Array
    from headstart.workflow.frozen import Inputs

__all__ = ["Reading"]

MOST_SEED = 2**31 - 1


class Reading(BaseEstimator):  # type: ignore[misc]
    """An estimator that reads numbers, pictures or texts.

    What ``X`` is, is settled by ``fit`` and then holds for every other method.
    """

    source: str
    image: Any
    text: Any
    modality: str
    random_state: Any

    def __getstate__(self) -> dict[str, Any]:
        """The state without engines at work, which belong to this process."""
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_working"}

    def _seed(self) -> int:
        """A seed for the workflow; a number stands for itself."""
        if isinstance(self.random_state, int | np.integer) and self.random_state >= 0:
            return int(self.random_state) % (MOST_SEED + 1)
        return int(check_random_state(self.random_state).randint(MOST_SEED))

    def _begin(self, X: Any) -> Inputs | None:
        """Forget the last fit and settle what ``X`` is; None: numbers."""
        for name in [name for name in vars(self) if name.endswith("_") and name[0] != "_"]:
            delattr(self, name)
        self._working: dict[str, Any] = {}
        inputs = frozen.recognise(X, image=self.image, text=self.text, modality=self.modality)
        self.modality_ = "array" if inputs is None else inputs.modality
        if inputs is None:
            return None
        if not inputs.rows:
            raise InputError("X is empty: found 0 sample(s), at least 1 is needed.")
        if inputs.column is not None:
            self.n_features_in_ = 1
            self.feature_names_in_ = np.array([inputs.column], dtype=object)
        self.source_ = frozen.settle(self.source, self.modality_)
        self.source_key_ = frozen.find(self.source_, self.modality_).key
        return inputs

    def _need_targets(self, inputs: Inputs, y: Any) -> None:
        """Check that there is one target for each row.

        Raises:
            ValueError: there isn't.
        """
        if y is None:
            raise InputError(
                f"{type(self).__name__} requires y to be passed, but the target y is None."
            )
        check_consistent_length(inputs.rows, y)

    def _given(self, X: Any) -> Inputs | None:
        """``X`` of another method than ``fit``, as what was fitted; None: numbers."""
        check_is_fitted(self)
        if self.modality_ == "array":
            return None
        image, text = self.image, self.text
        if hasattr(self, "feature_names_in_") and hasattr(X, "columns"):
            name = self.feature_names_in_[0]
            image, text = (name, None) if self.modality_ == "image" else (None, name)
        return frozen.recognise(X, image=image, text=text, modality=self.modality_)

    def _numbers(self, X: Any) -> Array:
        """A matrix (n, width): ``X`` itself where it holds numbers, otherwise its features."""
        inputs = self._given(X)
        if inputs is not None:
            return self._features(inputs)
        out: Array = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        return out

    def _features(self, inputs: Inputs) -> Array:
        """Frozen features, float32 (n, width), of the source model that was fitted with."""
        source = frozen.find(self.source_, inputs.modality, self.source_key_)
        working = self.__dict__.setdefault("_working", {})
        return frozen.extract(inputs, source, working)
