"""Measures by how much each stage of the network moved away from the source model."""

from __future__ import annotations

import math

import numpy as np

from headstart.evaluate.diagnose.base import (
    NOTICE,
    OK,
    WARNING,
    Diagnosis,
    Facts,
    Figure,
    Tensors,
    array,
)

__all__ = ["NEEDS", "RANK", "TITLE", "changes", "diagnose"]

TITLE = "What moved"
RANK = 6
NEEDS = frozenset({"before", "after", "stages"})

FAR = 1.0
"""A stage that moved further than its own length hardly holds anything of the source model."""
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def changes(before: Tensors, after: Tensors, stages: dict[str, list[str]]) -> dict[str, float]:
    """‖θ - θ0‖ / ‖θ0‖ of each stage's parameters; BatchNorm's statistics are no parameters.

    Args:
        before, after: state dicts by the same names.
        stages: stage names in order → names of their tensors; a stage without parameters is left out.

    >>> changes({"a": np.ones(4)}, {"a": np.full(4, 1.5)}, {"stem": ["a"]})
    {'stem': 0.5}
    """
    out = {}
    for stage, names in stages.items():
        moved = length = 0.0
        for name in names:
            if name.endswith(STATISTICS) or name not in before or name not in after:
                continue
            old, new = array(before[name]), array(after[name])
            moved += float(((new - old) ** 2).sum(dtype=np.float64))
            length += float((old**2).sum(dtype=np.float64))
        if length > 0:
            out[stage] = math.sqrt(moved / length)
    return out


def diagnose(facts: Facts) -> Diagnosis:
    """Say which stages moved most, which not at all.

    Nothing is sampled, so the figures have no interval.

    Args:
        facts: ``before``, ``after`` and ``stages``.
    """
    assert facts.before is not None and facts.after is not None and facts.stages is not None
    found = changes(facts.before, facts.after, facts.stages)
    figures = tuple(Figure(stage, value, unit="share") for stage, value in found.items())
    details = {"stages": [[stage, value] for stage, value in found.items()]}
    level, says, advice = _judge(found)
    return Diagnosis("moved", TITLE, level, says, figures, advice, details)


def _judge(found: dict[str, float]) -> tuple[str, str, str]:
    broken = [stage for stage, value in found.items() if not math.isfinite(value)]
    if broken:
        listed = ", ".join(broken)
        return WARNING, f"The weights of {listed} hold values that are no numbers.", LOWER
    if not found or max(found.values()) == 0:
        says = "Nothing of the source model moved: only the head is new."
        return OK, says, ""
    still = [stage for stage, value in found.items() if value == 0]
    most = max(found, key=lambda stage: found[stage])
    kept = f"; {len(still)} of {len(found)} stages did not move" if still else ""
    says = f"`{most}` moved most, by {found[most] * 100:.1f} % of its length{kept}."
    if found[most] > FAR:
        return NOTICE, f"{says} Little of the source model is left there.", LOWER
    return OK, says, ""


LOWER = "Take a lower `body_rate`, fewer epochs, or freeze more of the network."
