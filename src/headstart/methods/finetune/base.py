"""What every method that trains may be told: the schedule, the balance of classes, what holds it back."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

from headstart.methods.base import Base, param

__all__ = ["Trained"]


@dataclass(frozen=True)
class Trained(Base):
    """The base of every method that trains. Its parameters go into the recipe by their names."""

    family: ClassVar[str] = "finetune"

    schedule: str = param("cosine", "how the rate rises and falls", choices=("cosine", "one_cycle"))
    clip: float = param(5.0, "largest norm of the gradient; 0 clips nothing", low=0)
    accumulate: int = param(1, "batches whose gradients make one step", low=1, high=1024)
    ema: float = param(
        0.0, "decay of a moving average of the weights, which is kept; 0: none", low=0, high=0.99999
    )
    patience: int = param(
        0,
        "epochs without a lower loss on 15 % of the training rows, set aside, before it stops "
        "and takes its best epoch; 0 never stops",
        low=0,
        high=500,
    )
    balance: str = param(
        "none",
        "even out classes of unequal size, in the loss or in the draw of rows",
        choices=("none", "weights", "sampling"),
    )
    dropout: float = param(0.0, "share of the head's inputs dropped", low=0, high=0.95)
    drop_path: float = param(
        0.0, "share of the last residual block's branches dropped", low=0, high=0.95
    )
    augment: str = param("standard", "augmented views", choices=("standard", "randaugment"))
    regularise: str = param("", "regularisers by name, joined with +, such as l2_sp+mixup")
    keep: str = param("", "what is kept of the source's weights: wise_ft, or nothing")
    rate_test: bool = param(False, "measure the loss over a range of rates first, and save it")

    def shared(self) -> dict[str, Any]:
        """The parameters above, for :class:`headstart.methods.base.Recipe`."""
        return {spec.name: getattr(self, spec.name) for spec in dataclasses.fields(Trained)}
