"""In which precision a training computes: bfloat16 where the processor and the network gain by it."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from headstart.train.recipe import Recipe

__all__ = ["fast_half", "settled"]


def settled(recipe: Recipe, tail: nn.Module) -> Recipe:
    """The recipe with its precision decided: ``float32`` or ``bf16``.

    ``auto`` decides by the machine and the layers, never by the clock, so that a seed gives the
    same network each time. On a graphics processor it is bf16. On a processor whose matrix
    instructions take bfloat16, networks of convolutions and linear layers train 1.4 to 1.9
    times as fast under autocast; those with depthwise convolutions 0.4 to 1.2 times
    (``benchmarks/results/precision.json``).

    Args:
        recipe: of the training.
        tail: what trains, before anything is added to it.
    """
    if recipe.precision != "auto":
        return recipe
    return replace(recipe, precision="bf16" if _gains(tail) else "float32")


def _gains(tail: nn.Module) -> bool:
    import torch
    from torch import nn

    if torch.cuda.is_available():
        return True
    layers = [m for m in tail.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    return fast_half() and bool(layers) and not any(map(_depthwise, layers))


def _depthwise(layer: nn.Module) -> bool:
    return getattr(layer, "groups", 1) > 1 and layer.groups == layer.in_channels


@functools.cache
def fast_half() -> bool:
    """Whether this processor multiplies bfloat16 matrices itself (AVX512-BF16 or AMX)."""
    import torch

    asked = (torch.cpu._is_avx512_bf16_supported, torch.cpu._is_amx_tile_supported)
    return any(found() for found in asked)
