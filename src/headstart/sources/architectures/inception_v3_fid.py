"""Inception-v3 as the Fréchet inception distance uses it (Heusel et al. 2017): other poolings.

TensorFlow's 2015 graph leaves the padding out of the average in the blocks 5b-d, 6b-e and 7b, and
7c has a maximum where the paper has an average.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["create"]


class _Block(nn.Module):
    """A block of timm's with its branches, and with a pooling of another kind."""

    def __init__(
        self, block: nn.Module, branches: tuple[tuple[str, ...], ...], *, most: bool = False
    ) -> None:
        super().__init__()
        for name, part in block.named_children():
            self.add_module(name, part)
        self._branches, self._most = branches, most

    def _pool(self, x: Tensor) -> Tensor:
        if self._most:
            return functional.max_pool2d(x, 3, stride=1, padding=1)
        return functional.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Every branch, side by side; a name with a bar gives two results of one input."""
        outputs = []
        for branch in self._branches:
            value = self._pool(x) if branch == ("branch_pool",) else x
            for name in branch:
                fork: list[Any] = [getattr(self, part) for part in name.split("|")]
                value = torch.cat([part(value) for part in fork], 1)
            outputs.append(value)
        return torch.cat(outputs, 1)


_A = (
    ("branch1x1",),
    ("branch5x5_1", "branch5x5_2"),
    ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"),
    ("branch_pool",),
)
_C = (
    ("branch1x1",),
    ("branch7x7_1", "branch7x7_2", "branch7x7_3"),
    tuple(f"branch7x7dbl_{number}" for number in range(1, 6)),
    ("branch_pool",),
)
_E = (
    ("branch1x1",),
    ("branch3x3_1", "branch3x3_2a|branch3x3_2b"),
    ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3a|branch3x3dbl_3b"),
    ("branch_pool",),
)


def create(classes: int, *, most: bool = True) -> nn.Module:
    """Make it with random weights; with the average in 7c where not ``most``."""
    import timm

    model: nn.Module = timm.create_model("inception_v3", num_classes=classes, aux_logits=False)
    for names, branches in (("5b 5c 5d", _A), ("6b 6c 6d 6e", _C), ("7b 7c", _E)):
        for name in names.split():
            block = _Block(getattr(model, f"Mixed_{name}"), branches, most=most and name == "7c")
            setattr(model, f"Mixed_{name}", block)
    return model
