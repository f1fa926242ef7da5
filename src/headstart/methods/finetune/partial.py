"""Freezes the source model up to a freeze point and trains what lies behind it from cached activations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from headstart.methods.base import Recipe, Situation, epochs_for, param
from headstart.methods.finetune.base import Trained

__all__ = ["Method"]

RANK = 2


@dataclass(frozen=True)
class Method(Trained):
    """Partial fine-tuning behind a freeze point, with every augmented view extracted once."""

    summary: ClassVar[str] = "Train the last blocks from cached activations of augmented views."
    try_when: ClassVar[str] = (
        "A few hundred rows or more, and the probe leaves errors that the source model's last "
        "blocks could mend: an epoch costs a fraction of one through the whole network."
    )
    hurts_when: ClassVar[str] = (
        "Very few rows (it overfits), or pictures so unlike the source domain that the frozen "
        "blocks already lose what matters: then `full` is worth its cost."
    )
    relative_gain: ClassVar[float] = 0.15

    point: str = param("", "freeze point; empty takes the source model's own")
    epochs: int = param(
        0, "passes over the rows; 0 sets them from the number of rows", low=0, high=500
    )
    batch: int = param(32, "rows in one step", low=1, high=1024)
    rate: float = param(1e-3, "largest learning rate of the head", low=0, high=1)
    body_rate: float = param(5e-4, "largest learning rate of the last block", low=0, high=1)
    decay: float = param(0.7, "factor of the rate from one block to the one before", low=0, high=1)
    weight_decay: float = param(0.02, "AdamW's weight decay", low=0, high=1)
    smoothing: float = param(0.1, "label smoothing", low=0, high=0.9)
    views: int = param(6, "augmented views of each row, extracted once and cached", low=1, high=64)
    smallest: float = param(
        0.5, "smallest share of the picture that a view keeps", low=0.05, high=1
    )

    def recipe(self, situation: Situation) -> Recipe:
        """Turn the parameters into a recipe for this situation."""
        return Recipe(
            point=self.point or situation.freeze_point,
            epochs=self.epochs or epochs_for(situation.rows, 1200, self.batch, 8, 30),
            batch=self.batch,
            rate=self.rate,
            body_rate=self.body_rate,
            decay=self.decay,
            weight_decay=self.weight_decay,
            smoothing=self.smoothing,
            views=self.views,
            **situation.views(self.smallest),
            size=situation.size,
            **self.shared(),
        )
