"""Always answers with the mean of the training rows' numbers: what a model that learned nothing scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from headstart.methods.base import Base

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = ["Method"]

RANK = 1


@dataclass(frozen=True)
class Method(Base):
    """The mean of the labels."""

    family: ClassVar[str] = "control"
    tasks: ClassVar[tuple[str, ...]] = ("regress",)
    summary: ClassVar[str] = "Predict the mean of the training rows' numbers."
    try_when: ClassVar[str] = "Always in regression: a model that isn't better has learned nothing."
    hurts_when: ClassVar[str] = "Never; it costs nothing."

    def predict(self, targets: Array, classes: int, rows: int) -> Array:
        """Numbers (rows, 1) that don't depend on the row."""
        return np.full((rows, classes), float(np.mean(targets)))
