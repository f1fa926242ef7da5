"""What one pass over the data gives, whatever the modality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headstart.features.cache import Space
from headstart.features.engine import Check
from headstart.types import Skip

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = ["Swept"]


@dataclass(kw_only=True)
class Swept:
    """What the pass gave.

    Attributes:
        digests: of each row; empty for a row that can't be used.
        skips: the rows that can't be used.
        features: the space that holds each digest's features, float32 (width,).
        check: the engine and its agreement with the reference.
        width: of the features.
        seconds: that the pass took.
        computed: rows whose features were not in the cache.
        started: seconds until the first of them came, in which the engine was built.
        first: how many came with the first.
    """

    digests: list[str]
    skips: list[Skip]
    features: Space
    check: Check
    width: int
    seconds: float = 0.0
    computed: int = 0
    started: float = 0.0
    first: int = 0

    @property
    def rate(self) -> float:
        """Rows in a second once the engine ran; 0 where nothing was computed."""
        rest, seconds = self.computed - self.first, self.seconds - self.started
        if rest > 0 and seconds > 0:
            return rest / seconds
        return self.computed / self.seconds if self.computed and self.seconds else 0.0

    def matrix(self, indices: Sequence[int]) -> Array:
        """Features of some rows, float32 (len(indices), width)."""
        return self.features.matrix([self.digests[i] for i in indices], "<f4", (self.width,))
