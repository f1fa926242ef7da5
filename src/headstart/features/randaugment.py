"""RandAugment on one picture, through torchvision's operations and the view's own random numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from headstart.types import Array

__all__ = ["OPERATIONS", "randaugment"]

COUNT, STRENGTH = 2, 0.3
"""Operations on each picture, and their strength from 0 to 1: N = 2 and M = 9 of 30, as torchvision
has them and Cubuk et al. 2020 (table 6) mostly find best."""
OPERATIONS = (
    "identity",
    "shear_x",
    "shear_y",
    "shift_x",
    "shift_y",
    "rotate",
    "brightness",
    "colour",
    "contrast",
    "sharpness",
    "posterise",
    "solarise",
    "autocontrast",
    "equalise",
)
"""The paper's fourteen (section 3)."""


def randaugment(view: Array, random: np.random.Generator) -> Array:
    """Apply :data:`COUNT` operations drawn with replacement (Cubuk et al. 2020, figure 2).

    torchvision's own class draws from torch's global generator, which the training uses at the
    same time; its operations are called here with draws from the view's generator instead.

    Args:
        view: uint8, (height, width, 3).
        random: the view's own generator.

    Returns:
        uint8, (height, width, 3).
    """
    import torch

    image = torch.from_numpy(np.array(view)).permute(2, 0, 1)
    for _ in range(COUNT):
        name = OPERATIONS[int(random.integers(len(OPERATIONS)))]
        sign = 1.0 if random.random() < 0.5 else -1.0
        image = apply(image, name, sign * STRENGTH)
    out: Array = image.permute(1, 2, 0).contiguous().numpy()
    return out


def apply(image: Tensor, name: str, amount: float) -> Tensor:
    """One operation.

    Args:
        image: uint8, (3, height, width).
        name: from :data:`OPERATIONS`.
        amount: -1 to 1; operations without two directions take its size.
    """
    from torchvision.transforms.v2 import functional as ops

    height, width = image.shape[1:]

    def moved(angle: float = 0.0, x: float = 0.0, y: float = 0.0, lean: tuple[float, ...] = (0, 0)):  # type: ignore[no-untyped-def]
        return ops.affine(
            image, angle, [x, y], 1.0, list(lean), interpolation=ops.InterpolationMode.BILINEAR
        )

    degrees = float(np.degrees(np.arctan(0.3 * amount)))
    known: dict[str, Callable[[], Tensor]] = {
        "identity": lambda: image,
        "shear_x": lambda: moved(lean=(degrees, 0.0)),
        "shear_y": lambda: moved(lean=(0.0, degrees)),
        "shift_x": lambda: moved(x=150 / 331 * width * amount),
        "shift_y": lambda: moved(y=150 / 331 * height * amount),
        "rotate": lambda: moved(angle=30 * amount),
        "brightness": lambda: ops.adjust_brightness(image, 1 + 0.9 * amount),
        "colour": lambda: ops.adjust_saturation(image, 1 + 0.9 * amount),
        "contrast": lambda: ops.adjust_contrast(image, 1 + 0.9 * amount),
        "sharpness": lambda: ops.adjust_sharpness(image, 1 + 0.9 * amount),
        "posterise": lambda: ops.posterize(image, 8 - round(4 * abs(amount))),
        "solarise": lambda: ops.solarize(image, 255 * (1 - abs(amount))),
        "autocontrast": lambda: ops.autocontrast(image),
        "equalise": lambda: ops.equalize(image),
    }
    return known[name]()
