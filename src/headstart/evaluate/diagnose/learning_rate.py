"""Reads a learning curve for signs of too high a learning rate: NaN, an explosion, a rise, jumps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from headstart.evaluate.diagnose.base import NOTICE, OK, WARNING, Diagnosis, Facts, Figure

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = ["NEEDS", "RANK", "TITLE", "diagnose", "jumps"]

TITLE = "Learning rate"
RANK = 3
NEEDS = frozenset({"curve"})

EXPLODED = 2.0
"""A loss of so many times ln(classes), what equal shares would cost, is worse than knowing nothing."""
RISEN = 1.1
"""The last third of the epochs costs on average this many times what the first third did."""
JUMP = 0.15
"""A rise from one epoch to the next by this share of what the curve spans is a jump, if it also is
more than a tenth of the loss before it: late in a good training the loss wanders by hundredths."""
MANY = 0.25
"""A quarter of the steps being jumps makes a curve that is not descending but bouncing."""


def diagnose(facts: Facts) -> Diagnosis:
    """Judge the training loss of each epoch.

    Nothing is sampled here, so the figures have no interval.

    Args:
        facts: ``curve``.
    """
    losses = np.array([_number(entry.get("loss")) for entry in facts.curve])
    chance = math.log(max(facts.classes, 2))
    bad = np.flatnonzero(~np.isfinite(losses))
    finite = losses[np.isfinite(losses)]
    figures = tuple(
        Figure(name, value)
        for name, value in (
            ("loss of the first epoch", float(losses[0])),
            ("highest loss", float(finite.max()) if len(finite) else math.nan),
            ("loss of the last epoch", float(losses[-1])),
            ("loss of equal shares, ln(classes)", chance),
            ("share of steps that jump up", jumps(finite)),
        )
    )
    level, says = (
        OK,
        f"The training loss went down as it should: {losses[0]:.2f} → {losses[-1]:.2f}.",
    )
    third = max(1, len(losses) // 3)
    if len(bad):
        level = WARNING
        says = f"The training diverged: its loss is no number from epoch {int(bad[0]) + 1} on."
    elif finite.max() > EXPLODED * chance:
        level = WARNING
        says = (
            f"The training loss exploded to {finite.max():.3g} in epoch {int(losses.argmax()) + 1}, "
            f"where guessing costs {chance:.2f}."
        )
    elif len(losses) >= 4 and losses[-third:].mean() > RISEN * losses[:third].mean():
        level = WARNING
        says = f"The training loss rose: {losses[0]:.2f} → {losses[-1]:.2f}."
    elif len(losses) >= 5 and jumps(losses) >= MANY:
        level = NOTICE
        says = "The training loss jumps up and down instead of falling."
    advice = (
        "The learning rate is too high: take a tenth of it (`--set METHOD.rate=...`, and "
        "`METHOD.body_rate`), or a longer warm-up."
    )
    return Diagnosis("learning_rate", TITLE, level, says, figures, advice if level != OK else "")


def jumps(losses: Array) -> float:
    """Share of the steps from one epoch to the next in which the loss jumps up, 0 to 1.

    >>> jumps(np.array([1.0, 0.5, 0.9, 0.4, 0.8]))
    0.5
    """
    if len(losses) < 2:
        return 0.0
    steps, span = np.diff(losses), max(float(np.ptp(losses)), 1e-12)
    return float(((steps > JUMP * span) & (steps > 0.1 * losses[:-1])).mean())


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
