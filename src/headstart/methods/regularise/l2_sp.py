"""Pulls the trained weights to the source model's instead of to zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from headstart.methods.base import param
from headstart.methods.regularise.base import Regulariser

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["Method", "distance"]

RANK = 1


def distance(
    body: Sequence[tuple[Tensor, Tensor]], head: Sequence[Tensor], strength: float, own: float
) -> Tensor:
    """Li, Grandvalet and Davoine 2018, eq. 2: α/2·‖w_S − w_S⁰‖² + β/2·‖w_S̄‖².

    Args:
        body: pairs of weights and their values at the start.
        head: weights that the source model doesn't have.
        strength: α.
        own: β.

    Returns:
        a scalar; 0 where nothing has moved and β is 0.
    """
    import torch

    moved = [(weight - start).square().sum() for weight, start in body]
    fresh = [weight.square().sum() for weight in head]
    zero = torch.zeros(())
    total: Tensor = 0.5 * strength * sum(moved, zero) + 0.5 * own * sum(fresh, zero)
    return total


@dataclass(frozen=True)
class Method(Regulariser):
    """L2-SP, a penalty with the source model as its starting point."""

    summary: ClassVar[str] = "Penalise the squared distance of the weights from the source model's."
    try_when: ClassVar[str] = (
        "Few rows and a source domain that is near: fine-tuning moves far and validation falls."
    )
    hurts_when: ClassVar[str] = (
        "The target looks unlike the source domain: the weights have to move, and it holds them."
    )

    strength: float = param(0.1, "alpha, on the distance of the source's weights; 0: off", low=0)
    head: float = param(0.01, "beta, on the squared size of the head's weights", low=0)

    def penalty(self, seen: Any) -> Tensor:
        """The penalty on the weights as they are."""
        return distance(seen.body, seen.head, self.strength, self.head)
