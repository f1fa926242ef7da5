"""Moves the classifier's bias to class shares that explain where the target's mean lies among the classes'."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from headstart.methods.align._shares import towards
from headstart.methods.align.base import Align, Domains, Head, param
from headstart.methods.domains import class_means

if TYPE_CHECKING:
    from headstart.types import Array, Floats

__all__ = ["Method", "estimate"]


def estimate(source: Array, labels: Array, target: Array, classes: int) -> Floats:
    """Class shares under which the source's class means give the target's mean.

    Minimises ``‖Σ_k p_k mean_k - mean_t‖²`` over the simplex: target shift by matching embeddings (Zhang,
    Schölkopf, Muandet and Wang 2013, eq. 5) with the linear kernel. Unlike a confusion matrix it reads
    every feature, so that a shift across the classes' direction doesn't pass for a change of shares.

    Args:
        source: (n_s, d).
        labels: (n_s,) class indices.
        target: (n_t, d).
        classes: c.

    Returns:
        (c,), at least 0, sum 1.

    >>> source = np.array([[0.0], [0.0], [1.0], [1.0]])
    >>> estimate(source, np.array([0, 0, 1, 1]), np.array([[1.0], [1.0], [1.0], [0.0]]), 2).round(3)
    array([0.25, 0.75])
    """
    from scipy.optimize import nnls

    means = class_means(source, labels, classes)
    aim = np.asarray(target, np.float64).mean(axis=0)
    centre = means.mean(axis=0)
    weight = 1e4 * max(float(np.abs(means - centre).max()), 1e-12)
    left = np.vstack([(means - centre).T, np.full((1, classes), weight)])
    found = nnls(left, np.concatenate([aim - centre, [weight]]))[0]
    shares: Floats = found / found.sum()
    return shares


@dataclass(frozen=True)
class Method(Align):
    """Class shares by matching means, half believed."""

    summary: ClassVar[str] = (
        "Estimate the target's class shares from where its mean lies, and go half-way to them."
    )
    try_when: ClassVar[str] = (
        "The domains' means differ along the classes' own direction: columns of a table whose classes occur "
        "more often, after a consensus of other methods or alone."
    )
    hurts_when: ClassVar[str] = (
        "The shares are the same and the subject happens to lie along the classes' direction: answers are "
        "then moved to shares that aren't there. Few source rows of a class make its mean uncertain."
    )
    fixes: ClassVar[tuple[str, ...]] = ("label",)

    strength: float = param(
        0.5, "share of the way from the shares that it answers with to the estimate", low=0, high=1
    )

    def align(self, domains: Domains) -> Head:
        """The head it starts from, with its bias moved."""
        found = estimate(domains.source, domains.labels, domains.target, domains.classes)
        return towards(domains, found, self.strength)
