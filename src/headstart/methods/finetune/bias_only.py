"""Trains the biases and norms of the source model and its head; every kernel stays as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from headstart.methods.base import Recipe, Situation, epochs_for, param
from headstart.methods.finetune.base import Trained, common, depth

__all__ = ["Method"]

RANK = 4


@dataclass(frozen=True)
class Method(Trained):
    """BitFit (Ben Zaken, Goldberg and Ravfogel 2022), with the norms' gains as well.

    A convolution in front of a norm has no bias of its own: the norm's shift is its bias.
    """

    summary: ClassVar[str] = "Train biases, norms and the head, under 1 % of the weights (BitFit)."
    try_when: ClassVar[str] = (
        "A few dozen to a few hundred rows whose light, contrast or texture differ from the source "
        "domain: too few numbers move for it to forget much."
    )
    hurts_when: ClassVar[str] = (
        "The target needs features that the source lacks; and it saves no time, as gradients "
        "still go through every layer."
    )
    relative_gain: ClassVar[float] = 0.15
    unasked: ClassVar[bool] = False

    point: str = param("", "freeze point; empty trains the whole network's biases")
    epochs: int = common("epochs")
    batch: int = common("batch")
    rate: float = common("rate")
    body_rate: float = common("body_rate", 2e-3)
    decay: float = common("decay", 1.0)
    weight_decay: float = common("weight_decay", help="AdamW's weight decay, on the head")
    smoothing: float = common("smoothing")
    smallest: float = common("smallest")
    size: int = common("size")

    def recipe(self, situation: Situation) -> Recipe:
        """Turn the parameters into a recipe for this situation."""
        return Recipe(
            **depth(self.point, self.size, situation),
            epochs=self.epochs or epochs_for(situation.rows, 900, self.batch, 6, 25),
            **situation.views(self.smallest),
            trains="bias",
            **self.shared(),
        )
