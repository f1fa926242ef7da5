"""Scores features by LEEP over the components of a Gaussian mixture (NLEEP)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.selection.transferability.base import check, class_sums, principal
from headstart.selection.transferability.leep import expected

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = ["MISLEADS", "NEEDS", "PAPER", "SUMMARY", "WHEN", "mixture", "score", "start"]

NEEDS = frozenset({"features"})
SUMMARY = (
    "LEEP with the components of a Gaussian mixture on the features in place of source classes."
)
WHEN = "As LEEP, for source models without a head or with heads of different sizes."
MISLEADS = (
    "Few rows for each of the 5c components (a component of its own for each row is certain of its "
    "class), and features where the classes are not what separates clusters."
)
PAPER = "Li et al. 2021, Ranking Neural Checkpoints (80 % of the energy, 5c components)."

ENERGY = 0.8
EACH = 5
"""Components for each class."""
STEPS = 100
CLOSE = 1e-3
"""Gain in mean log likelihood that ends the fit."""
FLOOR = 1e-6
"""Added to each variance, as a share of the mean variance."""


def score(features: Any, labels: Any, probabilities: Any = None, *, seed: int = 0) -> float:
    """NLEEP, at most 0; higher is better.

    The mixture's covariances are diagonal: five components a class leave few rows for each, and on
    principal components a full covariance, scikit-learn's default that public code takes, would be
    singular: its components are then certain of every row.

    Args:
        features: (n, d).
        labels: (n,) integers.
        probabilities: not used.
        seed: of the mixture's start.

    Raises:
        UsageError: the input can't be used; the message names what and where.
    """
    given = check(__name__, NEEDS, features, labels)
    reduced = principal(given.features, energy=ENERGY)
    scale = float(np.sqrt(reduced.var(axis=0).mean()))
    reduced = reduced / (scale if scale > 0 else 1.0)
    components = min(EACH * given.classes, len(reduced))
    return expected(given, mixture(reduced, start(reduced, components, seed)))


def start(rows: Array, components: int, seed: int) -> Array:
    """Centres by k-means++ (Arthur and Vassilvitskii 2007) and five steps of Lloyd's algorithm.

    Args:
        rows: (n, p).
        components: k, n at most.
        seed: of the draws.

    Returns:
        (k, p).
    """
    random = np.random.default_rng((seed, 67))
    rows = rows.astype(np.float32)  # each draw reads them all, and distances need few digits
    size = np.einsum("ij,ij->i", rows, rows)
    chosen = [int(random.integers(len(rows)))]
    gap = np.full(len(rows), np.inf)
    for _ in range(components - 1):
        last = rows[chosen[-1]]
        gap = np.minimum(gap, np.maximum(size - 2 * (rows @ last) + last @ last, 0.0))
        gap[chosen[-1]] = 0.0
        chances = np.cumsum(gap)
        draw = random.random() * chances[-1]
        chosen.append(min(int(np.searchsorted(chances, draw, side="right")), len(rows) - 1))
    centres = rows[chosen]
    for _ in range(5):
        own = (rows @ centres.T - 0.5 * np.einsum("ij,ij->i", centres, centres)).argmax(axis=1)
        count = np.bincount(own, minlength=components)[:, None]
        sums = class_sums(rows, own, components)
        centres = np.where(count > 0, sums / np.maximum(count, 1), centres).astype(np.float32)
    return centres.astype(np.float64)


def mixture(rows: Array, centres: Array) -> Array:
    """Fit a Gaussian mixture with diagonal covariances by EM and give its responsibilities.

    Args:
        rows: (n, p), of mean variance 1.
        centres: (k, p), where the means start; weights start equal and variances at the rows' own.

    Returns:
        (n, k), rows that sum to 1.
    """
    p = rows.shape[1]
    both = np.hstack([rows, rows**2])
    means, weights = centres, np.full(len(centres), 1.0 / len(centres))
    variances = np.repeat(rows.var(axis=0)[None] + FLOOR, len(centres), axis=0)
    before = -np.inf
    for _ in range(STEPS):
        share, likelihood = _responsibilities(both, weights, means, variances)
        count = share.sum(axis=0) + 10 * np.finfo(float).eps
        sums = (share.T @ both) / count[:, None]
        means, weights = sums[:, :p], count / count.sum()
        variances = np.maximum(sums[:, p:] - means**2, 0.0) + FLOOR
        if abs(likelihood - before) < CLOSE:
            break
        before = likelihood
    return _responsibilities(both, weights, means, variances)[0]


def _responsibilities(
    both: Array, weights: Array, means: Array, variances: Array
) -> tuple[Array, float]:
    """Each component's share of each row (n, k), and the mean log likelihood."""
    factors = np.hstack([means / variances, -0.5 / variances])
    constant = -0.5 * (means**2 / variances + np.log(2 * np.pi * variances)).sum(axis=1)
    share = both @ factors.T
    share += constant + np.log(weights)
    top = share.max(axis=1, keepdims=True)
    share -= top
    np.exp(share, out=share)
    total = share.sum(axis=1, keepdims=True)
    share /= total
    return share, float((np.log(total) + top).mean())
