"""BatchNorm's running statistics as a memory of how pictures were prepared in training.

Over natural pictures prepared rightly, mean and variance of what enters the first BatchNorm lie near
those it kept. The distance is the Kullback-Leibler divergence between the two Gaussians of a channel,
averaged over the channels. benchmarks/contract_check.py measures how far it separates.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from headstart.features.stored import NORMALISATIONS
from headstart.sources.base import Contract, Network
from headstart.sources.norms import untold

if TYPE_CHECKING:
    from torch import Tensor

    from headstart.types import Array

__all__ = ["FEWEST", "better", "distance", "suspect"]

FEWEST = 8
NEAR, FAR, RATIO = 0.2, 0.3, 4.0
"""A contract is suspected where its distance is at least FAR and RATIO times another's that is NEAR."""
HOPELESS = 30.0
"""Or where it is so many times the other's, as for pixels in 0..255, whatever the pictures show."""


class _Seen(Exception):
    """Ends the forward pass once the first BatchNorm was reached."""


def suspect(network: Network, contract: Contract, pictures: Array) -> tuple[str, str]:
    """Whether another usual normalisation fits BatchNorm's statistics clearly better.

    Args:
        network: in evaluation mode.
        contract: the one that is declared.
        pictures: uint8 (n, size, size, 3), natural ones; under eight say too little.

    Returns:
        a sentence with the suspicion (empty: none), and what was seen.
    """
    if len(pictures) < FEWEST:
        return "", f"{len(pictures)} pictures are too few"
    declared = distance(network, contract, pictures)
    if declared is None:
        return "", "no BatchNorm keeps statistics of its training"
    others = {
        name: distance(network, replace(contract, mean=mean, std=std), pictures) or 0.0
        for name, (mean, std) in NORMALISATIONS.items()
    }
    seen = f"distance {declared:.2g} from BatchNorm's, the nearest other {min(others.values()):.2g}"
    name = better(declared, others)
    if not name:
        return "", seen
    return (
        "the pictures, prepared as its contract says, don't fit what BatchNorm saw in training "
        f"({declared:.2g}); with {name} they do ({others[name]:.2g})"
    ), seen


def better(declared: float, others: dict[str, float]) -> str:
    """The normalisation whose distance is clearly below the declared one's; empty where none is."""
    least = min(others.values())
    if declared >= HOPELESS * least or (least <= NEAR and declared >= max(FAR, RATIO * least)):
        return next(name for name, value in others.items() if value <= 1.1 * least)
    return ""


def distance(network: Network, contract: Contract, pictures: Array) -> float | None:
    """Mean over channels of KL(observed || kept) at the first BatchNorm; None where there is none.

    Args:
        network: in evaluation mode.
        contract: how the pictures become its input.
        pictures: uint8 (n, size, size, 3).
    """
    import torch
    from torch import nn

    from headstart.features.engine import pixels

    norms = [part for part in network.model.modules() if isinstance(part, nn.BatchNorm2d)]
    found: list[tuple[Tensor, Any]] = []

    def look(norm: Any, given: tuple[Tensor, ...]) -> None:
        found.append((given[0], norm))
        raise _Seen

    hooks = [norm.register_forward_pre_hook(look) for norm in norms]
    device = next(network.model.parameters()).device
    batch = pixels(contract)(torch.from_numpy(pictures)).to(device)
    try:
        with torch.no_grad():
            network.part()(batch)
    except _Seen:
        pass
    finally:
        for hook in hooks:
            hook.remove()
    if not found or found[0][1].running_mean is None or untold(found[0][1].state_dict()):
        return None
    x, norm = found[0]
    mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3)) + norm.eps
    kept = norm.running_var + norm.eps
    shift = (mean - norm.running_mean).square() / kept
    ratio = variance / kept
    return float((0.5 * (ratio + shift - 1 - ratio.log())).mean())
