"""Trains the biases and norms of the source model and its head; every kernel stays as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from headstart.methods.base import Recipe, Situation, epochs_for, input_size, param
from headstart.methods.finetune.base import Trained

__all__ = ["Method"]

RANK = 4
VIEWS = 6
"""Cached views of each row, where a freeze point is given."""


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
    epochs: int = param(
        0, "passes over the rows; 0 sets them from the number of rows", low=0, high=500
    )
    batch: int = param(32, "rows in one step", low=1, high=1024)
    rate: float = param(4e-4, "largest learning rate of the head", low=0, high=1)
    body_rate: float = param(2e-3, "largest learning rate of the last stage", low=0, high=1)
    decay: float = param(1.0, "factor of the rate from one stage to the one before", low=0, high=1)
    weight_decay: float = param(0.02, "AdamW's weight decay, on the head", low=0, high=1)
    smoothing: float = param(0.1, "label smoothing", low=0, high=0.9)
    smallest: float = param(
        0.5, "smallest share of the picture that a view keeps", low=0.05, high=1
    )
    size: int = param(0, "side of the input in px; 0 fits it to the pictures", low=0, high=1024)

    def recipe(self, situation: Situation) -> Recipe:
        """Turn the parameters into a recipe for this situation."""
        whole = self.point in ("", "input")
        return Recipe(
            point=self.point or "input",
            epochs=self.epochs or epochs_for(situation.rows, 900, self.batch, 6, 25),
            batch=self.batch,
            rate=self.rate,
            body_rate=self.body_rate,
            decay=self.decay,
            weight_decay=self.weight_decay,
            smoothing=self.smoothing,
            views=0 if whole else VIEWS,
            **situation.views(self.smallest),
            size=self.size
            or (input_size(situation.native, situation.size) if whole else situation.size),
            trains="bias",
            **self.shared(),
        )
