"""Always answers with the training rows' class shares: what a model that learned nothing scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from headstart.methods.base import Base

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = ["Method", "shares"]

RANK = 1


def shares(targets: Array, classes: int) -> Array:
    """The share of each class, (classes,)."""
    counts: Array = np.bincount(targets, minlength=classes) / max(len(targets), 1)
    return counts


@dataclass(frozen=True)
class Method(Base):
    """The majority class."""

    family: ClassVar[str] = "control"
    tasks: ClassVar[tuple[str, ...]] = ("classify",)
    summary: ClassVar[str] = "Predict the most frequent class of the training rows."
    try_when: ClassVar[str] = "Always: a model that isn't better than this has learned nothing."
    hurts_when: ClassVar[str] = "Never; it costs nothing."

    def predict(self, targets: Array, classes: int, rows: int) -> Array:
        """Probabilities (rows, classes) that don't depend on the row."""
        return np.tile(shares(targets, classes), (rows, 1))
