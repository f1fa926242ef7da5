"""Moves the classifier's bias until its answers on the target have the source's class shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from headstart.methods.align._pooled import class_shares
from headstart.methods.align._shares import towards
from headstart.methods.align.base import Align, Domains, Head, param

__all__ = ["Method"]


@dataclass(frozen=True)
class Method(Align):
    """The source's class shares, kept (distribution alignment)."""

    summary: ClassVar[str] = (
        "Move the bias until the target's answers have the source's class shares."
    )
    try_when: ClassVar[str] = (
        "The classes are as frequent in the target as in the source, and only the subject or the style "
        "differs: a classifier moved to another subject often answers with one class too often."
    )
    hurts_when: ClassVar[str] = (
        "The classes' shares differ: what was right about them is undone. Test that first."
    )
    fixes: ClassVar[tuple[str, ...]] = ("covariate",)

    strength: float = param(
        1.0, "share of the way from the shares that it answers with to the source's", low=0, high=1
    )

    def align(self, domains: Domains) -> Head:
        """The head it starts from, with its bias moved.

        The mean answer is brought to a known distribution, as Berthelot et al. 2020 (ReMixMatch, section 3.1)
        do for guessed labels and Zhu, Ghahramani and Lafferty 2003 (eq. 9) for class masses.
        """
        return towards(domains, class_shares(domains), self.strength)
