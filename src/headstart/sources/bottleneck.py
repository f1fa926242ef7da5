"""Bottleneck adapters in the blocks of a transformer, which stay in the network."""

from __future__ import annotations

import re

from torch import Tensor, nn

from headstart.errors import UsageError
from headstart.sources.network import Network

__all__ = ["Bottleneck", "insert", "split", "widened"]

_NAME = re.compile(r"(.+)\+bottleneck(\d+)", re.DOTALL)
_PLACES = ("proj_drop", "drop2")
"""Where the blocks of timm's vision transformers end the attention's and the second part's branch."""


class Bottleneck(nn.Module):
    """x + U·GELU(D·x + d) + u, with D to fewer numbers and U back (Houlsby et al. 2019, section 2.1).

    U and u start at zero, so that it starts as if it weren't there; D is drawn from N(0, 0.01²), as
    in the paper, from a seed of its own.

    Args:
        wide: numbers that come and go.
        width: numbers between.
        seed: of D.
    """

    def __init__(self, wide: int, width: int, seed: int) -> None:
        import torch

        super().__init__()
        self.adapter_down = nn.Linear(wide, width)
        self.adapter_up = nn.Linear(width, wide)
        draw = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            self.adapter_down.weight.copy_(0.01 * torch.randn(width, wide, generator=draw))
        for start in (self.adapter_down.bias, self.adapter_up.weight, self.adapter_up.bias):
            nn.init.zeros_(start)

    def forward(self, x: Tensor) -> Tensor:
        """The input and what is added to it, of the same shape."""
        out: Tensor = x + self.adapter_up(nn.functional.gelu(self.adapter_down(x)))
        return out


def insert(model: nn.Module, width: int) -> nn.Module:
    """Put an adapter behind each branch of a model's blocks, before it joins the residual.

    Raises:
        UsageError: the model has no such blocks.
    """
    count = 0
    for block in list(model.modules()):
        for place in _PLACES:
            if isinstance(getattr(block, place, None), nn.Dropout):
                layers = [layer for layer in block.modules() if isinstance(layer, nn.Linear)]
                if layers:
                    setattr(block, place, Bottleneck(layers[-1].out_features, width, count))
                    count += 1
    if not count:
        raise UsageError(
            "adapters: kind = 'bottleneck', but the network has no transformer blocks that they "
            "could go into: those of timm's vision transformers have.",
            "Leave the kind parallel, or: --method lora",
        )
    return model


def widened(network: Network, width: int) -> Network:
    """A network with adapters in its blocks; its architecture's name tells of them."""
    return Network(insert(network.model, width), f"{network.architecture}+bottleneck{width}")


def split(architecture: str) -> tuple[str, int]:
    """An architecture's name without its adapters, and their width; 0 where it has none.

    >>> split("vit_tiny_patch16_224+bottleneck16"), split("resnet18")
    (('vit_tiny_patch16_224', 16), ('resnet18', 0))
    """
    found = _NAME.fullmatch(architecture)
    return (found[1], int(found[2])) if found else (architecture, 0)
