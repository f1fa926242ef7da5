"""The evidence of Bayesian linear regression at MacKay's fixed point, for LogME."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from headstart.selection.transferability.base import Inputs, class_sums, second_moment

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = ["evidence", "single"]

ITERATIONS = 2000
CLOSE = 1e-5
"""Change of α/β, as a share, that ends the iteration: the evidence is flat there, so its error is
of second order in it."""
FAR = 1e12
"""α/β is held within this factor of the mean eigenvalue: a class that features say nothing about
has its fixed point at infinity."""
ROUNDING = 3e-7
"""Error of an eigenvalue in float32, as a share of the largest."""
TOLERATED = 2e-5
"""Error of the score, by that estimate, above which it is computed in float64."""


def evidence(sigma: Array, squares: Array, total: Array, n: int, d: int) -> Array:
    """The largest log evidence of each target, divided by n, by MacKay's fixed point.

    With t = α/β, γ = Σσ/(σ+t), ‖m‖² = Σσx²/(σ+t)² and ‖Fm-y‖² = Σx²t²/(σ+t)² + (‖y‖² - Σx²), it
    repeats α = γ/‖m‖², β = (n-γ)/‖Fm-y‖² from α = β = 1 for all targets at once until t stands
    still.

    Args:
        sigma: (k,) eigenvalues of FᵀF that are not zero.
        squares: (k, c) squared coordinates x² of each target along the left singular vectors of F.
        total: (c,) ‖y‖².
        n, d: rows and width of F.

    Returns:
        (c,) the log evidence per row.
    """
    rest = np.maximum(total - squares.sum(axis=0), 0.0)
    middle = float(sigma.mean()) if len(sigma) else 1.0
    low, high = middle / FAR, middle * FAR
    t = np.ones(len(total))
    alpha, beta, size, miss = (np.ones(len(total)) for _ in range(4))
    active = np.arange(len(total))
    for _ in range(ITERATIONS):
        now, x2 = t[active], squares[:, active]
        shrink = 1.0 / (sigma[:, None] + now)
        gamma = sigma @ shrink
        shrink *= shrink
        shrink *= x2
        size[active] = np.maximum(sigma @ shrink, 1e-300)
        miss[active] = np.maximum(now**2 * shrink.sum(axis=0) + rest[active], 1e-300)
        alpha[active] = np.maximum(gamma, 1e-300) / size[active]
        beta[active] = np.maximum(n - gamma, 1e-300) / miss[active]
        t[active] = np.clip(alpha[active] / beta[active], low, high)
        active = active[np.abs(t[active] - now) > CLOSE * now]
        if not len(active):
            break
    alpha = t * beta
    logs = np.log(alpha + beta * sigma[:, None]).sum(axis=0) + (d - len(sigma)) * np.log(alpha)
    whole = d * np.log(alpha) + n * np.log(beta) - logs - beta * miss - alpha * size
    out: Array = 0.5 * whole / n - 0.5 * np.log(2 * np.pi)
    return out


def single(given: Inputs) -> float | None:
    """The score of tall float32 features, without eigenvectors; None where float32 is not enough.

    With FᵀF = Q T Qᵀ, T tridiagonal, the fixed point needs T's eigenvalues for γ and one tridiagonal
    solution (T+t) w = QᵀFᵀy a step for ‖m‖² = ‖w‖² and ‖Fm-y‖² = ‖y‖² - wᵀQᵀFᵀy - t‖w‖². The mean of
    the features, mostly their longest direction by far, is turned onto the first axis, which
    the tridiagonal form leaves where it is: so its length costs the others no digits.
    """
    n = len(given.labels)
    mean = given.features.mean(axis=0, dtype=np.float64)
    moment = second_moment(given.features - mean.astype(np.float32))
    sums = class_sums(given.features, given.labels, given.classes).T
    length = float(np.linalg.norm(mean))
    if length > 0:
        mirror = mean / length
        mirror[0] += np.copysign(1.0, mirror[0])
        mirror *= np.sqrt(2.0) / np.linalg.norm(mirror)
        turned = moment @ mirror
        turned -= (0.5 * (mirror @ turned)) * mirror
        moment -= np.outer(mirror, turned)
        moment -= np.outer(turned, mirror)
        sums -= np.outer(mirror, mirror @ sums)
    diagonal, beside, projected = _tridiagonal(moment, sums)
    rounding = ROUNDING * float(np.abs(diagonal).max())
    diagonal[0] += n * length**2
    return _evidence(diagonal, beside, projected, given.counts, n, rounding)


def _tridiagonal(matrix: Array, right: Array) -> tuple[Array, Array, Array]:
    """T's diagonal and subdiagonal, and Qᵀ @ right, from a float32 reduction of Q T Qᵀ = matrix."""
    from scipy.linalg import lapack

    d = len(matrix)
    reduced, diagonal, beside, tau, _ = lapack.ssytrd(
        matrix.astype(np.float32).T, lower=1, lwork=64 * d, overwrite_a=1
    )
    below = np.asfortranarray(right[1:], dtype=np.float32)
    turned, _, _ = lapack.sormqr("L", "T", reduced[1:, :-1], tau, below, 64 * right.shape[1])
    return (
        diagonal.astype(np.float64),
        beside.astype(np.float64),
        np.vstack([right[:1], turned]).astype(np.float64),
    )


def _evidence(
    diagonal: Array, beside: Array, projected: Array, total: Array, n: int, rounding: float
) -> float | None:
    """As :func:`evidence`, the mean over targets, from T; None where rounding could be seen in it."""
    from scipy.linalg import lapack

    sigma, failed = lapack.dsterf(diagonal, beside)
    sigma = np.maximum(sigma, 0.0)
    low, high = float(sigma.mean()) / FAR, float(sigma.mean()) * FAR
    found = []
    for target, own in zip(projected.T, total.astype(float), strict=True):
        t = 1.0
        for _ in range(ITERATIONS):
            now = t
            _, _, w, wrong = lapack.dptsv(diagonal + t, beside, target)
            size, fitted = float(w @ w), float(target @ w)
            miss = own - fitted - t * size
            if wrong or failed or size <= 0 or miss <= 0:
                return None
            gamma = float((sigma / (sigma + t)).sum())
            beta = (n - gamma) / miss
            t = min(max(gamma / size / beta, low), high)
            if abs(t - now) <= CLOSE * now:
                break
        if 0.5 * rounding * float((1.0 / (sigma + t)).sum()) / n > TOLERATED:
            return None
        logs = float(np.log(t + sigma).sum()) - len(sigma) * np.log(t)
        found.append(n * np.log(beta) - logs - beta * miss - t * beta * size)
    return float(0.5 * np.mean(found) / n - 0.5 * np.log(2 * np.pi))
