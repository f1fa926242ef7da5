"""Trains low-rank updates of the layers' weights, and adds them to the weights at the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from headstart.methods.base import Recipe, Situation, epochs_for, param
from headstart.methods.finetune.base import Trained, common, depth

__all__ = ["Method"]

RANK = 5


@dataclass(frozen=True)
class Method(Trained):
    """LoRA (Hu et al. 2022) on linear and convolution layers; the bundle is one plain network."""

    summary: ClassVar[str] = (
        "Train low-rank updates of the weights and the head, merged at the end."
    )
    try_when: ClassVar[str] = (
        "A large source model, above all a transformer, and rows or memory too few for `full`."
    )
    hurts_when: ClassVar[str] = (
        "Small convolution networks, whose kernels are hardly larger than their updates: `full` "
        "costs the same and can do more."
    )
    relative_gain: ClassVar[float] = 0.15
    unasked: ClassVar[bool] = False

    rank: int = param(8, "rank of the updates", low=1, high=512)
    alpha: float = param(16.0, "the updates are multiplied by alpha / rank", low=0, high=4096)
    targets: str = param(
        "both",
        "layers that get an update; grouped convolutions never do",
        choices=("linear", "convolution", "both"),
    )
    point: str = param("", "freeze point; empty gives updates to the whole network")
    epochs: int = common("epochs")
    batch: int = common("batch")
    rate: float = common("rate")
    body_rate: float = common("body_rate")
    decay: float = common("decay", 1.0)
    weight_decay: float = common("weight_decay")
    smoothing: float = common("smoothing")
    smallest: float = common("smallest")
    size: int = common("size")

    def recipe(self, situation: Situation) -> Recipe:
        """Turn the parameters into a recipe for this situation."""
        return Recipe(
            **depth(self.point, self.size, situation),
            epochs=self.epochs or epochs_for(situation.rows, 900, self.batch, 6, 25),
            **situation.views(self.smallest),
            trains="lora",
            rank=self.rank,
            alpha=self.alpha,
            targets=self.targets,
            **self.shared(),
        )
