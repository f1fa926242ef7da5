"""The learning-rate range test: the loss while the rate rises step by step, on a copy of the network."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.train import added
from headstart.train.hold import Holds
from headstart.train.objective import Objective, drawn
from headstart.train.optim import groups
from headstart.train.parts import select, set_mode
from headstart.train.precision import settled

if TYPE_CHECKING:
    from torch import nn

    from headstart.train.recipe import Recipe
    from headstart.types import Array

__all__ = ["RangeTest", "range_test", "suggested"]

STEPS = 40
LOW, HIGH = 1e-2, 1e3
"""The rates' range, as factors of the recipe's."""
SMOOTH = 0.7
"""Share of the old mean in the running mean of the losses."""
DIVERGED = 3.0
"""The test stops where the loss is this many times its lowest value."""


@dataclass(frozen=True)
class RangeTest:
    """What a range test found.

    Attributes:
        rates: the head's learning rate of each step, rising; other groups keep their ratio to it.
        losses: the running mean of the loss after each step.
        suggestion: the head's rate where the loss falls most steeply; None where it never falls.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float | None

    def as_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return asdict(self)


def range_test(
    tail: nn.Sequential,
    feed: Any,
    targets: Array,
    rows: Sequence[int],
    recipe: Recipe,
    *,
    seed: int,
    steps: int = STEPS,
    low: float = LOW,
    high: float = HIGH,
) -> RangeTest:
    """Train for a few steps at rates that rise geometrically (Smith 2017, section 3.3).

    It works on a copy: the tail keeps its weights, its statistics and its mode.

    Args:
        tail: the trained part with the head last.
        feed: the inputs.
        targets: class index of every row of the data.
        rows: the training rows.
        recipe: of the training that follows; its regularisers are left out.
        seed: of the order of the rows and of dropout.
        steps: at most; fewer where the loss leaves the range.
        low, high: the first and the last rate, as factors of the recipe's.

    Raises:
        ValueError: the recipe has no rate to be scaled, or the range is empty.
    """
    import torch

    if recipe.rate <= 0 or not 0 < low < high or steps < 2:
        raise ValueError("a range test needs a positive rate, 0 < low < high, and two steps")
    torch.manual_seed(seed)
    trial = copy.deepcopy(tail).to(memory_format=torch.channels_last)
    recipe = settled(recipe, trial)
    added.attach(trial, recipe)
    select(trial, recipe, recipe.epochs)
    set_mode(trial, recipe)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    trial.to(device)
    optimiser = torch.optim.AdamW(groups(trial, recipe), lr=recipe.rate)
    objective = Objective(recipe, targets, rows, Holds(trial, (), recipe), seed)
    factors = np.geomspace(low, high, steps)
    rates: list[float] = []
    losses: list[float] = []
    mean = 0.0
    for index, part in enumerate(_batches(rows, targets, recipe, seed, steps)):
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * float(factors[index])
        loss = objective(trial, feed.batch(part, 0).to(device), part, (0, index)).whole
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if recipe.clip > 0:
            torch.nn.utils.clip_grad_norm_(trial.parameters(), recipe.clip)
        optimiser.step()
        mean = SMOOTH * mean + (1 - SMOOTH) * float(loss.detach())
        smooth = mean / (1 - SMOOTH ** (index + 1))
        if not math.isfinite(smooth):
            break
        rates.append(recipe.rate * float(factors[index]))
        losses.append(smooth)
        if smooth > DIVERGED * min(losses):
            break
    return RangeTest(tuple(rates), tuple(losses), suggested(rates, losses))


def _batches(
    rows: Sequence[int], targets: Array, recipe: Recipe, seed: int, count: int
) -> list[list[int]]:
    """As many batches as are needed, epoch after epoch."""
    out: list[list[int]] = []
    epoch = 0
    while len(out) < count:
        random = np.random.default_rng((seed, 17, epoch))
        order = drawn(np.asarray(rows), targets, recipe.balance, random)
        whole = max(1, len(order) // recipe.batch)
        out += [part.tolist() for part in np.array_split(order, whole)]
        epoch += 1
    return out[:count]


def suggested(rates: Sequence[float], losses: Sequence[float]) -> float | None:
    """The rate where the loss falls most steeply with the rate's logarithm, before its lowest value.

    Args:
        rates: rising, each a constant factor above the one before.
        losses: after each step.

    Returns:
        one of the rates; None where the loss never falls.

    >>> suggested([1e-4, 1e-3, 1e-2, 1e-1, 1], [1.0, 0.95, 0.6, 0.5, 2.0])
    0.01
    """
    lowest = int(np.argmin(losses)) if len(losses) else 0
    if lowest == 0:
        return None
    falls = np.diff(losses[: lowest + 1])
    return float(rates[int(np.argmin(falls)) + 1])
