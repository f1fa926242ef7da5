"""Darknet's ``.weights``: a header of 20 bytes, then each layer's float32 numbers in order."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.errors import SourceError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["state"]

HEADER = 20
"""Three int32 of the version, and an int64 of the pictures seen, from version 0.2 on."""
BOXES = 425
"""Outputs of the last convolution: 5 anchors, each with 4 coordinates, 1 confidence, 80 classes."""


def state(files: Mapping[str, bytes], own: Mapping[str, Any]) -> dict[str, Tensor]:
    """Give Darknet's numbers the architecture's names; the box-giving convolution is left out.

    A layer with BatchNorm lies as bias, scale, mean, variance, kernel; the last one as bias, kernel.

    Args:
        files: one ``.weights`` file.
        own: the state dict of the architecture without a head.

    Raises:
        SourceError: the file isn't Darknet's, or holds more or fewer numbers.
    """
    import torch

    name, data = next(iter(files.items()))
    if len(data) < HEADER or struct.unpack("<2i", data[:8]) < (0, 2):
        raise SourceError(f"{name} isn't a file of weights by Darknet 0.2 or later.")
    numbers = np.frombuffer(data, "<f4", offset=HEADER, count=(len(data) - HEADER) // 4)
    kernels = [key for key, value in own.items() if value.ndim == 4]
    norms = [key.removesuffix("running_mean") for key in own if key.endswith("running_mean")]
    last = int(own[kernels[-1]].shape[0])
    wanted = sum(own[key].numel() for key in own if not key.endswith("num_batches_tracked"))
    wanted += BOXES * (last + 1)
    if len(numbers) != wanted:
        raise SourceError(f"{name} holds {len(numbers)} numbers; {wanted} were expected.")
    out: dict[str, Tensor] = {}
    place = 0

    def take(key: str) -> None:
        nonlocal place
        shape = tuple(own[key].shape)
        count = int(np.prod(shape))
        out[key] = torch.from_numpy(numbers[place : place + count].reshape(shape).copy())
        place += count

    for kernel, norm in zip(kernels, norms, strict=True):
        for part in ("bias", "weight", "running_mean", "running_var"):
            take(f"{norm}{part}")
        take(kernel)
    return out
