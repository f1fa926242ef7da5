"""Averages the weights of the networks that other methods have trained already."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from headstart.methods.base import Base, param

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Method", "average", "greedy"]

RANK = 9


def average(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of several networks' tensors (Wortsman et al. 2022, Model soups, table 2).

    Args:
        states: tensors by name, of one architecture; at least one.

    Returns:
        new tensors; counters are the first one's.
    """
    import torch

    return {
        name: torch.stack([state[name] for state in states]).mean(dim=0)
        if value.is_floating_point()
        else value.clone()
        for name, value in states[0].items()
    }


def greedy(scores: Sequence[float], judge: Callable[[list[int]], float]) -> list[int]:
    """Choose ingredients from the best to the worst, as long as the soup doesn't get worse.

    Wortsman et al. 2022, Model soups, recipe 1.

    Args:
        scores: of each network alone, on validation rows.
        judge: the score of a soup of some networks on the same rows.

    Returns:
        the chosen networks, the best first.

    >>> greedy([0.8, 0.9, 0.7], lambda chosen: 0.95 if chosen == [1, 2] else 0.85)
    [1, 2]
    """
    order = sorted(range(len(scores)), key=lambda index: -scores[index])
    chosen, best = [order[0]], scores[order[0]]
    for index in order[1:]:
        found = judge([*chosen, index])
        if found >= best:
            chosen, best = [*chosen, index], found
    return chosen


@dataclass(frozen=True)
class Method(Base):
    """A model soup over this run's trials; it trains nothing."""

    family: ClassVar[str] = "finetune"
    summary: ClassVar[str] = "Average the weights of the networks that this run has fine-tuned."
    try_when: ClassVar[str] = (
        "Two or more fine-tunings of one source model are paid for: it costs a look at the "
        "validation rows. Name them and it: `--method full --method gradual --method soup`."
    )
    hurts_when: ClassVar[str] = (
        "The trainings ended far from each other: between them the loss may be high, and a "
        "uniform soup takes the worst along."
    )
    relative_gain: ClassVar[float] = 0.05
    unasked: ClassVar[bool] = False

    kind: str = param(
        "greedy", "take what helps, or all in equal shares", choices=("greedy", "uniform")
    )

    def combine(self, scores: Sequence[float], judge: Callable[[list[int]], float]) -> list[int]:
        """Which networks to average.

        Args:
            scores: of each network alone, on validation rows.
            judge: the score of a soup of some networks on the same rows.
        """
        return greedy(scores, judge) if self.kind == "greedy" else list(range(len(scores)))
