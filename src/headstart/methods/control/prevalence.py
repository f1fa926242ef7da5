"""Always answers with how frequent each label is: what a model that learned nothing scores."""

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
    """The share of the training rows that have each label."""

    family: ClassVar[str] = "control"
    tasks: ClassVar[tuple[str, ...]] = ("multilabel",)
    summary: ClassVar[str] = "Predict for every row how frequent each label is in training."
    try_when: ClassVar[str] = (
        "Always with several labels: a model that isn't better has learned nothing."
    )
    hurts_when: ClassVar[str] = "Never; it costs nothing."

    def predict(self, targets: Array, classes: int, rows: int) -> Array:
        """Probabilities (rows, labels) that don't depend on the row."""
        return np.tile(targets.mean(axis=0), (rows, 1))
