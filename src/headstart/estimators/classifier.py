"""``HeadstartClassifier``: a cross-validated linear probe, or the whole of ``fit``, as an estimator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import ClassifierMixin
from sklearn.utils import assert_all_finite
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d, validate_data

from headstart.errors import InputError, nearest
from headstart.estimators.reading import Reading
from headstart.workflow import carried, heads

if TYPE_CHECKING:
    from headstart.types import Array
    from headstart.workflow.frozen import Inputs

__all__ = ["HeadstartClassifier"]

METHODS = ("linear_probe", "fit")


class HeadstartClassifier(ClassifierMixin, Reading):  # type: ignore[misc]
    """Classify pictures or texts by a pretrained model's features, or rows of numbers as they are.

    The features of pictures and texts are extracted once and cached on disk, so that
    cross-validation and grid searches over them cost little more than one pass. On them (or on
    standardised numbers) a linear probe is solved, its penalty chosen by cross-validation inside the
    rows given.

    ``X`` is told apart as follows, once, by ``fit``:

    * numbers: a 2-D array, a list of rows, a table of numeric columns;
    * pictures: ``Path`` objects, strings that end like a picture's file (``.jpg``, ``.png``, …),
      Pillow images, ``uint8`` arrays (height, width[, channels]) in a list, or one array (n, height,
      width, channels) of ``uint8`` or of floats from 0 to 1;
    * texts: all other strings, in a list, a Series or an array;
    * a table with a column of pictures or texts: that column.

    Args:
        source: the source model of pictures or texts, as in ``headstart zoo``; ``auto`` takes
            EfficientNet-Lite0 for pictures, and for texts the best on this machine of those that
            were measured (docs/sources.md). Not used for numbers.
        method: ``linear_probe``, or ``fit`` (pictures alone): the whole of :func:`headstart.fit`,
            which tries dearer methods, seals a quarter of the rows for its verdict and takes minutes.
        image, text: the column of a table that holds the pictures or the texts; None looks for the
            only column of strings or pictures.
        modality: ``auto`` (the rules above), ``array`` (numbers), ``image`` or ``text``.
        class_weight: None, ``balanced`` (every class counts alike), or class → weight. For
            ``linear_probe``.
        budget: of ``method="fit"``: ``90s``, ``10m`` or seconds; None as in :func:`headstart.fit`.
        random_state: of the folds and all else that is random: a number from 0 to 2147483647 (the
            same as the seed of :func:`headstart.fit`), a ``RandomState``, or None.

    Attributes:
        classes_: (classes,), sorted.
        modality_: ``array``, ``image`` or ``text``.
        n_features_in_, feature_names_in_: of numbers and tables.
        source_: the source model that was taken, for pictures and texts.
        coef_, intercept_: of the probe, on the features as they come: (1, width) and (1,) for two
            classes, otherwise (classes, width) and (classes,).
        penalty_: the probe's chosen L2 penalty.
        log_loss_: of the probe in nats, by cross-validation inside the rows given; the smallest of
            those on the path, so a little optimistic.
        summary_, report_: of ``method="fit"``: what ``headstart fit --json`` prints, the verdict and
            the rows that were left out included; and the report, a page of HTML.

    Raises:
        InputError: (a ValueError) a row can't be used, and its number is named; there is one class;
            ``X`` is none of the above.
        HeadstartError: the source model can't be had, or as :func:`headstart.fit`.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.model_selection import cross_val_score
        >>> bool(cross_val_score(HeadstartClassifier(), *load_iris(return_X_y=True)).mean() > 0.9)
        True
    """

    def __init__(
        self,
        source: str = "auto",
        *,
        method: str = "linear_probe",
        image: Any = None,
        text: Any = None,
        modality: str = "auto",
        class_weight: Any = None,
        budget: str | float | None = None,
        random_state: Any = 0,
    ) -> None:
        self.source = source
        self.method = method
        self.image = image
        self.text = text
        self.modality = modality
        self.class_weight = class_weight
        self.budget = budget
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> HeadstartClassifier:
        """Learn from rows ``X`` (n) and their classes ``y`` (n,); returns the estimator."""
        if self.method not in METHODS:
            raise InputError(
                f"There is no method {self.method!r}.", nearest(str(self.method), METHODS)
            )
        inputs = self._begin(X)
        if inputs is None:
            X, y = validate_data(self, X, y, dtype=[np.float64, np.float32])
        else:
            self._need_targets(inputs, y)
            y = column_or_1d(y, warn=True)
            assert_all_finite(y, input_name="y")
        check_classification_targets(y)
        classes, targets = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise InputError(
                f"y has only one class, {classes.tolist()[0]!r}; at least two classes are needed."
            )
        self.classes_: Array = classes
        if self.method == "fit":
            self._whole(inputs, targets)
        else:
            self._probe(X if inputs is None else self._features(inputs), y, targets, inputs is None)
        return self

    def decision_function(self, X: Any) -> Array:
        """Scores: (n,) for two classes, positive for the second one; otherwise (n, classes)."""
        if hasattr(self, "carried_"):
            logs = np.log(np.maximum(self.predict_proba(X), 1e-300))
            margins: Array = logs[:, 1] - logs[:, 0] if len(self.classes_) == 2 else logs
            return margins
        out: Array = self._numbers(X).astype(np.float64) @ self.coef_.T + self.intercept_
        return out[:, 0] if len(self.classes_) == 2 else out

    def predict_proba(self, X: Any) -> Array:
        """Probabilities (n, classes), in the order of ``classes_``."""
        inputs = self._given(X)
        if inputs is not None and hasattr(self, "carried_"):
            working = self.__dict__.setdefault("_working", {})
            if "model" not in working:
                working["model"] = self.carried_.model()
            carry: Array = carried.probabilities(working["model"], inputs, self._names())
            return carry
        scores = self.decision_function(X)
        out: Array = (
            np.stack([expit(-scores), expit(scores)], axis=1)
            if scores.ndim == 1
            else softmax(scores, axis=1)
        )
        return out

    def predict(self, X: Any) -> Array:
        """The most probable class of each row, (n,)."""
        scores = self.decision_function(X)
        best = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
        out: Array = self.classes_[best]
        return out

    def _probe(self, features: Array, y: Array, targets: Array, numbers: bool) -> None:
        """Solve the probe."""
        weights = None
        if self.class_weight is not None:
            each = compute_class_weight(self.class_weight, classes=self.classes_, y=y)
            weights = each[targets]
        head = heads.classify(
            features, targets, weights=weights, seed=self._seed(), standardise=numbers
        )
        two = len(self.classes_) == 2
        self.coef_ = head.weight[1:] - head.weight[:1] if two else head.weight
        self.intercept_ = head.bias[1:] - head.bias[:1] if two else head.bias
        self.penalty_, self.log_loss_ = float(head.penalty), float(head.loss)

    def _whole(self, inputs: Inputs | None, targets: Array) -> None:
        """Hand over to ``fit``, and keep its bundle."""
        if inputs is None:
            raise InputError(
                "method='fit' transfers a network to pictures, and X holds numbers.",
                "For numbers: method='linear_probe'",
            )
        if self.class_weight is not None:
            raise InputError("method='fit' takes no class_weight.", "Leave it None.")
        self.carried_ = carried.fit_rows(
            inputs,
            targets.tolist(),
            self._names(),
            source=self.source_,
            budget=self.budget,
            seed=self._seed(),
        )
        self.summary_, self.report_ = self.carried_.summary, self.carried_.report

    def _names(self) -> list[str]:
        """The classes as text, by which a bundle knows them; by number where two would be alike."""
        names = [str(name).strip() for name in self.classes_]
        unique = len(set(names)) == len(names) and all(names)
        return names if unique else [str(number) for number in range(len(names))]
