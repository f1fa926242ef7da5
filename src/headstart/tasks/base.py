"""What a task holds, and how its metrics are computed over rows that may count more than once.

A task is one file with a class ``Task`` (a frozen dataclass, bound to one data set's labels) that says
what a label cell may hold, how many outputs the network has, what is trained on, how logits become
outputs, and by what they are judged. Targets are what :meth:`Task.targets` gives; outputs are always
(n, outputs): probabilities, or numbers in the labels' unit. A row of NaN was not judged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from headstart import registry
from headstart.errors import UsageError, nearest

if TYPE_CHECKING:
    from torch import Tensor

    from headstart.data.dataset import Dataset
    from headstart.types import Array, Finding

__all__ = [
    "NAMES",
    "Collected",
    "Follow",
    "Measure",
    "Task",
    "area",
    "bind",
    "check",
    "known",
    "named",
    "precision",
]

NAMES = {
    "classify": ("classification", "single-label"),
    "multilabel": ("multilabel", "multi-label"),
    "regress": ("regression",),
}
"""File → what users call the task; the first is how headstart writes it."""


@dataclass(frozen=True)
class Measure:
    """A metric.

    Attributes:
        name: as ``--metric`` takes it.
        exact: (targets, outputs) → its value.
        weighted: (targets, outputs, weights (b, n)) → (b,), how it would be if each row counted so
            often; NaN where it can't be had. With weights of one it is ``exact``.
        share: whether it is written in per cent.
        higher: whether more is better.
        ranks: whether it only reads the order of the rows within each output.
        dear: whether a resample costs much more than a sum over rows.
    """

    name: str
    exact: Callable[[Array, Array], float]
    weighted: Callable[[Array, Array, Array], Array]
    share: bool = True
    higher: bool = True
    ranks: bool = False
    dear: bool = False

    @property
    def sign(self) -> int:
        """1, or -1 where less is better: ``sign * value`` rises with the worth of a model."""
        return 1 if self.higher else -1


class Follow(Protocol):
    """The training score of an epoch, batch by batch."""

    def add(self, output: Tensor, wanted: Tensor) -> None:
        """Take in a batch's logits and targets."""

    def value(self) -> float | None:
        """The score of what was taken in; None where it has none."""


class Task(Protocol):
    """What the rest of headstart asks of a task.

    Attributes:
        name: of the file.
        default: the metric that is taken where none is named.
        merge: how logits of several views become one: ``softmax``, ``sigmoid`` or ``mean``.
        classes: names of the outputs; empty for numbers.
        measure: the run's metric.
    """

    name: ClassVar[str]
    default: ClassVar[str]
    merge: ClassVar[str]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the outputs; empty for numbers."""

    @property
    def measure(self) -> Measure:
        """The run's metric."""

    @property
    def outputs(self) -> int:
        """How many outputs the network has."""

    def targets(self, dataset: Dataset) -> Array:
        """Targets of every row: (n,) or (n, outputs)."""

    def inspect(self, dataset: Dataset) -> list[Finding]:
        """What is odd about the labels."""

    def strata(self, targets: Array) -> Array:
        """What a split keeps in proportion: class indices (n,), or labels (n, labels)."""

    def answers(self, logits: Array) -> Array:
        """Outputs (..., outputs) from logits."""

    def losses(self, outputs: Array, targets: Array) -> Array:
        """How wrong each row's outputs are, (n,): what choices on held-out rows rest on."""

    def marks(self, outputs: Array, targets: Array) -> Array:
        """How good each row's outputs are, (n,), to count rows that one of two models has better."""

    def wanted(self, targets: Array) -> Tensor:
        """Targets as a tensor that :meth:`loss` reads."""

    def weights(self, targets: Array) -> Array | None:
        """Weights of the outputs that even out rare and frequent ones; None where there are none."""

    def loss(
        self,
        output: Tensor,
        wanted: Tensor,
        weights: Array | None,
        smoothing: float,
        reduction: str = "mean",
    ) -> Tensor:
        """The loss of a batch, as torch's losses take it: the mean, or the sum."""

    def stopping(self, logits: Array, targets: Array) -> float:
        """The mean loss of rows, by which early stopping judges."""

    def follow(self) -> Follow:
        """A new training score."""

    def facts(self) -> dict[str, Any]:
        """What a bundle must know to turn logits into outputs."""


class Collected:
    """Keeps an epoch's outputs and scores them at its end.

    Args:
        task: whose metric is taken.
        back: from what :meth:`Task.wanted` gave to targets.
    """

    def __init__(self, task: Task, back: Callable[[Array], Array]) -> None:
        self._task, self._back = task, back
        self._outputs: list[Array] = []
        self._wanted: list[Array] = []

    def add(self, output: Tensor, wanted: Tensor) -> None:
        """Take in a batch."""
        self._outputs.append(output.detach().float().cpu().numpy())
        self._wanted.append(wanted.detach().cpu().numpy())

    def value(self) -> float | None:
        """The metric of all batches; None where it can't be had."""
        outputs = self._task.answers(np.concatenate(self._outputs).astype(np.float64))
        return known(self._task.measure.exact(self._back(np.concatenate(self._wanted)), outputs))


def known(value: float) -> float | None:
    """A finite value, or None: a metric of rows of one class alone may have none."""
    return value if np.isfinite(value) else None


def named(name: str) -> str:
    """The file of a task by what users call it.

    >>> named("Multi-Label"), named("regression")
    ('multilabel', 'regress')

    Raises:
        UsageError: there is no such task.
    """
    for file, words in NAMES.items():
        if name.strip().lower() in (file, *words):
            return file
    raise UsageError(
        f"There is no task {name!r}.", nearest(name, ["auto", *(w[0] for w in NAMES.values())])
    )


def check(task: str, metric: str) -> Measure:
    """A task's metric by its name.

    Raises:
        UsageError: the task has no such metric; one that another task has is told apart.
    """
    own: dict[str, Measure] = registry.load("tasks", task).MEASURES
    if metric in own:
        return own[metric]
    others = [
        NAMES[other][0]
        for other in registry.names("tasks")
        if metric in registry.load("tasks", other).MEASURES
    ]
    if others:
        raise UsageError(
            f"{metric} is a metric for {' and '.join(others)}, and this is {NAMES[task][0]}.",
            f"Allowed here: {', '.join(own)}. Or name the task: --task {others[0]}",
        )
    raise UsageError(f"There is no metric {metric!r}.", nearest(metric, own))


def bind(name: str, dataset: Dataset, metric: str) -> Task:
    """A task for a data set's labels."""
    made: Task = registry.load("tasks", name).Task.of(dataset, metric)
    return made


def columns(
    one: Callable[[Array, Array, Array], Array],
) -> Callable[[Array, Array, Array], Array]:
    """The mean over columns of a weighted metric of one column; columns without a value don't count."""

    def every(hot: Array, outputs: Array, weights: Array) -> Array:
        found = np.stack([one(hot[:, i], outputs[:, i], weights) for i in range(hot.shape[1])])
        known = ~np.isnan(found)
        total: Array = np.where(known, found, 0.0).sum(axis=0)
        count = known.sum(axis=0)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    return every


def area(positive: Array, scores: Array, weights: Array) -> Array:
    """Area under the ROC curve for rows that count so often; ties count half.

    It is the share of pairs of a positive and a negative row in the right order (Hanley and McNeil
    1982): one sort serves every resample.

    Args:
        positive: (n,) 0 or 1.
        scores: (n,).
        weights: (b, n).

    Returns:
        (b,); NaN where a resample has positive or negative rows alone.

    >>> area(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]), np.ones((1, 4))).tolist()
    [0.75]
    """
    own, others = _groups(positive, scores, weights)
    below = np.cumsum(others, axis=1) - others
    pairs = own.sum(axis=1) * others.sum(axis=1)
    right = (own * (below + 0.5 * others)).sum(axis=1)
    return np.where(pairs > 0, right / np.maximum(pairs, 1e-12), np.nan)


def precision(positive: Array, scores: Array, weights: Array) -> Array:
    """Average precision for rows that count so often: Σ (recall - recall before) · precision.

    Args and result as of :func:`area`; NaN where a resample has no positive row.

    >>> precision(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]), np.ones((1, 4))).round(4).tolist()
    [0.8333]
    """
    own, others = (part[:, ::-1] for part in _groups(positive, scores, weights))
    found, taken = np.cumsum(own, axis=1), np.cumsum(own + others, axis=1)
    total = own.sum(axis=1)
    value = (own * found / np.maximum(taken, 1e-12)).sum(axis=1)
    return np.where(total > 0, value / np.maximum(total, 1e-12), np.nan)


def _groups(positive: Array, scores: Array, weights: Array) -> tuple[Array, Array]:
    """Weights of the positive and of the negative rows at each distinct score, lowest first."""
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    drawn = weights[:, order].astype(np.float64)
    hot = positive[order].astype(np.float64)
    own = np.add.reduceat(drawn * hot, starts, axis=1)
    return own, np.add.reduceat(drawn, starts, axis=1) - own


def macro(
    one: Callable[[Array, Array], float], hot: Array, outputs: Array, both: bool = True
) -> float:
    """The mean over columns of scikit-learn's metric of one column.

    Args:
        one: such as ``roc_auc_score``.
        hot: (n, c) 0 or 1.
        outputs: (n, c).
        both: leave out columns without a 0 as well as those without a 1.
    """
    means = hot.mean(axis=0)
    usable: Sequence[int] = np.flatnonzero((means > 0) & ((means < 1) | (not both))).tolist()
    if not usable:
        return float("nan")
    return float(np.mean([one(hot[:, i], outputs[:, i]) for i in usable]))
