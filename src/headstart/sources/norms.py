"""Whether BatchNorm's running statistics tell anything of the training."""

from __future__ import annotations

from typing import Any

__all__ = ["untold"]

NEAR_ONE = 2e-3
"""A folded norm keeps 1 minus its epsilon, which is at most 1e-3 in the networks that are known."""


def untold(state: dict[str, Any]) -> bool:
    """Whether some BatchNorm was folded into its convolution, or never trained.

    Such a layer keeps a mean of exactly zero and a variance of one in every channel, and its
    convolution does what the statistics did. Statistics taken anew would undo that: they must stay
    frozen, however many rows there are.

    Args:
        state: a state dict, of a network or of one BatchNorm.
    """
    for name, mean in state.items():
        if not name.endswith("running_mean"):
            continue
        variance = state.get(f"{name.removesuffix('mean')}var")
        if variance is None or not bool((mean == 0).all()):
            continue
        if bool(((variance - 1).abs() <= NEAR_ONE).all()):
            return True
    return False
