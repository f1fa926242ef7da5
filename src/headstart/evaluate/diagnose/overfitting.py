"""Compares the scores on training, validation and test rows: does the model know its own rows best?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from headstart.evaluate.diagnose.base import (
    NOTICE,
    OK,
    WARNING,
    Diagnosis,
    Facts,
    Figure,
    answered,
    resampled,
    scored,
    share,
)
from headstart.types import Interval

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = ["NEEDS", "RANK", "TITLE", "diagnose"]

TITLE = "Overfitting"
RANK = 1
NEEDS = frozenset({"fitted"})

PAIRS = (("training", "validation"), ("validation", "test"), ("training", "test"))
WIDE, VERY_WIDE = 0.10, 0.20
"""Gaps whose lower end is beyond these get a notice or a warning. Most models, a good probe among
them, score a few points more on their own rows; these limits are a convention, not a theorem."""
FLATTERED = 0.05
"""Validation above test by so much, for sure, says that the two are not alike."""


def diagnose(facts: Facts) -> Diagnosis:
    """Compare the scores; each gap has a 95 % bootstrap interval.

    Training and validation scores are compared on the same rows where every row was held out once
    (paired), and the test rows with either by resampling each part by itself.

    Args:
        facts: ``fitted``; ``held_out`` and ``test`` where they are known.
    """
    assert facts.fitted is not None
    parts = {"training": answered(facts.targets, facts.fitted)}
    if facts.held_out is not None:
        parts["validation"] = answered(facts.targets, facts.held_out)
    if facts.test is not None:
        parts["test"] = facts.test
    found = {
        name: _score(facts, targets, answers, place)
        for place, (name, (targets, answers)) in enumerate(parts.items())
        if len(targets)
    }
    scores = {
        name: scored(facts.metric, *parts[name], value, drawn)
        for name, (value, drawn) in found.items()
    }
    gaps = {
        f"{one} over {other}": share(
            found[one][0] - found[other][0], found[one][1] - found[other][1]
        )
        for one, other in PAIRS
        if one in found and other in found
    }
    paired = _paired(facts)
    if paired is not None:
        gaps["training over validation"] = paired
    return _say(scores, gaps)


def _score(facts: Facts, targets: Array, answers: Array, part: int) -> tuple[float, Array]:
    values, drawn = resampled(
        facts.metric, targets, [answers], facts.classes, facts.seed * 101 + part
    )
    return values[0], drawn[0]


def _paired(facts: Facts) -> Interval | None:
    """The gap on rows that have both answers, where these are nearly all of the held-out rows."""
    if facts.fitted is None or facts.held_out is None:
        return None
    held = ~np.isnan(facts.held_out).any(axis=1)
    both = held & ~np.isnan(facts.fitted).any(axis=1)
    if both.sum() < 0.9 * held.sum() or not both.any():
        return None
    answers = [part[both].argmax(axis=1) for part in (facts.fitted, facts.held_out)]
    values, drawn = resampled(
        facts.metric, facts.targets[both], answers, facts.classes, facts.seed * 101 + 3
    )
    return share(values[0] - values[1], drawn[0] - drawn[1])


def _say(scores: dict[str, Interval], gaps: dict[str, Interval]) -> Diagnosis:
    against = "test" if "test" in scores else "validation"
    gap = gaps.get(f"training over {against}")
    flattered = gaps.get("validation over test")
    figures = tuple(
        Figure(name, one.value, one.low, one.high, unit)
        for found, unit in ((scores, "share"), (gaps, "points"))
        for name, one in found.items()
    )
    level, advice = OK, ""
    if gap is None:
        brief = says = "There are no unseen rows to compare the training score with."
    elif gap.low > WIDE:
        level = WARNING if gap.low > VERY_WIDE else NOTICE
        brief = "The model knows its training rows far better than new ones."
        says = f"{brief[:-1]}: {gap.points()} over the {against} rows."
        advice = (
            "More labelled rows would help most. Until then train less of the network (freeze more, "
            "fewer epochs) or hold it back (weight decay, label smoothing, augmentation)."
        )
    elif gap.low > 0:
        brief = "The model does somewhat better on its training rows, as most models do."
        says = f"{brief[:-1]} ({gap.points()})."
    else:
        brief = f"No sign of overfitting: training and {against} scores agree."
        says = f"{brief[:-1]} ({gap.points()})."
    if flattered is not None and flattered.low > FLATTERED:
        level = level if level == WARNING else NOTICE
        says += f" The validation score flatters: it lies {flattered.points()} over the test's."
        advice = advice or (
            "The test rows differ from the training rows (another place, time or camera), or copies "
            "were on both sides of the validation. Name groups with `--group`, and believe the test."
        )
    return Diagnosis("overfitting", TITLE, level, says, figures, advice, {"brief": brief})
