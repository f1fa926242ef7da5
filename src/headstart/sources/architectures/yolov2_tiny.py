"""The eight convolutions under YOLOv2-tiny's detector (Redmon and Farhadi 2017), average pooled."""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise

from torch import nn

from headstart.sources.architectures._plain import Plain

__all__ = ["WIDTHS", "create"]

WIDTHS = (3, 16, 32, 64, 128, 256, 512, 1024, 512)
EPS = 1e-6  # as Darknet divides
POOLED = 5
"""Convolutions with a pooling of stride 2 after them."""


def create(classes: int) -> nn.Module:
    """Make it with random weights; without the ninth convolution, which gives the boxes."""
    blocks: OrderedDict[str, nn.Module] = OrderedDict()
    for number, (before, after) in enumerate(pairwise(WIDTHS), 1):
        block = [
            nn.Conv2d(before, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after, eps=EPS),
            nn.LeakyReLU(0.1, inplace=True),
        ]
        if number <= POOLED:
            block.append(nn.MaxPool2d(2))
        elif number == POOLED + 1:  # a pooling of stride 1, padded at the end
            block += [nn.ReplicationPad2d((0, 1, 0, 1)), nn.MaxPool2d(2, 1)]
        blocks[f"block{number}"] = nn.Sequential(*block)
    return Plain(blocks, WIDTHS[-1], classes, 416)
