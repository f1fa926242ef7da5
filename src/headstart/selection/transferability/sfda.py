"""Scores features by a Fisher discriminant that is made to work on confusing rows (SFDA)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.selection.transferability.base import (
    WIDE,
    check,
    class_parts,
    compact,
    second_moment,
    solve_with_pivot,
    workable,
)

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = ["MISLEADS", "NEEDS", "PAPER", "SUMMARY", "WHEN", "discriminant", "score"]

NEEDS = frozenset({"features"})
SUMMARY = "Mean probability of the right class by a regularised Fisher discriminant, made harder."
WHEN = "Many rows: it imitates fine-tuning, which moves rows of a class together."
MISLEADS = (
    "Fewer rows than features: the discriminant fits its own rows and every source comes near 1; "
    "sources whose features differ much in scale get different regularisation."
)
PAPER = "Shao et al. 2022, Not All Models Are Equal, and the authors' code for its constants."

STEEPNESS = 5.0
"""a in λ = exp(-a σ), σ being the largest eigenvalue of the scatter within classes."""
WEAKEST = 1e-10
"""Smallest λ."""
SINGULAR = 1e-3
"""Smallest pivot, as a share of the largest variance, below which float32 products are not enough."""


def score(features: Any, labels: Any, probabilities: Any = None, *, seed: int = 0) -> float:
    """SFDA, the mean probability of the right class, 0 to 1; higher is better.

    The authors' code leaves out the logarithm of the likelihood and softens the probabilities by one more
    softmax before mixing; so does this.

    Args:
        features: (n, d).
        labels: (n,) integers.
        probabilities, seed: not used.

    Raises:
        UsageError: the input can't be used; the message names what and where.
    """
    given = check(__name__, NEEDS, features, labels)
    x = compact(workable(given.features))
    parts = class_parts(given.labels, given.counts)
    inner = x[np.concatenate(parts)]
    ends = np.cumsum(given.counts)
    runs = [slice(end - count, end) for count, end in zip(given.counts, ends, strict=True)]
    means = _take_means(inner, runs)
    means -= given.counts @ means / len(x)  # a shift changes nothing, and small means round less
    width = given.features.shape[1]
    chance, strength = discriminant(inner, given.counts, means, width)
    np.exp(chance, out=chance)
    own = (_of_own_class(chance, runs) / chance.sum(axis=1)).astype(x.dtype)[:, None]
    others = (means.sum(axis=0) - means) / (given.classes - 1)
    for run, gap in zip(runs, (means - others).astype(x.dtype), strict=True):
        inner[run] += gap
        inner[run] *= own[run]
    means = _take_means(inner, runs) + others
    chance, _ = discriminant(inner, given.counts, means, width, strength)
    return float(_of_own_class(chance, runs).mean())


def discriminant(
    inner: Array, counts: Array, means: Array, width: int, strength: float | None = None
) -> tuple[Array, float]:
    """Fit the regularised Fisher discriminant and give each row's probabilities.

    The eigenvectors U of Fisher's criterion, scaled so that Uᵀ S U = I for the regularised scatter S within
    classes, satisfy U Uᵀ = S⁻¹: the scores δ_c = xᵀUUᵀμ_c - ½μ_cᵀUUᵀμ_c + log q_c need no
    eigenvectors, only a solution with S.

    Args:
        inner: (n, r) rows less their class's mean, one class after another; counts: (c,) its rows.
        means: (c, r) of each class.
        width: of the features before they were compacted, over which the trace is shared out.
        strength: λ, 0 to 1; by default exp(-5σ) but at least 1e-10.

    Returns:
        probabilities (n, c), and λ.
    """
    n = len(inner)
    for exact in (inner.dtype == np.float64, True):
        scatter = second_moment(inner, exact=exact)
        scatter /= n
        share = _strength(scatter) if strength is None else strength
        mean = float(np.trace(scatter)) / width
        scatter *= 1.0 - share
        scatter[np.diag_indices_from(scatter)] += share * mean
        weights, pivot = solve_with_pivot(scatter, means.T)
        if exact or pivot >= SINGULAR:
            break
    scores = (inner @ weights.astype(inner.dtype)).astype(np.float64)
    between = means @ weights
    scores += np.repeat(between + np.log(counts / n) - 0.5 * np.diagonal(between), counts, axis=0)
    scores -= scores.max(axis=1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=1, keepdims=True)
    return scores, share


def _take_means(rows: Array, runs: list[slice]) -> Array:
    """Subtract from each run of rows its mean, in place, and give the means (c, r)."""
    means = np.empty((len(runs), rows.shape[1]))
    for mean, run in zip(means, runs, strict=True):
        mean[:] = rows[run].mean(axis=0, dtype=np.float64)
        rows[run] -= mean.astype(rows.dtype)
    return means


def _of_own_class(chance: Array, runs: list[slice]) -> Array:
    return np.concatenate([chance[run, c] for c, run in enumerate(runs)])


def _strength(scatter: Array) -> float:
    """λ = exp(-aσ), at least :data:`WEAKEST`, σ being the largest eigenvalue of the scatter."""
    return max(float(np.exp(-STEEPNESS * max(_largest(scatter), 0.0))), WEAKEST)


def _largest(matrix: Array) -> float:
    """The largest eigenvalue, of a large matrix from a block Krylov space (Musco and Musco 2015).

    Few products with several vectors cost far less than as many products with one, or all eigenvalues;
    what is missing from it is of second order in what is missing from the space.
    """
    if len(matrix) <= WIDE:
        return float(np.linalg.eigvalsh(matrix)[-1])
    block = np.random.default_rng(0).standard_normal((len(matrix), 8))
    parts = []
    for _ in range(10):
        block = np.linalg.qr(block)[0]
        parts.append(block)
        block = matrix @ block
    basis = np.linalg.qr(np.hstack(parts))[0]
    return float(np.linalg.eigvalsh(basis.T @ (matrix @ basis))[-1])
