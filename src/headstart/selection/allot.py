"""How a method's share of the time is spent: on folds that judge it, on views, on epochs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["GRID", "Allotment", "allot"]

GRID = (1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96, 128, 192, 256)
"""Epochs are taken from here, so that small differences in speed give the same recipe."""
ENOUGH = 0.6
"""Folds and views are given up until this share of a method's own epochs fits."""
FEWEST_VIEWS = 2


@dataclass(frozen=True)
class Allotment:
    """What fits.

    Attributes:
        given_up: folds fewer than the most.
        views: cached views of each row.
        epochs: 0 where not even one fits.
        fixed: predicted seconds that do not depend on the epochs.
        each: predicted seconds of an epoch, over the folds and the final training.
    """

    given_up: int
    views: int
    epochs: int
    fixed: float
    each: float


def allot(
    left: float, epochs: int, views: int, fixed: float, each: float, passes: Sequence[float]
) -> Allotment:
    """Fit a method into the seconds that are left for it.

    Folds go first, as fewer of them make the judgement coarser but the model no worse; then
    views; then epochs.

    Args:
        left: seconds.
        epochs, views: what the method would take.
        fixed: seconds for extracting that many views (and one unchanged picture) of each row.
        each: seconds of one epoch with the most folds.
        passes: trainings on all rows that an epoch amounts to, with the most folds first and one
            fold fewer each time; as many as may be given up and one more.

    >>> allot(100.0, 10, 6, 20.0, 20.0, [5.0, 4.2, 3.4, 2.6, 1.8])
    Allotment(given_up=3, views=6, epochs=6, fixed=20.0, each=10.4)
    """
    best: Allotment | None = None
    most = len(passes)
    choices = [(index, views) for index in range(most)]
    if views > FEWEST_VIEWS:
        choices.append((most - 1, FEWEST_VIEWS))
    for index, kept in choices:
        base = fixed * (kept + 1) / (views + 1) if kept < views else fixed
        pace = each * passes[index] / passes[0]
        fits = [n for n in (*GRID, epochs) if n <= epochs and base + pace * n <= left]
        best = Allotment(index, kept, max(fits, default=0), base, round(pace, 6))
        if best.epochs >= ENOUGH * epochs:
            break
    assert best is not None
    return best
