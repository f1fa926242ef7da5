"""What a recipe adds to a network for the time of its training: low-rank updates, or adapters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headstart.train import adapters, lora

if TYPE_CHECKING:
    from torch import nn

    from headstart.train.recipe import Recipe

__all__ = ["attach", "merge"]

_KINDS = {"lora": lora, "adapters": adapters}


def attach(tail: nn.Sequential, recipe: Recipe) -> None:
    """Add what the recipe trains; the outputs don't change.

    Raises:
        UsageError: the tail has no layer for it.
    """
    if recipe.trains in _KINDS:
        _KINDS[recipe.trains].attach(tail, recipe)


def merge(tail: nn.Sequential, recipe: Recipe) -> None:
    """Write what was added into the layers' weights: one plain network is left."""
    if recipe.trains in _KINDS:
        _KINDS[recipe.trains].merge(tail)
