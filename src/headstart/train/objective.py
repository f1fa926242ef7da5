"""The loss of one batch: cross-entropy, weighted by class where asked, and what holds the model back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.train.hold import Holds

if TYPE_CHECKING:
    from torch import Tensor, nn

    from headstart.train.recipe import Recipe
    from headstart.types import Array

__all__ = ["Loss", "Objective", "class_weights", "drawn", "set_aside"]

ASIDE = 0.15
"""Share of each class's training rows set aside for early stopping."""


@dataclass
class Loss:
    """One batch's result: the whole loss to go down, the cross-entropy in it, the logits."""

    whole: Tensor
    entropy: Tensor
    output: Tensor


class Objective:
    """The loss of a training.

    Args:
        recipe: of the training.
        targets: class index of every row of the data.
        rows: the training rows.
        holds: the regularisers.
        seed: of what they mix.

    Attributes:
        half: whether the forward passes are in bfloat16, where that is safe; the rest never is.
    """

    def __init__(
        self, recipe: Recipe, targets: Array, rows: Sequence[int], holds: Holds, seed: int
    ) -> None:
        self.recipe, self.targets, self.holds, self.seed = recipe, targets, holds, seed
        self.half = recipe.precision == "bf16"
        self._weights: Array | None = None
        if recipe.balance == "weights":
            self._weights = class_weights(targets[list(rows)])

    def __call__(
        self, module: nn.Module, inputs: Tensor, part: list[int], place: tuple[int, int]
    ) -> Loss:
        """Run a batch.

        Args:
            module: the tail.
            inputs: of the batch, on the module's device.
            part: the batch's rows.
            place: epoch and number of the batch, by which mixing is seeded.
        """
        import torch

        wanted = torch.from_numpy(self.targets[part]).to(inputs.device)
        other, share = wanted, 1.0
        if self.holds.mixers:
            random = np.random.default_rng((self.seed, 11, *place))
            inputs, other, share = self.holds.mix(inputs, wanted, random)
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=self.half):
            output = module(inputs)
        output = output.float()
        entropy = self._entropy(output, wanted)
        if share < 1.0:
            entropy = share * entropy + (1.0 - share) * self._entropy(output, other)
        penalty = self.holds.penalty(inputs, wanted)
        return Loss(entropy if penalty is None else entropy + penalty, entropy, output)

    def _entropy(self, output: Tensor, wanted: Tensor) -> Tensor:
        import torch

        weights: Any = None
        if self._weights is not None:
            full = np.ones(output.shape[1], np.float32)
            full[: len(self._weights)] = self._weights
            weights = torch.from_numpy(full).to(output.device)
        return torch.nn.functional.cross_entropy(
            output, wanted, weight=weights, label_smoothing=self.recipe.smoothing
        )


def class_weights(targets: Array) -> Array:
    """A weight for each class, float32 (classes,): rows / (classes present · rows of the class).

    A class without rows has weight 1, which nothing uses.

    >>> class_weights(np.array([0, 0, 0, 1])).tolist()
    [0.6666666865348816, 2.0]
    """
    counts = np.bincount(targets)
    present = counts > 0
    out: Array = np.ones(len(counts), np.float32)
    out[present] = len(targets) / (present.sum() * counts[present])
    return out


def drawn(rows: Array, targets: Array, balance: str, random: np.random.Generator) -> Array:
    """The order of an epoch's rows: each once, or every class as often as any other.

    Args:
        rows: the training rows.
        targets: class index of every row of the data.
        balance: ``sampling`` draws rows with replacement, classes in equal shares.
        random: of the epoch.
    """
    if balance != "sampling":
        return random.permutation(rows)
    weights = class_weights(targets[rows])[targets[rows]].astype(np.float64)
    return random.choice(rows, len(rows), p=weights / weights.sum())


def set_aside(rows: Sequence[int], targets: Array, seed: int) -> tuple[list[int], list[int]]:
    """Split training rows into those that train and those by which early stopping judges.

    Every class with at least four rows gives :data:`ASIDE` of them, one at least; smaller classes
    give none. The rows that a trial is scored on have no part in this.

    Returns:
        rows to train on, rows set aside; both in the order given.
    """
    random = np.random.default_rng((seed, 13))
    own = np.asarray(rows)
    aside: set[int] = set()
    for label in np.unique(targets[own]):
        members = own[targets[own] == label]
        if len(members) >= 4:
            count = max(1, round(ASIDE * len(members)))
            aside.update(random.choice(members, count, replace=False).tolist())
    return [r for r in rows if r not in aside], [r for r in rows if r in aside]
