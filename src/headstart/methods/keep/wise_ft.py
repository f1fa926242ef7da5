"""Keeps a share of the source model: weights between the start of the fine-tuning and its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from headstart.methods.base import Base, param

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from headstart.types import Array

__all__ = ["Method", "interpolate"]

RANK = 1


def interpolate(
    start: Mapping[str, Tensor], end: Mapping[str, Tensor], share: float
) -> dict[str, Tensor]:
    """Wortsman et al. 2022 (WiSE-FT), eq. 1: (1 − α)·θ_0 + α·θ_1.

    Args:
        start: tensors by name, of the source model with the probe's head.
        end: the same, fine-tuned.
        share: α; 0 gives the start, 1 the end.

    Returns:
        new tensors; counters are the end's.
    """
    if share in (0.0, 1.0):
        return {name: value.clone() for name, value in (end if share else start).items()}
    return {
        name: start[name].lerp(value, share) if value.is_floating_point() else value.clone()
        for name, value in end.items()
    }


@dataclass(frozen=True)
class Method(Base):
    """WiSE-FT, with α chosen on the validation rows of the folds already trained."""

    family: ClassVar[str] = "keep"
    summary: ClassVar[str] = (
        "Interpolate between the source model with its probe and the fine-tuned one."
    )
    try_when: ClassVar[str] = (
        "Fine-tuning forgets: new pictures may come from outside the target's domain, or rows are few."
    )
    hurts_when: ClassVar[str] = (
        "The weights had to move far, so that the way between start and end is worse than both."
    )

    unasked: ClassVar[bool] = False

    steps: int = param(6, "places tried from the start to the end, both among them", low=2, high=51)

    def shares(self) -> Array:
        """The α that are tried, (steps,), from 0 to 1."""
        return np.linspace(0.0, 1.0, self.steps)

    def choose(self, losses: Array) -> float:
        """The α with the lowest loss; of equals the largest, which is nearest to the training.

        Args:
            losses: (steps,), on validation rows.
        """
        return float(self.shares()[len(losses) - 1 - int(np.argmin(losses[::-1]))])
