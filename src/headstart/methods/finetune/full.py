"""Trains the whole source model from the probe's head, earlier stages at lower rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from headstart.methods.base import Recipe, Situation, epochs_for, input_size, param
from headstart.methods.finetune.base import Trained

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
            epochs=self.epochs or epochs_for(situation.rows, 900, self.batch, 6, 25),
            batch=self.batch,
            rate=self.rate,
            body_rate=self.body_rate,
            decay=self.decay,
            weight_decay=self.weight_decay,
            smoothing=self.smoothing,
            views=0,
            **situation.views(self.smallest),
            freeze_norm=situation.rows < FEW_ROWS or situation.folded_norm,
            size=self.size or input_size(situation.native, situation.size),
            **self.shared(),
        )
