"""Source models of pictures: converted under an architecture's names, proved by a made-up picture."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from headstart import registry
from headstart.sources.base import Contract, ImageSource, Network, create
from headstart.sources.store import Converted

if TYPE_CHECKING:
    from torch import Tensor

    from headstart.types import Array

__all__ = ["converted", "outputs", "pooled", "reference_input"]

PARTS = 8


def converted(source: ImageSource, files: dict[str, bytes]) -> Converted:
    """The package's tensors under the architecture's names, with its own head where it has one."""
    import torch

    assert source.distribution
    own = create(source.architecture, source.classes).state_dict()
    layout = registry.load("sources.convert", source.distribution.convert)
    state: dict[str, Tensor] = layout.state(files, own)
    for name in own:
        if name.endswith("num_batches_tracked"):
            state.setdefault(name, torch.tensor(0))
    return Converted(state)


def outputs(source: ImageSource, made: Converted) -> Array:
    """What the converted network gives for the reference picture."""
    return pooled(replace(source, weights=lambda: made.state).build(), source.contract)


def reference_input(size: int) -> Array:
    """A made-up picture of waves, float32 in 0..1, (1, 3, size, size)."""
    x, y = np.meshgrid(np.linspace(0, 1, size), np.linspace(0, 1, size))
    waves = [(3, 5, 0.0), (7, 2, 0.3), (4, 9, 0.6)]
    channels = [0.5 + 0.5 * np.sin(2 * np.pi * (a * x + b * y + c)) for a, b, c in waves]
    out: Array = np.stack(channels)[None].astype(np.float32)
    return out


def pooled(network: Network, contract: Contract) -> Array:
    """Means of eight equal parts of the reference picture's pooled features."""
    import torch

    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (contract.mean, contract.std))
    network.model.eval()
    with torch.no_grad():
        features = network.part()((torch.from_numpy(reference_input(contract.size)) - mean) / std)
    parts = np.array_split(features[0].double().numpy(), PARTS)
    out: Array = np.array([part.mean() for part in parts])
    return out
