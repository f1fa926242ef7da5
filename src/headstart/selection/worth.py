"""Whether a dearer method has a chance to beat what stands, and whether it did."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from headstart.tasks.base import Measure
    from headstart.types import Array

__all__ = ["Prospect", "better", "prospect", "surer"]

SURE = 0.8
"""Smallest bootstrap probability of a real gain at which a dearer method replaces a cheaper one."""
MOST_NUMBERS, BLOCK = 300_000_000, 4_000_000
"""Numbers that a ranking metric may sort out in all its resamples, and that are held at once."""


@dataclass(frozen=True)
class Prospect:
    """What a method may be expected to gain, and whether that could be seen.

    Attributes:
        expected: gain in score that its record suggests.
        visible: the smallest gain that the validation rows can tell from chance (one standard error).
        go: whether to run it.
        why: a sentence for the report.
    """

    expected: float
    visible: float
    go: bool
    why: str


def prospect(
    method: str, standing: float, rows: int, relative_gain: float, *, eager: bool
) -> Prospect:
    """Judge a method before it runs.

    The method is expected to remove ``relative_gain`` of the errors that stand. If the two models
    then differ on about as many rows as there are errors, the standard error of the paired
    difference is √(errors / rows): an expected gain below it could not be told from chance, and
    paying for it would be a bet.

    Args:
        method: its name.
        standing: validation score of the best method so far, 0 to 1.
        rows: validation rows.
        relative_gain: share of the errors that the method may remove.
        eager: the user gave a budget: run unless there is hardly anything to gain.
    """
    errors = 1.0 - standing
    expected = relative_gain * errors
    visible = math.sqrt(max(errors, 0.5 / max(rows, 1)) / max(rows, 1))
    need = 0.35 * visible if eager else visible
    go = expected >= need
    sizes = f"expected gain {expected * 100:.1f} points, and {rows} validation rows show {visible * 100:.1f}"
    why = f"{method} may pay: {sizes}." if go else f"{method} would not show: {sizes} at best."
    return Prospect(expected, visible, go, why)


def better(ours: Array, theirs: Array, seed: int) -> float:
    """Probability that ``ours`` scores higher than ``theirs`` on the same rows: the smaller of two.

    One is the bootstrap's. It is too sure of a few rows: one row won and none lost gives 0.82. The
    other is that of a sign test with an even prior, P(θ > ½) for θ ~ Beta(1 + wins, 1 + losses), by
    which that row gives 0.75.

    Args:
        ours, theirs: (n,) what each row contributes to the score (1 right, 0 wrong).
        seed: of the resamples.
    """
    from scipy.special import betaincc

    wins, losses = int((ours > theirs).sum()), int((ours < theirs).sum())
    signs = float(betaincc(1 + wins, 1 + losses, 0.5))
    random = np.random.default_rng((seed, 41))
    gain = ours.astype(float) - theirs.astype(float)
    rows = random.integers(0, len(gain), size=(2000, len(gain)))
    means = gain[rows].mean(axis=1)
    return min(float((means > 0).mean() + 0.5 * (means == 0).mean()), signs)


def surer(measure: Measure, targets: Array, ours: Array, theirs: Array, seed: int) -> float:
    """Bootstrap probability that ``ours`` is better by a metric that is no mean over rows.

    Args:
        measure: the metric.
        targets: of the rows.
        ours, theirs: (n, outputs).
        seed: of the resamples, of which there are 2000, or fewer where they would be many numbers.
    """
    random = np.random.default_rng((seed, 43))
    rows, outputs = ours.shape
    count = int(np.clip(MOST_NUMBERS // (rows * outputs), 200, 2000)) if measure.dear else 2000
    gains = []
    block = max(1, BLOCK // rows)
    for start in range(0, count, block):
        size = min(block, count - start)
        drawn = random.multinomial(rows, np.full(rows, 1 / rows), size=size).astype(np.float32)
        gap = measure.weighted(targets, ours, drawn) - measure.weighted(targets, theirs, drawn)
        gains.append(measure.sign * gap)
    found = np.concatenate(gains)
    found = found[~np.isnan(found)]
    if not len(found):
        return 0.5
    return float((found > 0).mean() + 0.5 * (found == 0).mean())
