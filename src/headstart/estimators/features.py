"""``HeadstartFeatures``: frozen features of pictures and texts, as a transformer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import TransformerMixin
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted, validate_data

from headstart.estimators.reading import Reading
from headstart.workflow import frozen

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = ["HeadstartFeatures"]


class HeadstartFeatures(TransformerMixin, Reading):  # type: ignore[misc]
    """Turn pictures or texts into a pretrained model's features, for any estimator after it.

    Nothing is learned from pictures and texts: ``fit`` settles what ``X`` is and which source model
    reads it, and ``transform`` extracts (or takes from the cache) one vector for each row. Numbers
    are standardised: each column to mean 0 and variance 1 over the rows that were fitted. What ``X``
    may be: as for :class:`~headstart.estimators.classifier.HeadstartClassifier`.

    Args:
        source: as for ``HeadstartClassifier``.
        image, text: the column of a table that holds the pictures or the texts.
        modality: ``auto``, ``array``, ``image`` or ``text``.

    Attributes:
        modality_: ``array``, ``image`` or ``text``.
        n_features_in_, feature_names_in_: of numbers and tables.
        source_: the source model that was taken, for pictures and texts.
        mean_, scale_: (columns,), of numbers.

    Raises:
        InputError: (a ValueError) a row can't be used, and its number is named; ``X`` is none of the
            above.
        HeadstartError: the source model can't be had.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> HeadstartFeatures().fit_transform(load_iris().data).shape
        (150, 4)
    """

    def __init__(
        self,
        source: str = "auto",
        *,
        image: Any = None,
        text: Any = None,
        modality: str = "auto",
    ) -> None:
        self.source = source
        self.image = image
        self.text = text
        self.modality = modality

    def fit(self, X: Any, y: Any = None) -> HeadstartFeatures:
        """Settle what ``X`` is; of numbers, learn each column's mean and spread. ``y`` isn't read."""
        inputs = self._begin(X)
        if inputs is None:
            X = validate_data(self, X, dtype=[np.float64, np.float32])
            scaler = StandardScaler().fit(X.astype(np.float64))
            self.mean_, self.scale_ = scaler.mean_, scaler.scale_
            return self
        source = frozen.find(self.source_, self.modality_)
        self._stem, self._width = source.title.replace(":", "_").replace("/", "_"), source.width
        return self

    def transform(self, X: Any) -> Array:
        """Features, float32 (n, width); the same width for every ``X``."""
        found = self._numbers(X)
        if self.modality_ == "array":
            found = (found - self.mean_) / self.scale_
        return found.astype(np.float32)

    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """Names (width,): the columns' own for numbers, otherwise ``efficientnet_lite0_17``."""
        check_is_fitted(self)
        if self.modality_ == "array":
            names: Array = _check_feature_names_in(self, input_features)
            return names
        return np.array([f"{self._stem}_{number}" for number in range(self._width)], dtype=object)

    def __sklearn_tags__(self) -> Any:
        """float32 comes out, whatever goes in."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
