"""Measures how far BatchNorm's running statistics moved away from the source model's."""

from __future__ import annotations

from dataclasses import dataclass

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

__all__ = ["NEEDS", "RANK", "TITLE", "Drift", "diagnose", "drifts"]

TITLE = "BatchNorm drift"
RANK = 5
NEEDS = frozenset({"before", "after"})

FAR, VERY_FAR = 0.5, 1.0
"""Mean shift of a layer's running means, in standard deviations, for a notice and a warning. Epochs of
ordinary fine-tuning on pictures like the source's move them by a few tenths."""
FLOOR = 0.05
"""Channels that hardly vary count with this share of their layer's median deviation, lest a dead one
makes any change look endless."""
STILL = 1e-6


@dataclass(frozen=True)
class Drift:
    """One BatchNorm layer.

    Attributes:
        name: of the layer.
        shift: mean over channels of |μ - μ0| / σ0, in standard deviations of the source.
        scale: mean over channels of |ln(σ / σ0)|; 0.69 is twice or half the deviation.
        trained: whether its own weight or bias moved.
    """

    name: str
    shift: float
    scale: float
    trained: bool


def drifts(before: Tensors, after: Tensors) -> list[Drift]:
    """The drift of every BatchNorm layer that both state dicts hold.

    Args:
        before, after: state dicts by the same names.
    """
    found = []
    for key in before:
        if not key.endswith("running_mean") or key not in after:
            continue
        name = key.removesuffix(".running_mean")
        spread0, spread1 = (
            np.sqrt(np.maximum(array(state[f"{name}.running_var"]), 0.0))
            for state in (before, after)
        )
        least = max(FLOOR * float(np.median(spread0)), 1e-8)
        moved = np.abs(array(after[key]) - array(before[key])) / np.maximum(spread0, least)
        ratio = np.log(np.maximum(spread1, least) / np.maximum(spread0, least))
        own = [f"{name}.{part}" for part in ("weight", "bias") if f"{name}.{part}" in before]
        trained = any(bool(np.any(array(after[k]) != array(before[k]))) for k in own if k in after)
        found.append(Drift(name, float(moved.mean()), float(np.abs(ratio).mean()), trained))
    return found


def diagnose(facts: Facts) -> Diagnosis:
    """Compare the running statistics of every BatchNorm layer.

    Nothing is sampled: the figures give the range over the layers instead of an interval.

    Args:
        facts: ``before`` and ``after``.
    """
    assert facts.before is not None and facts.after is not None
    found = drifts(facts.before, facts.after)
    if not found:
        return Diagnosis("norm_drift", TITLE, OK, "The network has no BatchNorm statistics.")
    shifts = np.array([one.shift for one in found])
    scales = np.array([one.scale for one in found])
    worst = found[int(shifts.argmax())]
    figures = (
        Figure("BatchNorm layers", float(len(found))),
        Figure("median shift over layers, in source deviations", float(np.median(shifts))),
        Figure("largest shift", worst.shift),
        Figure("largest mean |ln(deviation ratio)|", float(scales.max())),
    )
    loose = [one for one in found if not one.trained and max(one.shift, one.scale) > STILL]
    level, says, advice = _judge(worst, float(scales.max()), loose, len(found))
    details = {"layers": [[one.name, one.shift, one.scale] for one in found]}
    return Diagnosis("norm_drift", TITLE, level, says, figures, advice, details)


def _judge(worst: Drift, scale: float, loose: list[Drift], layers: int) -> tuple[str, str, str]:
    largest = max(worst.shift, scale)
    where = f"by up to {worst.shift:.2f} source deviations (`{worst.name}`)"
    if largest <= STILL:
        return OK, "BatchNorm's running statistics are those of the source model.", ""
    if loose and max(max(one.shift, one.scale) for one in loose) > FAR / 5:
        return (
            WARNING,
            f"{len(loose)} of {layers} BatchNorm layers kept updating their statistics although their "
            f"own weights are frozen, {where}.",
            "Keep frozen BatchNorm layers in evaluation mode while training (`freeze_norm`).",
        )
    if largest <= FAR:
        return OK, f"BatchNorm's running statistics moved {where}: little.", ""
    level = WARNING if largest > VERY_FAR else NOTICE
    return (
        level,
        f"BatchNorm's running statistics drifted {where}: the target's pictures differ from the "
        "source's, or the batches were small.",
        "Freeze BatchNorm's statistics (`freeze_norm`), or train with larger batches; predictions for "
        "one picture then no longer depend on its batch.",
    )
