"""Asks whether a training learned at all: its score on its own rows against guessing and the probe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from headstart.evaluate.diagnose.base import (
    OK,
    WARNING,
    Diagnosis,
    Facts,
    Figure,
    resampled,
    scored,
    share,
)
from headstart.types import Interval

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = ["NEEDS", "RANK", "TITLE", "diagnose"]

TITLE = "Underfitting"
RANK = 2
NEEDS = frozenset({"fitted"})

LITTLE = 0.05
"""A training score that isn't surely more than this above the most frequent class learned nothing."""


def diagnose(facts: Facts) -> Diagnosis:
    """Compare the training score with always guessing, and with the probe where this isn't it.

    All are judged on the same rows with the same resamples (paired bootstrap). The probe's answers
    come from folds that did not train on the row, so a fine-tuned network that fits its own rows
    worse than they do holds less than the frozen features did.

    Args:
        facts: ``fitted``; ``probe`` where it is known.
    """
    assert facts.fitted is not None
    known = np.asarray(~np.isnan(facts.fitted).any(axis=1))
    targets, ours = facts.targets[known], facts.fitted[known].argmax(axis=1)
    usual = np.full(len(targets), np.bincount(targets, minlength=facts.classes).argmax())
    score, guess, gain = _against(facts, targets, ours, usual)
    figures = [
        _figure("training", score, "share"),
        _figure("most frequent class", guess, "share"),
        _figure("training over most frequent class", gain, "points"),
    ]
    level, advice = OK, ""
    says = f"The training learned its own rows: {score.percent()}."
    if gain.low <= LITTLE:
        level = WARNING
        says = (
            f"The training hardly learned its own rows: {gain.points()} over always answering with "
            "the most frequent class."
        )
        advice = (
            "Train longer or at a higher learning rate, with less regularisation; if that does not "
            "help, look whether labels belong to the right files."
        )
    elif facts.probe is not None:
        behind = _behind(facts, known)
        if behind is not None:
            figures.append(_figure("training over the probe's held-out answers", behind, "points"))
            if behind.high < 0:
                level = WARNING
                says = (
                    "The network fits its own training rows worse than a linear probe answers rows it "
                    f"never saw ({behind.points()})."
                )
                advice = "Train longer, or take the probe: `--method linear_probe`."
    return Diagnosis("underfitting", TITLE, level, says, tuple(figures), advice)


def _against(
    facts: Facts, targets: Array, ours: Array, theirs: Array
) -> tuple[Interval, Interval, Interval]:
    """Both scores and the gain, on common resamples."""
    values, drawn = resampled(
        facts.metric, targets, [ours, theirs], facts.classes, facts.seed * 101 + 11
    )
    return (
        scored(facts.metric, targets, ours, values[0], drawn[0]),
        scored(facts.metric, targets, theirs, values[1], drawn[1]),
        share(values[0] - values[1], drawn[0] - drawn[1]),
    )


def _behind(facts: Facts, known: Array) -> Interval | None:
    """The training score less the probe's held-out score, on the rows that have both."""
    assert facts.fitted is not None and facts.probe is not None
    both = known & ~np.isnan(facts.probe).any(axis=1)
    if not both.any():
        return None
    answers = [part[both].argmax(axis=1) for part in (facts.fitted, facts.probe)]
    return _against(facts, facts.targets[both], answers[0], answers[1])[2]


def _figure(name: str, found: Interval, unit: str) -> Figure:
    return Figure(name, found.value, found.low, found.high, unit)
