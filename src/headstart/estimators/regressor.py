"""``HeadstartRegressor``: ridge regression on frozen features, or on numbers, as an estimator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_array, validate_data

from headstart.estimators.reading import Reading
from headstart.workflow import heads

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = ["HeadstartRegressor"]


class HeadstartRegressor(RegressorMixin, Reading):  # type: ignore[misc]
    """Predict numbers from pictures or texts by a pretrained model's features, or from numbers.

    Ridge regression on standardised features, its penalty chosen by leave-one-out (scikit-learn's
    ``RidgeCV``), for each output on its own. What ``X`` may be: as for
    :class:`~headstart.estimators.classifier.HeadstartClassifier`.

    Args:
        source: as for ``HeadstartClassifier``.
        image, text: the column of a table that holds the pictures or the texts.
        modality: ``auto``, ``array``, ``image`` or ``text``.

    Attributes:
        modality_: ``array``, ``image`` or ``text``.
        n_features_in_, feature_names_in_: of numbers and tables.
        source_: the source model that was taken, for pictures and texts.
        coef_: (width,), or (outputs, width); on the features as they come.
        intercept_: a number, or (outputs,).
        penalty_: the chosen L2 penalty for each row, on standardised features; a number or
            (outputs,).

    Raises:
        InputError: (a ValueError) a row can't be used, and its number is named; ``X`` is none of the
            above.
        HeadstartError: the source model can't be had.

    Example:
        >>> from sklearn.datasets import load_diabetes
        >>> from sklearn.model_selection import cross_val_score
        >>> X, y = load_diabetes(return_X_y=True)
        >>> bool(cross_val_score(HeadstartRegressor(), X, y).mean() > 0.4)
        True
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

    def fit(self, X: Any, y: Any) -> HeadstartRegressor:
        """Learn from rows ``X`` (n ≥ 2) and numbers ``y``, (n,) or (n, outputs); returns itself."""
        inputs = self._begin(X)
        if inputs is None:
            X, y = validate_data(
                self,
                X,
                y,
                dtype=[np.float64, np.float32],
                multi_output=True,
                y_numeric=True,
                ensure_min_samples=2,
            )
        else:
            self._need_targets(inputs, y)
            y = check_array(y, ensure_2d=False, input_name="y", ensure_min_samples=2)
        head = heads.regress(X if inputs is None else self._features(inputs), y)
        one = np.ndim(y) == 1
        self.coef_ = head.weight[0] if one else head.weight
        self.intercept_ = float(head.bias[0]) if one else head.bias
        self.penalty_ = float(head.penalty[0]) if one else head.penalty
        return self

    def predict(self, X: Any) -> Array:
        """Numbers, float64 (n,) or (n, outputs), as ``y`` was."""
        out: Array = self._numbers(X).astype(np.float64) @ self.coef_.T + self.intercept_
        return out

    def __sklearn_tags__(self) -> Any:
        """Several outputs are fine."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
