"""Single-label classification: one of several classes for each row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from headstart.errors import UsageError, nearest
from headstart.tasks import base

if TYPE_CHECKING:
    from torch import Tensor

    from headstart.data.dataset import Dataset
    from headstart.types import Array, Finding

__all__ = [
    "CLASSIFY",
    "MEASURES",
    "METRICS",
    "Task",
    "class_weights",
    "confusion",
    "metric",
    "score",
    "softmax",
    "tallies",
]


def accuracy(hits: Array, support: Array, predicted: Array) -> Array:
    """Share of rows whose class is predicted right."""
    out: Array = hits.sum(axis=-1) / np.maximum(support.sum(axis=-1), 1e-12)
    return out


def balanced_accuracy(hits: Array, support: Array, predicted: Array) -> Array:
    """Mean over the classes present of the share of their rows predicted right."""
    recall = hits / np.maximum(support, 1e-12)
    present = support > 0
    out: Array = (recall * present).sum(axis=-1) / np.maximum(present.sum(axis=-1), 1)
    return out


def macro_f1(hits: Array, support: Array, predicted: Array) -> Array:
    """Mean over the classes present or predicted of F1 = 2·hits / (support + predicted)."""
    both = support + predicted
    present = both > 0
    f1 = 2 * hits / np.maximum(both, 1e-12)
    out: Array = (f1 * present).sum(axis=-1) / np.maximum(present.sum(axis=-1), 1)
    return out


METRICS: dict[str, Callable[[Array, Array, Array], Array]] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "macro_f1": macro_f1,
}
"""Metrics of the predicted classes alone, from counts of each class."""


def metric(name: str) -> Callable[[Array, Array, Array], Array]:
    """A metric by name, as a function of hits, support and predictions of each class.

    Raises:
        UsageError: there is no such metric.
    """
    if name not in METRICS:
        raise UsageError(f"There is no metric {name!r}.", nearest(name, METRICS))
    return METRICS[name]


def tallies(
    targets: Array, predicted: Array, classes: int, weights: Array | None = None
) -> tuple[Array, ...]:
    """Hits, support and predictions of each class, each (..., classes).

    Args:
        targets, predicted: (n,) class indices.
        classes: number of classes.
        weights: (b, n) how often each row counts in each of b resamples; None counts each once.
    """
    hot = np.eye(classes)
    hit = hot[targets] * (targets == predicted)[:, None]
    parts = (hit, hot[targets], hot[predicted])
    if weights is None:
        return tuple(part.sum(axis=0) for part in parts)
    return tuple(weights @ part for part in parts)


def score(name: str, targets: Array, probabilities: Array) -> float:
    """A metric of probabilities (n, classes) against class indices (n,)."""
    classes = probabilities.shape[1]
    return float(metric(name)(*tallies(targets, probabilities.argmax(axis=1), classes)))


def confusion(targets: Array, predicted: Array, classes: int) -> Array:
    """Counts (classes, classes): rows are the true class, columns the predicted one."""
    out = np.zeros((classes, classes), np.int64)
    np.add.at(out, (targets, predicted), 1)
    return out


def softmax(logits: Array) -> Array:
    """Probabilities from logits along the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    raised = np.exp(shifted)
    out: Array = raised / raised.sum(axis=-1, keepdims=True)
    return out


def class_weights(targets: Array) -> Array:
    """A weight for each class, float32 (classes,): rows / (classes present · rows of the class).

    A class without rows has weight 1, which nothing uses.

    >>> class_weights(np.array([0, 0, 0, 1])).tolist()
    [0.6666666865348816, 2.0]
    """
    counts = np.bincount(targets)
    present = counts > 0
    out: Array = np.ones(len(counts), np.float32)
    out[present] = len(targets) / (present.sum() * counts[present])
    return out


def _counted(name: str) -> base.Measure:
    def weighted(targets: Array, outputs: Array, weights: Array) -> Array:
        classes = outputs.shape[1]
        return METRICS[name](*tallies(targets, outputs.argmax(axis=1), classes, weights))

    return base.Measure(name, lambda targets, outputs: score(name, targets, outputs), weighted)


def _one_vs_rest(targets: Array, outputs: Array) -> tuple[Array, Array]:
    """Whether each row is of each class, and the outputs; of two classes the second alone."""
    hot = np.eye(outputs.shape[1])[targets]
    return (hot[:, 1:], outputs[:, 1:]) if outputs.shape[1] == 2 else (hot, outputs)


def _auroc(targets: Array, outputs: Array) -> float:
    from sklearn.metrics import roc_auc_score

    return base.macro(roc_auc_score, *_one_vs_rest(targets, outputs))


def _average_precision(targets: Array, outputs: Array) -> float:
    from sklearn.metrics import average_precision_score

    hot = np.eye(outputs.shape[1])[targets]
    return base.macro(average_precision_score, hot, outputs, both=False)


MEASURES = {
    **{name: _counted(name) for name in METRICS},
    "auroc": base.Measure(
        "auroc",
        _auroc,
        lambda t, o, w: base.columns(base.area)(*_one_vs_rest(t, o), w),
        ranks=True,
        dear=True,
    ),
    "average_precision": base.Measure(
        "average_precision",
        _average_precision,
        lambda t, o, w: base.columns(base.precision)(np.eye(o.shape[1])[t], o, w),
        ranks=True,
        dear=True,
    ),
}
"""Every metric; AUROC and average precision are one-vs-rest, the mean over the classes (AUROC of two
classes is the usual one)."""


class _Hits:
    """Training accuracy, batch by batch."""

    def __init__(self) -> None:
        self._right = self._rows = 0

    def add(self, output: Tensor, wanted: Tensor) -> None:
        """Take in a batch."""
        self._right += int((output.argmax(dim=1) == wanted).sum())
        self._rows += len(wanted)

    def value(self) -> float | None:
        """The share of right answers."""
        return self._right / self._rows


@dataclass(frozen=True)
class Task:
    """Single-label classification: targets (n,) class indices, outputs (n, classes) that sum to 1.

    Attributes:
        classes: names, in the order of the outputs.
        metric: one of :data:`MEASURES`.
    """

    classes: tuple[str, ...] = ()
    metric: str = "accuracy"

    name: ClassVar[str] = "classify"
    default: ClassVar[str] = "accuracy"
    merge: ClassVar[str] = "softmax"

    @classmethod
    def of(cls, dataset: Dataset, metric: str) -> Task:
        """The task for a data set's classes."""
        return cls(tuple(dataset.classes), metric)

    @property
    def measure(self) -> base.Measure:
        """The run's metric."""
        return MEASURES[self.metric]

    @property
    def outputs(self) -> int:
        """The number of classes."""
        return len(self.classes)

    def targets(self, dataset: Dataset) -> Array:
        """(n,) class indices."""
        numbers = {name: number for number, name in enumerate(self.classes)}
        return np.array([numbers[str(row.label)] for row in dataset.rows])

    def inspect(self, dataset: Dataset) -> list[Finding]:
        """Class counts, and whether they are lopsided."""
        from headstart.data.lint import inspect_classes

        return inspect_classes(dataset.counts)

    def strata(self, targets: Array) -> Array:
        """The classes themselves."""
        return targets

    def answers(self, logits: Array) -> Array:
        """Probabilities."""
        return softmax(logits)

    def losses(self, outputs: Array, targets: Array) -> Array:
        """Log loss of each row, in nats."""
        chance = outputs[np.arange(len(targets)), targets]
        out: Array = -np.log(np.maximum(chance, 1e-7))
        return out

    def marks(self, outputs: Array, targets: Array) -> Array:
        """1 where the class is right."""
        out: Array = (outputs.argmax(axis=1) == targets).astype(float)
        return out

    def wanted(self, targets: Array) -> Tensor:
        """Class indices."""
        import torch

        return torch.from_numpy(targets)

    def weights(self, targets: Array) -> Array | None:
        """A weight for each class."""
        return class_weights(targets)

    def loss(
        self,
        output: Tensor,
        wanted: Tensor,
        weights: Array | None,
        smoothing: float,
        reduction: str = "mean",
    ) -> Tensor:
        """Cross-entropy."""
        import torch

        weight: Any = None
        if weights is not None:
            full = np.ones(output.shape[1], np.float32)
            full[: len(weights)] = weights
            weight = torch.from_numpy(full).to(output.device)
        return torch.nn.functional.cross_entropy(
            output, wanted, weight=weight, label_smoothing=smoothing, reduction=reduction
        )

    def stopping(self, logits: Array, targets: Array) -> float:
        """Mean log loss."""
        found = logits - logits.max(axis=1, keepdims=True)
        own = found[np.arange(len(found)), targets]
        return float((np.log(np.exp(found).sum(axis=1)) - own).mean())

    def follow(self) -> base.Follow:
        """Training accuracy."""
        return _Hits()

    def facts(self) -> dict[str, Any]:
        """Nothing besides the classes."""
        return {}


CLASSIFY = Task()
