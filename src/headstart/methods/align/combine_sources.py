"""Adapts each of several source domains by itself and lets their classifiers vote."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from headstart.methods.align import bda, self_training
from headstart.methods.align.base import Align, Domains, Head, param
from headstart.methods.align.weight_sources import shares_of_sources

__all__ = ["Method"]


@dataclass(frozen=True)
class Method(Align):
    """A head from each source domain, adapted to the target, weighed by how like the target it is."""

    summary: ClassVar[str] = (
        "Adapt each of several sources to the target by itself; their classifiers vote by likeness."
    )
    try_when: ClassVar[str] = (
        "Several sources that differ among themselves, in style or in the shares of the classes, so that one "
        "classifier of all their rows is right for none of them."
    )
    hurts_when: ClassVar[str] = (
        "Sources of few rows each, or of a few classes each: a classifier of one alone is poor. With one source "
        "nothing changes."
    )
    fixes: ClassVar[tuple[str, ...]] = ()

    least: float = param(0.01, "likeness that the least like source counts with", low=1e-4, high=1)
    each: str = param(
        "self_training",
        "how each source is adapted",
        choices=("none", "self_training", "bda+self_training"),
    )

    def align(self, domains: Domains) -> Head:
        """The weighed mean of the sources' logits, each brought to one spread.

        Mansour, Mohri and Rostamizadeh 2009 (section 4): a target near a mixture of the sources is served by
        their classifiers' mixture. A source that lacks a class doesn't vote; where all lack one, it is the
        head of all their rows.
        """
        numbers = np.unique(domains.origins)
        if len(numbers) < 2:
            return domains.source_only
        weights = shares_of_sources(domains, self.least)
        heads, counted = [], []
        for number, weight in zip(numbers, weights, strict=True):
            own = domains.subset(domains.origins == number)
            if len(np.unique(own.labels)) == domains.classes:
                heads.append(self._one(own).evened(domains.target))
                counted.append(weight)
        if not heads:
            return domains.source_only
        share = np.array(counted) / np.sum(counted)
        weight = np.einsum("s,scd->cd", share, np.stack([head.weight for head in heads]))
        return Head(weight, share @ np.stack([head.bias for head in heads]))

    def _one(self, domains: Domains) -> Head:
        if self.each == "none":
            return domains.source_only
        start = bda.Method().align(domains) if self.each.startswith("bda") else None
        return self_training.Method().align(replace(domains, start=start))
