"""Trains the whole source model from the probe's head, earlier stages at lower rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from headstart.methods.base import Recipe, Situation, epochs_for, input_size
from headstart.methods.finetune.base import Trained, common

__all__ = ["Method"]

RANK = 3
FEW_ROWS = 20_000


@dataclass(frozen=True)
class Method(Trained):
    """Full fine-tuning with discriminative learning rates, warm-started from the probe."""

    summary: ClassVar[str] = "Fine-tune the whole network from the probe's head (LP-FT)."
    try_when: ClassVar[str] = (
        "The target looks unlike the source domain, there are hundreds of rows or more, and there "
        "are minutes to spend."
    )
    hurts_when: ClassVar[str] = (
        "A few dozen rows (it forgets more than it learns), or labels so noisy that it learns the "
        "noise."
    )
    relative_gain: ClassVar[float] = 0.25

    epochs: int = common("epochs")
    batch: int = common("batch")
    rate: float = common("rate", search=(1e-4, 2e-3))
    body_rate: float = common("body_rate", search=(3e-5, 1e-3))
    decay: float = common("decay", search=(0.5, 1.0))
    weight_decay: float = common("weight_decay", search=(0.002, 0.2))
    smoothing: float = common("smoothing", search=(0.0, 0.2))
    smallest: float = common("smallest")
    size: int = common("size")

    def recipe(self, situation: Situation) -> Recipe:
        """Turn the parameters into a recipe for this situation."""
        return Recipe(
            point="input",
            epochs=self.epochs or epochs_for(situation.rows, 900, self.batch, 6, 25),
            views=0,
            **situation.views(self.smallest),
            freeze_norm=situation.rows < FEW_ROWS or situation.folded_norm,
            size=self.size or input_size(situation.native, situation.size),
            **self.shared(),
        )
