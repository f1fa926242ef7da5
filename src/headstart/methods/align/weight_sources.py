"""Weighs several source domains by how hard each is to tell from the target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from headstart.methods.align.base import Align, Domains, Head, param
from headstart.methods.crossed import cross_fit

if TYPE_CHECKING:
    from headstart.types import Array, Floats

__all__ = ["Method", "likeness", "shares_of_sources"]

PENALTY = 0.1
"""Of the discriminators, on standardised features, for each row."""
FEWEST = 20
"""Rows of a source domain below which it is not told apart, and weighs as the average."""


def likeness(source: Array, target: Array, origins: Array, seed: int = 0) -> Floats:
    """How alike each source domain and the target are: 2 (1 - AUROC) of a cross-fitted discriminator, 0 to 1.

    The discriminator's error is what the bound of Ben-David et al. (2010, "A theory of learning from
    different domains", theorem 2) reads the distance of two domains from.

    Args:
        source: (n_s, d).
        target: (n_t, d).
        origins: (n_s,) which source domain a row is of.
        seed: of the discriminators' folds.

    Returns:
        (domains,), in the order of their numbers; NaN for one of few rows.
    """
    from sklearn.metrics import roc_auc_score

    out = []
    for number in np.unique(origins):
        rows = source[origins == number]
        if min(len(rows), len(target)) < FEWEST:
            out.append(np.nan)
            continue
        both = np.concatenate([rows, target])
        side = np.repeat([0, 1], [len(rows), len(target)])
        held = cross_fit(both, side, 2, PENALTY, folds=3, seed=seed).held
        out.append(2 * (1 - float(roc_auc_score(side, held[:, 1]))))
    found: Floats = np.clip(np.array(out), 0.0, 1.0)
    return found


def shares_of_sources(domains: Domains, least: float) -> Floats:
    """What each source domain counts, at least ``least``; one of few rows as the average.

    Returns:
        (domains,), in the order of their numbers; all 1 where there is one.
    """
    if len(np.unique(domains.origins)) < 2:
        return np.ones(1)
    found = likeness(domains.source, domains.target, domains.origins, domains.seed)
    found = np.maximum(found, least)
    known: Floats = np.where(
        np.isnan(found), np.nanmean(found) if (found > 0).any() else 1.0, found
    )
    return known


@dataclass(frozen=True)
class Method(Align):
    """Source domains weighed by their likeness to the target."""

    summary: ClassVar[str] = (
        "Let each of several source domains count by how like the target it is."
    )
    try_when: ClassVar[str] = (
        "Several sources, of which some lie nearer to the target than others: hospitals, styles of pictures."
    )
    hurts_when: ClassVar[str] = (
        "The likest source has few rows or other shares of the classes. With one source nothing changes."
    )
    fixes: ClassVar[tuple[str, ...]] = ()

    least: float = param(0.01, "likeness that the least like source counts with", low=1e-4, high=1)

    def align(self, domains: Domains) -> Head:
        """The head of the source's rows, weighed by their domain."""
        numbers, places = np.unique(domains.origins, return_inverse=True)
        if len(numbers) < 2:
            return domains.source_only
        weights = shares_of_sources(domains, self.least)[places]
        return domains.solve(domains.source, domains.labels, weights / weights.mean())
