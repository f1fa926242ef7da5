"""Inception-v3 as TensorFlow runs it (Szegedy et al. 2016): averages leave the padding out."""

from __future__ import annotations

from torch import nn

from headstart.sources.architectures import inception_v3_fid

__all__ = ["create"]


def create(classes: int) -> nn.Module:
    """Make it with random weights."""
    return inception_v3_fid.create(classes, most=False)
