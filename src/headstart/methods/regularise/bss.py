"""Lets go of what in the features hardly carries anything over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from headstart.methods.base import param
from headstart.methods.regularise.base import Regulariser

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Method", "smallest"]

RANK = 3


def smallest(features: Tensor, count: int) -> Tensor:
    """Chen et al. 2019 (BSS), eq. 4: the sum of the ``count`` smallest squared singular values.

    Args:
        features: (n, width) of one batch.
        count: how many; at most min(n, width) are there.

    Returns:
        a scalar.
    """
    import torch

    wide = features.double()
    gram = wide @ wide.T if wide.shape[0] <= wide.shape[1] else wide.T @ wide
    # eigenvalues of the smaller Gram matrix are the squares, with a gradient where two are equal
    total: Tensor = torch.linalg.eigvalsh(gram)[:count].clamp_min(0).sum().to(features.dtype)
    return total


@dataclass(frozen=True)
class Method(Regulariser):
    """Batch spectral shrinkage."""

    summary: ClassVar[str] = "Shrink the smallest singular values of each batch's features."
    try_when: ClassVar[str] = (
        "Few rows: the weakest directions of the source's features carry over worst."
    )
    hurts_when: ClassVar[str] = (
        "Many rows, or batches of a few rows: it then takes away what the target could use."
    )

    strength: float = param(0.001, "factor of the penalty; 0: off", low=0)
    count: int = param(1, "singular values to shrink, from the smallest", low=1, high=1024)

    def penalty(self, seen: Any) -> Tensor:
        """The penalty on this batch's features."""
        return self.strength * smallest(seen.features, self.count)
