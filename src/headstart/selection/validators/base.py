"""What is known of an adapted classifier without one label of the target, and the scores made of it.

A file in this folder holds one function ``score(seen) -> float``, higher for what should be better on the
target, a docstring with the paper and its equation, ``NEEDS`` (what of :class:`Seen` it reads that costs
time) and ``FOOLED_WHEN``, one sentence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from headstart.methods.domains import Domains, Head

if TYPE_CHECKING:
    from headstart.types import Floats, Ints

__all__ = ["Seen"]


@dataclass(frozen=True)
class Seen:
    """One candidate with what may be asked about it.

    Attributes:
        head: of the candidate, trained on the source's training rows and the target's features.
        reference: the source-only head of the same rows.
        domains: the source's training rows and the target's features.
        held: float (m, d), features of source rows that no candidate was trained on.
        held_labels: (m,).
        ratios: float (m,), density ratios p_target(x) / p_source(x) at the held-out rows, mean 1.
        again: fits the same method on other domains (circular validation swaps them).
        seed: of whatever is drawn.
        before: source-only's probabilities on the target, where the features are not those that
            ``reference`` reads.
    """

    head: Head
    reference: Head
    domains: Domains
    held: Floats
    held_labels: Ints
    ratios: Floats
    again: Callable[[Domains], Head]
    seed: int = 0
    before: Floats | None = None

    @cached_property
    def unadapted(self) -> Floats:
        """Source-only's probabilities on the target, (n_t, classes)."""
        if self.before is not None:
            return self.before
        return self.reference.probabilities(self.domains.target)

    @cached_property
    def target(self) -> Floats:
        """The candidate's probabilities on the target, (n_t, classes)."""
        return self.head.probabilities(self.domains.target)

    @cached_property
    def held_out(self) -> Floats:
        """The candidate's probabilities on the held-out source rows, (m, classes)."""
        return self.head.probabilities(self.held)

    @cached_property
    def held_right(self) -> Floats:
        """1 where the candidate is right on a held-out source row, (m,)."""
        found: Floats = (self.held_out.argmax(axis=1) == self.held_labels).astype(np.float64)
        return found
