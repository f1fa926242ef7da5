"""Notices an adapted classifier that has collapsed: a class gone, one that took over, blind certainty."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from headstart.methods.confidence import entropies

if TYPE_CHECKING:
    from headstart.selection.validators.base import Seen
    from headstart.types import Floats

__all__ = ["alarms"]

GONE = 0.1
"""A class is gone when a tenth of its share is left, or less."""
GROWN = 3.0
"""A class has grown beyond reason at three times its share, if it took a tenth of all rows on top."""
TAKEN = 0.25
"""A class takes over when it has more than half of the rows, and a quarter of them is new."""
SURE, UNSURE = 0.98, 0.85
"""Mean confidence of a classifier that doubts nothing, and of one that had its doubts."""
NARROW = 0.6
"""The answers have narrowed when their common entropy falls below this share of what it was."""


def alarms(seen: Seen, names: Sequence[str] = (), growing: bool = False) -> list[str]:
    """Sentences on what looks like a collapse of a candidate; an empty list when nothing does.

    They compare the candidate's answers on the target with those of the source-only head. Shares of
    classes may well change by adaptation, so an alarm needs a change that few targets would justify and
    that is no matter of a few rows.

    Args:
        seen: the candidate.
        names: of the classes; by default their numbers.
        growing: classes may grow, as the candidate was asked to give them larger shares.
    """
    rows, classes = seen.target.shape
    before = seen.unadapted
    old = np.bincount(before.argmax(axis=1), minlength=classes) / max(rows, 1)
    new = np.bincount(seen.target.argmax(axis=1), minlength=classes) / max(rows, 1)
    called = [str(name) for name in names] or [f"class {k}" for k in range(classes)]
    noise = 3 * np.sqrt(np.maximum(old * (1 - old), 1 / max(rows, 1)) / max(rows, 1))
    found = []
    for k in range(classes):
        change = (
            f"{old[k]:.1%} of the target by the source-only model, {new[k]:.1%} after adaptation"
        )
        if old[k] - new[k] > noise[k] and new[k] <= GONE * old[k]:
            found.append(f"{called[k]} has vanished: {change}.")
        elif growing:
            continue
        elif new[k] > 0.5 and new[k] - old[k] > max(TAKEN, noise[k]):
            found.append(f"{called[k]} has taken over: {change}.")
        elif new[k] - old[k] > max(0.1, noise[k]) and new[k] > GROWN * old[k]:
            found.append(f"{called[k]} has grown beyond reason: {change}.")
    return found + _certainty(before, seen.target)


def _certainty(before: Floats, after: Floats) -> list[str]:
    """Alarms on how sure and how varied the answers are."""
    found = []
    doubted, sure = before.max(axis=1).mean(), after.max(axis=1).mean()
    if sure >= SURE and doubted <= UNSURE:
        found.append(
            f"The entropy has collapsed: mean confidence rose from {doubted:.1%} to {sure:.1%}, "
            "which no unlabelled row can justify."
        )
    varied, varies = (
        float(entropies(one.mean(axis=0, keepdims=True))[0]) for one in (before, after)
    )
    if varies < NARROW * varied and math.exp(varied) - math.exp(varies) > 0.5:
        found.append(
            "The answers have narrowed: they are as varied as those of "
            f"{math.exp(varies):.1f} classes of equal size, and were as those of {math.exp(varied):.1f}."
        )
    return found
