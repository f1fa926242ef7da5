"""Augmented views of a frame: random crops, flips and light, the same for the same seed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from headstart.features.randaugment import randaugment

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = ["Augment", "augmented", "generator"]


@dataclass(frozen=True)
class Augment:
    """What an augmented view may change.

    Attributes:
        smallest: the smallest share of the frame's area that a crop keeps.
        mirror: flip left and right at random.
        turn: flip up and down and turn by quarter turns too, for pictures without an upside.
        light: the largest change of brightness and contrast, as a share.
        kind: ``standard``, or ``randaugment`` in place of ``light``.
    """

    smallest: float = 0.35
    mirror: bool = True
    turn: bool = False
    light: float = 0.2
    kind: str = field(default="standard", repr=False)


def generator(seed: int, row: int, view: int) -> np.random.Generator:
    """The random numbers of one view of one row, whatever order the views are made in."""
    return np.random.default_rng((seed, row, view))


def augmented(frame: Array, size: int, how: Augment, random: np.random.Generator) -> Array:
    """Make one augmented view.

    Args:
        frame: uint8, (height, width, 3).
        size: the side of the view in px.
        how: what may change.
        random: the view's own generator.

    Returns:
        uint8, (size, size, 3).
    """
    height, width = frame.shape[:2]
    for _ in range(10):
        area = height * width * random.uniform(how.smallest, 1.0)
        ratio = float(np.exp(random.uniform(np.log(3 / 4), np.log(4 / 3))))
        wide, high = (area * ratio) ** 0.5, (area / ratio) ** 0.5
        if wide <= width and high <= height:
            break
    else:
        wide = high = float(min(height, width))
    left, top = random.uniform(0, width - wide), random.uniform(0, height - high)
    image = Image.fromarray(frame).resize(
        (size, size), Image.Resampling.BICUBIC, box=(left, top, left + wide, top + high)
    )
    view = np.asarray(image)
    if how.mirror and random.random() < 0.5:
        view = view[:, ::-1]
    if how.turn:
        view = np.rot90(view, int(random.integers(4)))
    if how.kind == "randaugment":
        return randaugment(view, random)
    if how.light > 0:
        gain, offset = random.uniform(1 - how.light, 1 + how.light, 2)
        mean = float(view.mean())
        table = np.clip(((np.arange(256) - mean) * gain + mean) * offset, 0, 255).astype(np.uint8)
        view = table[view]
    return np.ascontiguousarray(view)
