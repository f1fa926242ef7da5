"""Learning rates by stage, and the schedule over the steps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from headstart.train.recipe import Recipe

__all__ = ["groups", "schedule", "stage_rates"]

CYCLE_RISE, LOWEST = 0.3, 0.04
"""One cycle's share of rising steps, and the factor that it begins at."""


def schedule(step: int, total: int, warmup: float, kind: str = "cosine") -> float:
    """Factor of the largest learning rate.

    ``cosine``: a linear rise, then half a cosine down to zero. ``one_cycle``: half a cosine up from
    1/25 over the first 30 %, then half a cosine down to nearly zero (Smith and Topin 2018, with
    the cosine ends and the share that are usual now).

    Args:
        step: from 0 to total - 1.
        total: steps in all.
        warmup: share of the steps that rise, 0 to 1; ``one_cycle`` has its own.
        kind: ``cosine`` or ``one_cycle``.

    >>> [round(schedule(step, 11, 0.1), 2) for step in (0, 1, 6, 10)]
    [0.5, 1.0, 0.41, 0.0]
    >>> [round(schedule(step, 11, 0.1, "one_cycle"), 2) for step in (0, 3, 10)]
    [0.04, 1.0, 0.0]
    """
    if kind == "one_cycle":
        top = max(1, round((total - 1) * CYCLE_RISE))
        if step < top:
            return LOWEST + (1 - LOWEST) * 0.5 * (1 - math.cos(math.pi * step / top))
        return 0.5 * (1 + math.cos(math.pi * (step - top) / max(1, total - 1 - top)))
    rise = max(1, round(total * warmup))
    if step < rise:
        return (step + 1) / (rise + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, total - 1 - rise)))


def stage_rates(stages: int, rate: float, decay: float) -> list[float]:
    """Discriminative learning rates, first stage first: the last stage has ``rate``.

    Howard and Ruder 2018 (ULMFiT), section 3.1: η(l-1) = η(l) · decay.

    >>> stage_rates(3, 0.1, 0.5)
    [0.025, 0.05, 0.1]
    """
    return [rate * decay ** (stages - 1 - index) for index in range(stages)]


def groups(tail: nn.Sequential, recipe: Recipe) -> list[dict[str, Any]]:
    """Parameter groups for AdamW: one rate for each stage; biases and norms don't decay.

    A parameter that the recipe never trains is in no group.
    """
    named = [
        (name, module)
        for name, module in tail.named_children()
        if any(True for _ in module.parameters())
    ]
    bodies = [name for name, _ in named if name != "head"]
    taken = {id(p) for name, module in named if name == "head" for p in module.parameters()}
    rates = dict(zip(bodies, stage_rates(len(bodies), recipe.body_rate, recipe.decay), strict=True))
    out: list[dict[str, Any]] = []
    for name, module in named:
        rate = recipe.rate if name == "head" else rates[name]
        own = [p for p in module.parameters() if recipe.trains == "all" or p.requires_grad]
        if name != "head":  # a network that isn't cut into stages has them all in each of its two
            own = [p for p in own if id(p) not in taken]
            taken |= {id(p) for p in own}
        weights = [p for p in own if p.ndim > 1]
        others = [p for p in own if p.ndim <= 1]
        for parameters, decay in ((weights, recipe.weight_decay), (others, 0.0)):
            if parameters:
                out.append({"params": parameters, "lr": rate, "peak": rate, "weight_decay": decay})
    return out
