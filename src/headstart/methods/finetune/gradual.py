"""Trains the head first, then one stage more at a time, from the top of the network downwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from headstart.methods.base import Recipe, Situation, epochs_for, input_size, param
from headstart.methods.finetune.base import Trained, common

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
    epochs: int = common("epochs")
    batch: int = common("batch")
    rate: float = common("rate")
    body_rate: float = common("body_rate")
    decay: float = common("decay")
    weight_decay: float = common("weight_decay")
    smoothing: float = common("smoothing")
    smallest: float = common("smallest")
    size: int = common("size")

    def recipe(self, situation: Situation) -> Recipe:
        """Turn the parameters into a recipe for this situation."""
        return Recipe(
            point="input",
            epochs=self.epochs or epochs_for(situation.rows, 900, self.batch, 12, 25),
            **situation.views(self.smallest),
            size=self.size or input_size(situation.native, situation.size),
            unfreeze_every=self.every,
            **self.shared(),
        )
