"""Multi-label classification: any number of labels for each row, none included."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from headstart.errors import DataError
from headstart.tasks import base
from headstart.types import Finding

if TYPE_CHECKING:
    from torch import Tensor

    from headstart.data.dataset import Dataset
    from headstart.types import Array

__all__ = ["LEVEL", "MEASURES", "Task", "per_label", "readable"]

LEVEL = 0.5
"""A label is predicted from this probability on."""
HEAVIEST = 100.0
"""Largest weight of a rare label's rows."""


def readable(dataset: Dataset) -> Dataset:
    """Refuse data in which no label can be learned.

    Raises:
        DataError: there is no label, or every row has the same ones.
    """
    held = {frozenset(dataset.labels(row)) for row in dataset.rows}
    if len(held) < 2 or not dataset.classes:
        what = "no label" if not dataset.classes else "the same labels in every row"
        raise DataError(
            f"{dataset.where} has {what}, so there is nothing to learn.",
            "Name the column that holds the labels, and what stands between them: "
            "--label COLUMN --label-delim '|'",
        )
    return dataset


def testable(dataset: Dataset) -> tuple[tuple[str, ...], list[Finding]]:
    """Labels that can be both learned and tested, and a finding about those that can't."""
    everywhere: Counter[str] = Counter()
    trained: set[str] = set()
    for row in dataset.rows:
        held = set(dataset.labels(row))
        everywhere.update(held)
        if row.part in (None, "train"):
            trained |= held
    kept = tuple(n for n in dataset.classes if everywhere[n] > 1 and n in trained)
    gone = sorted(set(dataset.classes) - set(kept))
    if not kept:
        raise DataError(
            f"No label of {dataset.where} is held by two rows, one of them to learn from.",
            "Check what stands between the labels: --label-delim '|'",
        )
    if not gone:
        return kept, []
    text = (
        f"{len(gone)} labels were left out, for want of {dataset.noun}s to learn from and to test on: "
        f"{', '.join(gone[:12])}."
    )
    return kept, [Finding("class-left-out", "warning", text)]


def _predicted(outputs: Array) -> Array:
    out: Array = (outputs >= LEVEL).astype(np.float64)
    return out


def _weighted_f1(targets: Array, outputs: Array, weights: Array) -> Array:
    said = _predicted(outputs)
    hits, both = weights @ (targets * said), weights @ (targets + said)
    out: Array = (2 * hits / np.maximum(both, 1e-12)).mean(axis=1)
    return out


def _weighted_subset(targets: Array, outputs: Array, weights: Array) -> Array:
    right = (_predicted(outputs) == targets).all(axis=1).astype(np.float64)
    out: Array = weights @ right / np.maximum(weights.sum(axis=1), 1e-12)
    return out


def _f1(targets: Array, outputs: Array) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(targets, _predicted(outputs), average="macro", zero_division=0))


def _subset(targets: Array, outputs: Array) -> float:
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(targets, _predicted(outputs)))


def _auroc(targets: Array, outputs: Array) -> float:
    from sklearn.metrics import roc_auc_score

    return base.macro(roc_auc_score, targets, outputs)


def _average_precision(targets: Array, outputs: Array) -> float:
    from sklearn.metrics import average_precision_score

    return base.macro(average_precision_score, targets, outputs, both=False)


MEASURES = {
    "average_precision": base.Measure(
        "average_precision",
        _average_precision,
        base.columns(base.precision),
        ranks=True,
        dear=True,
    ),
    "auroc": base.Measure("auroc", _auroc, base.columns(base.area), ranks=True, dear=True),
    "macro_f1": base.Measure("macro_f1", _f1, _weighted_f1),
    "subset_accuracy": base.Measure("subset_accuracy", _subset, _weighted_subset),
}


def per_label(targets: Array, outputs: Array, classes: tuple[str, ...]) -> list[dict[str, Any]]:
    """For each label its rows, precision, recall, F1, average precision and AUROC; None where undefined."""
    said = _predicted(outputs)
    out = []
    for place, name in enumerate(classes):
        true, found = targets[:, place], said[:, place]
        hits, rows, named = (float(v) for v in ((true * found).sum(), true.sum(), found.sum()))
        one = np.ones((1, len(true)))
        scores = [f(true, outputs[:, place], one)[0] for f in (base.precision, base.area)]
        out.append(
            {
                "label": name,
                "rows": int(rows),
                "predicted": int(named),
                "precision": hits / named if named else None,
                "recall": hits / rows if rows else None,
                "f1": 2 * hits / (rows + named) if rows + named else None,
                "average_precision": None if np.isnan(scores[0]) else float(scores[0]),
                "auroc": None if np.isnan(scores[1]) else float(scores[1]),
            }
        )
    return out


def sigmoid(logits: Array) -> Array:
    """Probabilities from logits, each by itself."""
    from scipy.special import expit

    out: Array = expit(logits)
    return out


@dataclass(frozen=True)
class Task:
    """Multi-label classification: targets (n, labels) of 0 and 1, outputs (n, labels) probabilities.

    Attributes:
        classes: names of the labels, in the order of the outputs.
        metric: one of :data:`MEASURES`.
    """

    classes: tuple[str, ...] = ()
    metric: str = "average_precision"

    name: ClassVar[str] = "multilabel"
    default: ClassVar[str] = "average_precision"
    merge: ClassVar[str] = "sigmoid"

    @classmethod
    def of(cls, dataset: Dataset, metric: str) -> Task:
        """The task for a data set's labels that can be learned and tested."""
        return cls(testable(dataset)[0], metric)

    @property
    def measure(self) -> base.Measure:
        """The run's metric."""
        return MEASURES[self.metric]

    @property
    def outputs(self) -> int:
        """The number of labels."""
        return len(self.classes)

    def targets(self, dataset: Dataset) -> Array:
        """(n, labels) float64, 1 where a row has the label."""
        numbers = {name: number for number, name in enumerate(self.classes)}
        out = np.zeros((len(dataset.rows), len(numbers)))
        for place, row in enumerate(dataset.rows):
            for name in dataset.labels(row):
                if name in numbers:
                    out[place, numbers[name]] = 1.0
        return out

    def inspect(self, dataset: Dataset) -> list[Finding]:
        """Label counts, rows without any, and labels with few rows."""
        targets = self.targets(dataset)
        counts = targets.sum(axis=0).astype(int)
        listed = ", ".join(f"{n} {c}" for n, c in list(zip(self.classes, counts, strict=True))[:12])
        more = f" and {len(counts) - 12} more labels" if len(counts) > 12 else ""
        found = [Finding("class-counts", "note", f"{len(counts)} labels: {listed}{more}.")]
        none = int((targets.sum(axis=1) == 0).sum())
        each = f"Rows have {targets.sum(axis=1).mean():.2g} labels on average"
        found.append(Finding("label-cardinality", "note", f"{each}; {none} have none."))
        few = [n for n, c in zip(self.classes, counts, strict=True) if c < 10]
        if few:
            text = f"{len(few)} labels have under 10 rows: their scores say little."
            found.append(Finding("few-rows", "warning", text, tuple(few[:24])))
        return [*found, *testable(dataset)[1]]

    def strata(self, targets: Array) -> Array:
        """The labels themselves: a split keeps each in proportion."""
        return targets

    def answers(self, logits: Array) -> Array:
        """Probabilities, each by itself."""
        return sigmoid(logits)

    def losses(self, outputs: Array, targets: Array) -> Array:
        """Log loss of each row, in nats, the mean over labels."""
        sure = np.clip(outputs, 1e-7, 1 - 1e-7)
        out: Array = -(targets * np.log(sure) + (1 - targets) * np.log1p(-sure)).mean(axis=1)
        return out

    def marks(self, outputs: Array, targets: Array) -> Array:
        """Share of the labels that are right."""
        out: Array = (_predicted(outputs) == targets).mean(axis=1)
        return out

    def wanted(self, targets: Array) -> Tensor:
        """0 and 1, float32."""
        import torch

        return torch.from_numpy(np.asarray(targets, np.float32))

    def weights(self, targets: Array) -> Array | None:
        """A weight for each label's rows that have it: rows without over rows with, at most 100."""
        own = np.maximum(targets.sum(axis=0), 1.0)
        out: Array = np.clip((len(targets) - own) / own, 1 / HEAVIEST, HEAVIEST).astype(np.float32)
        return out

    def loss(
        self,
        output: Tensor,
        wanted: Tensor,
        weights: Array | None,
        smoothing: float,
        reduction: str = "mean",
    ) -> Tensor:
        """Binary cross-entropy, the mean over labels; smoothing moves each target towards a half."""
        import torch

        heavier = None if weights is None else torch.from_numpy(weights).to(output.device)
        return torch.nn.functional.binary_cross_entropy_with_logits(
            output,
            wanted * (1 - smoothing) + 0.5 * smoothing,
            pos_weight=heavier,
            reduction=reduction,
        )

    def stopping(self, logits: Array, targets: Array) -> float:
        """Mean binary cross-entropy."""
        return float((np.logaddexp(0.0, logits) - targets * logits).mean())

    def follow(self) -> base.Follow:
        """The metric on the epoch's rows."""
        return base.Collected(self, lambda wanted: wanted.astype(np.float64))

    def facts(self) -> dict[str, Any]:
        """From which probability on a label is predicted."""
        return {"level": LEVEL}
