"""Intervals of one score, and of the difference of two on the same rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from headstart.tasks.base import Measure
from headstart.tasks.classify import metric, tallies
from headstart.types import Interval

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = [
    "difference",
    "discordant",
    "exact_p",
    "gained",
    "interval",
    "resampled",
    "resamples",
    "scored",
    "swapped",
    "swapped_p",
    "wilson",
]

RESAMPLES = 4000
FEWER = 2000
"""Resamples of metrics that aren't counts of classes."""
MOST_NUMBERS, BLOCK = 400_000_000, 4_000_000
"""Numbers that a ranking metric may sort out in all its resamples (of many rows and outputs there are
fewer resamples, 200 at least), and that are held at once."""


def resamples(rows: int, seed: int, count: int = RESAMPLES) -> Array:
    """How often each row counts in each bootstrap resample, float32 (count, rows)."""
    random = np.random.default_rng((seed, 23))
    draws = random.integers(0, rows, size=(count, rows))
    offsets = draws + np.arange(count)[:, None] * rows
    return (
        np.bincount(offsets.ravel(), minlength=count * rows).reshape(count, rows).astype(np.float32)
    )


def wilson(hits: float, rows: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927), which holds at 0 and at 1 too.

    >>> low, high = wilson(10, 10)
    >>> round(low, 2), round(high, 2)
    (0.72, 1.0)
    """
    if rows == 0:
        return 0.0, 1.0
    share = hits / rows
    middle = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = (
        z / (1 + z * z / rows) * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    )
    return max(0.0, middle - half), min(1.0, middle + half)


def interval(name: str, targets: Array, predicted: Array, classes: int, seed: int) -> Interval:
    """A score with its 95 % interval: Wilson's for accuracy, the bootstrap's for other metrics."""
    value = float(metric(name)(*tallies(targets, predicted, classes)))
    if name == "accuracy":
        low, high = wilson(float((targets == predicted).sum()), len(targets))
        return Interval(value, low, high)
    scores = _scores(name, targets, predicted, classes, seed)
    low, high = np.quantile(scores, [0.025, 0.975])
    return Interval(value, float(low), float(high))


def difference(
    name: str, targets: Array, ours: Array, theirs: Array, classes: int, seed: int
) -> Interval:
    """Score of ``ours`` minus score of ``theirs``, by the paired bootstrap over rows.

    Both are judged on the same resamples (Efron and Tibshirani 1993, chapter 13: percentile).

    Args:
        name: the metric.
        targets, ours, theirs: (n,) class indices.
        classes: number of classes.
        seed: of the resamples.
    """
    value = float(metric(name)(*tallies(targets, ours, classes))) - float(
        metric(name)(*tallies(targets, theirs, classes))
    )
    gap = _scores(name, targets, ours, classes, seed) - _scores(
        name, targets, theirs, classes, seed
    )
    low, high = np.quantile(gap, [0.025, 0.975])
    return Interval(value, float(low), float(high))


def _scores(name: str, targets: Array, predicted: Array, classes: int, seed: int) -> Array:
    """The metric in every resample, a block of resamples at a time."""
    block = max(1, int(2e7 // max(len(targets), 1)))
    out = []
    for start in range(0, RESAMPLES, block):
        weights = resamples(len(targets), seed * 1009 + start, min(block, RESAMPLES - start))
        out.append(metric(name)(*tallies(targets, predicted, classes, weights)))
    return np.concatenate(out)


def discordant(targets: Array, ours: Array, theirs: Array) -> tuple[int, int]:
    """Rows that only ours has right, and rows that only theirs has right."""
    a, b = ours == targets, theirs == targets
    return int((a & ~b).sum()), int((b & ~a).sum())


def exact_p(wins: int, losses: int) -> float:
    """Two-sided exact McNemar test: the chance of so uneven a split of the discordant rows.

    McNemar 1947, with the binomial distribution in place of the normal one.

    >>> round(exact_p(5, 0), 4)
    0.0625
    """
    total = wins + losses
    if total == 0:
        return 1.0
    extreme = max(wins, losses)
    if total > 1000:
        z = (extreme - total / 2 - 0.5) / math.sqrt(total / 4)
        return min(1.0, math.erfc(z / math.sqrt(2)))
    ways = sum(math.comb(total, k) for k in range(extreme, total + 1))
    return min(1.0, float(2 * ways / 2**total))


def swapped_p(
    name: str, targets: Array, ours: Array, theirs: Array, classes: int, seed: int
) -> float:
    """Two-sided randomisation test of a difference in any metric.

    It is the chance of as large a difference when the answers of the two models are swapped at
    random, row by row (Yeh 2000, section 3.3). For accuracy it comes to McNemar's test.

    Args:
        name: the metric.
        targets, ours, theirs: (n,) class indices.
        classes: number of classes.
        seed: of the swaps.
    """
    apart = ours != theirs
    alike = tallies(targets[~apart], ours[~apart], classes)
    targets, ours, theirs = targets[apart], ours[apart], theirs[apart]

    def gap(kept: Array) -> Array:
        first, second = (
            metric(name)(
                *(
                    both + a + b
                    for both, a, b in zip(
                        alike,
                        tallies(targets, ours, classes, mine),
                        tallies(targets, theirs, classes, 1 - mine),
                        strict=True,
                    )
                )
            )
            for mine in (kept, 1 - kept)
        )
        out: Array = np.abs(first - second)
        return out

    random = np.random.default_rng((seed, 29))
    observed = float(gap(np.ones((1, len(targets)), np.float32))[0])
    block = max(1, int(2e7 // max(len(targets), 1)))
    as_large = 0
    for start in range(0, RESAMPLES, block):
        shape = (min(block, RESAMPLES - start), len(targets))
        kept = random.integers(0, 2, shape, np.int8).astype(np.float32)
        as_large += int((gap(kept) >= observed - 1e-9).sum())
    return (1 + as_large) / (1 + RESAMPLES)


def scored(measure: Measure, targets: Array, outputs: Array, seed: int) -> Interval:
    """A score of any task with its 95 % bootstrap interval.

    Args:
        measure: the metric.
        targets: as the task has them.
        outputs: (n, outputs).
        seed: of the resamples.
    """
    low, high = _ends(resampled(measure, targets, outputs, seed))
    return Interval(measure.exact(targets, outputs), low, high)


def resampled(measure: Measure, targets: Array, outputs: Array, seed: int) -> Array:
    """A score in every bootstrap resample of the rows; NaN where it can't be had."""
    return _resampled(
        measure, outputs, lambda weights: measure.weighted(targets, outputs, weights), seed
    )


def gained(measure: Measure, targets: Array, ours: Array, theirs: Array, seed: int) -> Interval:
    """How much better ``ours`` is than ``theirs``, by the paired bootstrap over rows.

    Both are judged on the same resamples; where less is better, less is a gain.
    """
    value = measure.sign * (measure.exact(targets, ours) - measure.exact(targets, theirs))
    drawn = _resampled(
        measure,
        ours,
        lambda weights: (
            measure.weighted(targets, ours, weights) - measure.weighted(targets, theirs, weights)
        ),
        seed,
    )
    low, high = _ends(measure.sign * drawn)
    return Interval(value, low, high)


def swapped(measure: Measure, targets: Array, ours: Array, theirs: Array, seed: int) -> float:
    """Two-sided randomisation test of a difference, for any task (Yeh 2000, section 3.3).

    The outputs of the two models are swapped at random, row by row. A metric that reads the order of
    the rows alone gets each model's ranks instead of its outputs, so that models of different scales
    can be mixed (Venkatraman and Begg 1996, section 2).
    """
    if measure.ranks:
        ours, theirs = _ranks(ours), _ranks(theirs)
    both, answers = np.concatenate([targets, targets]), np.concatenate([ours, theirs])
    random = np.random.default_rng((seed, 37))

    def gap(kept: Array) -> Array:
        first = measure.weighted(both, answers, np.concatenate([kept, 1 - kept], axis=1))
        second = measure.weighted(both, answers, np.concatenate([1 - kept, kept], axis=1))
        out: Array = np.abs(first - second)
        return out

    observed = float(gap(np.ones((1, len(targets)), np.float32))[0])
    count, block = _sizes(measure, answers)
    as_large = known = 0
    for start in range(0, count, block):
        shape = (min(block, count - start), len(targets))
        found = gap(random.integers(0, 2, shape, np.int8).astype(np.float32))
        as_large += int((found >= observed * (1 - 1e-9) - 1e-12).sum())
        known += int((~np.isnan(found)).sum())
    return (1 + as_large) / (1 + known)


def _ranks(outputs: Array) -> Array:
    from scipy.stats import rankdata

    out: Array = rankdata(outputs, axis=0)
    return out


def _sizes(measure: Measure, outputs: Array) -> tuple[int, int]:
    """How many resamples there are, and how many are done at once."""
    numbers = max(outputs.size, 1)
    count = int(np.clip(MOST_NUMBERS // numbers, 200, FEWER)) if measure.dear else FEWER
    return count, max(1, BLOCK // max(len(outputs), 1))


def _resampled(
    measure: Measure, outputs: Array, value: Callable[[Array], Array], seed: int
) -> Array:
    """A value in every resample of the rows, a block of resamples at a time."""
    count, block = _sizes(measure, outputs)
    out = []
    for start in range(0, count, block):
        out.append(value(resamples(len(outputs), seed * 1009 + start, min(block, count - start))))
    return np.concatenate(out)


def _ends(drawn: Array) -> tuple[float, float]:
    """Both ends of the percentile interval of what could be had."""
    known = drawn[~np.isnan(drawn)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)
