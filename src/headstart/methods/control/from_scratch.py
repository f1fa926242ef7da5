"""The same architecture from random weights, given at least the time that the winner took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from headstart.methods.base import Base, Recipe, Situation, input_size, param

__all__ = ["Method"]

RANK = 2


@dataclass(frozen=True)
class Method(Base):
    """Training from scratch: what the labels alone give, without the source model."""

    family: ClassVar[str] = "control"
    summary: ClassVar[str] = "Train the same architecture from random weights on the same rows."
    try_when: ClassVar[str] = "Always: the gain over it is what the transfer brought."
    hurts_when: ClassVar[str] = "Never; it only costs time."

    pictures: int = param(3000, "fewest pictures it sees, with repeats", low=1, high=10_000_000)
    batch: int = param(32, "rows in one step", low=1, high=1024)
    rate: float = param(2e-3, "largest learning rate", low=0, high=1)
    weight_decay: float = param(0.05, "AdamW's weight decay", low=0, high=1)
    largest: int = param(
        128, "largest side of the input in px: more epochs in the same time", low=32
    )

    def recipe(self, situation: Situation) -> Recipe:
        """The fewest epochs; the workflow adds more until the winner's time is matched."""
        return Recipe(
            point="input",
            epochs=max(1, -(-self.pictures // max(situation.rows, 1))),
            batch=self.batch,
            rate=self.rate,
            body_rate=self.rate,
            weight_decay=self.weight_decay,
            smoothing=0.1,
            **situation.views(0.35),
            freeze_norm=False,
            warm_head=False,
            pretrained=False,
            precision="auto",
            size=min(self.largest, input_size(situation.native, situation.size)),
        )
