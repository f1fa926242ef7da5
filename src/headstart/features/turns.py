"""Averaging predictions over orientations, for pictures that have no upside.

A flaw in a cell or a tile is the same flaw mirrored: the mean of the four answers errs less than any
one of them (Krizhevsky et al. 2012, section 4.1, average over mirrored crops in the same way).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Merge", "Turns"]

COUNT = 4


class Turns(nn.Module):
    """Pictures (n, height, width, 3) → (4n, height, width, 3): as they are, mirrored, both ways."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the four orientations, one block after the other."""
        return torch.cat([x, x.flip(2), x.flip(1), x.flip(1, 2)])


class Merge(nn.Module):
    """Logits (4n, outputs) → (n, outputs), whose outputs are the mean of the four outputs.

    Args:
        kind: what the outputs are: ``softmax`` or ``sigmoid`` of the logits, or ``mean``, the logits
            themselves.
    """

    def __init__(self, kind: str = "softmax") -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of the mean outputs."""
        if self.kind == "mean":
            return x.float().view(COUNT, -1, x.shape[1]).mean(dim=0)
        if self.kind == "sigmoid":
            each = x.float().sigmoid().view(COUNT, -1, x.shape[1])
            return each.mean(dim=0).clamp(1e-7, 1 - 1e-7).logit()
        shares = x.float().softmax(dim=1).view(COUNT, -1, x.shape[1])
        return shares.mean(dim=0).clamp_min(1e-12).log()
