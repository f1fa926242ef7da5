"""Regression: a number for each row."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from headstart.errors import DataError
from headstart.tasks import base
from headstart.types import Finding, Skip

if TYPE_CHECKING:
    from torch import Tensor

    from headstart.data.dataset import Dataset
    from headstart.types import Array

__all__ = ["MEASURES", "Task", "are_numbers", "doubt", "number", "readable"]

MOSTLY, MANY = 0.9, 20
"""Labels of which so large a share are numbers, and that aren't all whole or more than so many different
ones, may be no classes."""
BINS, FEWEST = 10, 5
"""Strata of a split: at most so many, of at least so many rows each."""


def number(cell: str | None) -> float | None:
    """A label cell as a finite number; None where it is none.

    >>> [number(cell) for cell in ("0.5", " 1e3 ", "-2", "nan", "inf", "1,5", "cat", None)]
    [0.5, 1000.0, -2.0, None, None, None, None, None]
    """
    try:
        value = float(cell or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in str(cell) else None


def are_numbers(dataset: Dataset) -> bool:
    """Whether all labels are numbers and at least one isn't whole, so that they can't be classes."""
    found = [number(label) for label in {row.label for row in dataset.rows}]
    return any(v is not None and v != int(v) for v in found) and None not in found


def doubt(dataset: Dataset) -> str:
    """A sentence where labels taken for classes may be meant as numbers; otherwise empty."""
    labels = [row.label for row in dataset.rows]
    found = [value for value in map(number, labels) if value is not None]
    many, whole = len(set(found)), all(value == int(value) for value in found)
    if len(found) < MOSTLY * len(labels) or (whole and many <= MANY):
        return ""
    return (
        f"{len(found)} of {len(labels)} labels are numbers, {many} different ones, and are taken for "
        "classes; if they measure something: --task regression"
    )


def readable(dataset: Dataset) -> Dataset:
    """Leave out rows whose label is no number.

    Raises:
        DataError: fewer than two different numbers are left.
    """
    skips = [
        Skip(row.name, f"the label {str(row.label)[:40]!r} is not a number")
        for row in dataset.rows
        if number(row.label) is None
    ]
    left = dataset.without(skips) if skips else dataset
    values = {number(row.label) for row in left.rows}
    if len(values) < 2:
        only = f"only one number, {values.pop():g}," if values else "no number"
        first = f" {skips[0].name}: {skips[0].reason}." if skips else ""
        raise DataError(
            f"The labels of {dataset.where} hold {only} to learn from.{first}",
            "Name the column with the numbers: --label COLUMN. Or, for classes: --task classification",
        )
    return left


def _weighted_r2(targets: Array, outputs: Array, weights: Array) -> Array:
    total = weights.sum(axis=1)
    values, squares = weights @ targets, weights @ (targets * targets)
    spread = squares - values * values / np.maximum(total, 1e-12)
    error = weights @ np.square(targets - outputs[:, 0])
    constant = spread <= 1e-12 * np.maximum(squares, 1e-300)
    return np.where(constant, np.nan, 1.0 - error / np.where(constant, 1.0, spread))


def _mean(weights: Array, values: Array) -> Array:
    out: Array = weights @ values / np.maximum(weights.sum(axis=1), 1e-12)
    return out


def _r2(targets: Array, outputs: Array) -> float:
    from sklearn.metrics import r2_score

    return float(r2_score(targets, outputs[:, 0]))


def _mae(targets: Array, outputs: Array) -> float:
    from sklearn.metrics import mean_absolute_error

    return float(mean_absolute_error(targets, outputs[:, 0]))


def _rmse(targets: Array, outputs: Array) -> float:
    from sklearn.metrics import root_mean_squared_error

    return float(root_mean_squared_error(targets, outputs[:, 0]))


MEASURES = {
    "r2": base.Measure("r2", _r2, _weighted_r2, share=False),
    "mae": base.Measure(
        "mae",
        _mae,
        lambda t, o, w: _mean(w, np.abs(t - o[:, 0])),
        share=False,
        higher=False,
    ),
    "rmse": base.Measure(
        "rmse",
        _rmse,
        lambda t, o, w: np.sqrt(_mean(w, np.square(t - o[:, 0]))),
        share=False,
        higher=False,
    ),
}


@dataclass(frozen=True)
class Task:
    """Regression: targets (n,) numbers, outputs (n, 1) in the labels' unit.

    The network is trained on standardised numbers, so that its rates need not know their unit.

    Attributes:
        metric: one of :data:`MEASURES`.
        centre, scale: mean and standard deviation of the labels that are learned from.
    """

    metric: str = "r2"
    centre: float = 0.0
    scale: float = 1.0

    name: ClassVar[str] = "regress"
    default: ClassVar[str] = "r2"
    merge: ClassVar[str] = "mean"
    classes: ClassVar[tuple[str, ...]] = ()
    outputs: ClassVar[int] = 1

    @classmethod
    def of(cls, dataset: Dataset, metric: str) -> Task:
        """The task; :meth:`learned` sets its unit."""
        return cls(metric)

    def learned(self, targets: Array) -> Task:
        """The task with the mean and standard deviation of some targets."""
        spread = float(np.std(targets))
        return replace(self, centre=float(np.mean(targets)), scale=spread if spread > 0 else 1.0)

    @property
    def measure(self) -> base.Measure:
        """The run's metric."""
        return MEASURES[self.metric]

    def targets(self, dataset: Dataset) -> Array:
        """(n,) float64."""
        return np.array([float(str(row.label)) for row in dataset.rows], np.float64)

    def inspect(self, dataset: Dataset) -> list[Finding]:
        """Where the labels lie, and whether a few lie far out."""
        values = self.targets(dataset)
        text = (
            f"Labels run from {values.min():g} to {values.max():g} (median {np.median(values):.4g}, "
            f"standard deviation {values.std():.3g})."
        )
        found = [Finding("label-range", "note", text)]
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
        far = np.abs(values - middle) > 10 * max(high - low, 1e-12)
        if high > low and far.any():
            names = tuple(dataset.rows[i].name for i in np.flatnonzero(far)[:24])
            text = f"{int(far.sum())} labels lie over ten interquartile ranges from the median: the squared error is mostly theirs."
            found.append(Finding("outlier-label", "warning", text, names))
        return found

    def strata(self, targets: Array) -> Array:
        """Bins of about equal numbers of rows; equal labels share one."""
        from scipy.stats import rankdata

        count = max(1, min(BINS, len(targets) // (2 * FEWEST)))
        place = (rankdata(targets) - 0.5) / max(len(targets), 1)
        bins = np.minimum((place * count).astype(np.int64), count - 1)
        for one in range(
            count
        ):  # heavy ties may leave a bin too small to be split: it joins the next
            if 0 < (bins == one).sum() < FEWEST:
                above, below = bins[bins > one], bins[bins < one]
                other = above.min() if len(above) else below.max() if len(below) else one
                bins[bins == one] = other
        out: Array = np.unique(bins, return_inverse=True)[1]
        return out

    def standard(self, targets: Array) -> Array:
        """Targets as the network sees them, mean 0 and variance 1."""
        return (np.asarray(targets, np.float64) - self.centre) / self.scale

    def answers(self, logits: Array) -> Array:
        """Numbers in the labels' unit."""
        out: Array = logits * self.scale + self.centre
        return out

    def losses(self, outputs: Array, targets: Array) -> Array:
        """Squared error of each row, in variances of the labels."""
        out: Array = np.square((outputs[:, 0] - targets) / self.scale)
        return out

    def marks(self, outputs: Array, targets: Array) -> Array:
        """How near each row's answer is."""
        out: Array = -np.abs(outputs[:, 0] - targets)
        return out

    def wanted(self, targets: Array) -> Tensor:
        """Standardised numbers, float32."""
        import torch

        return torch.from_numpy(self.standard(targets).astype(np.float32))

    def weights(self, targets: Array) -> Array | None:
        """None: numbers have no classes to even out."""
        return None

    def loss(
        self,
        output: Tensor,
        wanted: Tensor,
        weights: Array | None,
        smoothing: float,
        reduction: str = "mean",
    ) -> Tensor:
        """Mean squared error of the standardised numbers; there is nothing to smooth."""
        import torch

        return torch.nn.functional.mse_loss(output[:, 0], wanted, reduction=reduction)

    def stopping(self, logits: Array, targets: Array) -> float:
        """Mean squared error, in variances of the labels."""
        return float(np.square(logits[:, 0] - self.standard(targets)).mean())

    def follow(self) -> base.Follow:
        """The metric on the epoch's rows."""
        return base.Collected(self, lambda wanted: wanted * self.scale + self.centre)

    def facts(self) -> dict[str, Any]:
        """The labels' unit."""
        return {"centre": self.centre, "scale": self.scale}
