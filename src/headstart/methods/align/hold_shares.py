"""Moves an adapted classifier's bias back, so that the class shares of its answers change less."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from headstart.methods.align._shares import shares_of, towards
from headstart.methods.align.base import Align, Domains, Head, param

__all__ = ["Method"]


@dataclass(frozen=True)
class Method(Align):
    """The answers' class shares, half held."""

    summary: ClassVar[str] = (
        "After another method: give back half of what it changed in the class shares of the answers."
    )
    try_when: ClassVar[str] = (
        "As the last of a chain (consensus+hold_shares), where nobody knows whether the classes are as frequent "
        "in the target as in the source: what an adapted head knows of the target's rows is kept, what it "
        "took for granted of the shares counts half."
    )
    hurts_when: ClassVar[str] = (
        "The source's classifier answers with one class far too often, and the method before had put it "
        "right. Alone it changes nothing."
    )
    fixes: ClassVar[tuple[str, ...]] = ()
    unasked: ClassVar[bool] = False

    strength: float = param(
        0.5, "share of the way back to the shares that source-only answers with", low=0, high=1
    )

    def align(self, domains: Domains) -> Head:
        """The head it starts from, with its bias moved."""
        before = shares_of(replace(domains, start=None).source_only, domains.target)
        return towards(domains, before, self.strength)
