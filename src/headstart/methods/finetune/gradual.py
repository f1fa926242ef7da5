"""Trains the head first, then one stage more at a time, from the top of the network downwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from headstart.methods.base import Recipe, Situation, epochs_for, input_size, param
from headstart.methods.finetune.base import Trained

__all__ = ["Method"]

RANK = 6


@dataclass(frozen=True)
class Method(Trained):
    """Gradual unfreezing (Howard and Ruder 2018, ULMFiT, section 3.2)."""

    summary: ClassVar[str] = "Fine-tune from the head downwards, one stage more every few epochs."
    try_when: ClassVar[str] = (
        "Full fine-tuning forgets: the last stages settle on the target before the first ones move."
    )
    hurts_when: ClassVar[str] = (
        "Few epochs: stages that are never reached stay frozen; or a target whose first layers "
        "have to change most."
    )
    relative_gain: ClassVar[float] = 0.2
    unasked: ClassVar[bool] = False

    every: int = param(1, "epochs from one stage to the next", low=1, high=500)
    epochs: int = param(
        0, "passes over the rows; 0 sets them from the number of rows", low=0, high=500
    )
    batch: int = param(32, "rows in one step", low=1, high=1024)
    rate: float = param(4e-4, "largest learning rate of the head", low=0, high=1)
    body_rate: float = param(2e-4, "largest learning rate of the last stage", low=0, high=1)
    decay: float = param(0.8, "factor of the rate from one stage to the one before", low=0, high=1)
    weight_decay: float = param(0.02, "AdamW's weight decay", low=0, high=1)
    smoothing: float = param(0.1, "label smoothing", low=0, high=0.9)
    smallest: float = param(
        0.5, "smallest share of the picture that a view keeps", low=0.05, high=1
    )
    size: int = param(0, "side of the input in px; 0 fits it to the pictures", low=0, high=1024)

    def recipe(self, situation: Situation) -> Recipe:
        """Turn the parameters into a recipe for this situation."""
        return Recipe(
            point="input",
            epochs=self.epochs or epochs_for(situation.rows, 900, self.batch, 12, 25),
            batch=self.batch,
            rate=self.rate,
            body_rate=self.body_rate,
            decay=self.decay,
            weight_decay=self.weight_decay,
            smoothing=self.smoothing,
            **situation.views(self.smallest),
            size=self.size or input_size(situation.native, situation.size),
            unfreeze_every=self.every,
            **self.shared(),
        )
