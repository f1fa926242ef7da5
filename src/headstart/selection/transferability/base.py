"""What the transferability scores share: the check of their input, and linear algebra on the small side.

A score is one file with the constants ``NEEDS``, ``SUMMARY``, ``WHEN``, ``MISLEADS`` and ``PAPER``
and a function ``score(features, labels, probabilities=None, *, seed=0) -> float``, higher is better:

* features: (n, d) numbers, one row for each target example;
* labels: (n,) integers, the target classes (any integers: they are numbered by their order);
* probabilities: (n, s), what the source model's own head says about its s source classes;
* seed: used only by scores that draw at random.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.errors import UsageError

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = [
    "Inputs",
    "centred",
    "check",
    "class_moments",
    "class_parts",
    "class_sums",
    "compact",
    "principal",
    "second_moment",
    "solve",
    "solve_with_pivot",
    "sound",
    "strongest",
    "workable",
]

LARGE = 2e10
"""Multiply-adds above which float32 features are multiplied in float32 (half the time)."""
BLOCK = 5000
"""Rows multiplied in float32 before their sum is carried in float64."""
WIDE = 512
"""Width above which SciPy's routines are worth it. NumPy and SciPy bring a thread pool each, and
the one that has just finished keeps its core busy for a while: on small matrices that costs more
than a Cholesky factor or a part of the eigenvectors saves."""
DRIFT = 1e-2
"""How far from 1 the probabilities of a row may sum: what half precision leaves over 1,000 classes."""


@dataclass(frozen=True)
class Inputs:
    """Checked input.

    Attributes:
        features: (n, d), float32 or float64.
        labels: (n,), 0 to c - 1, each of which occurs.
        probabilities: (n, s), float32 or float64.
        counts: (c,) rows of each class.
    """

    features: Array
    labels: Array
    probabilities: Array
    counts: Array

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return len(self.counts)


def check(
    module: str,
    needs: frozenset[str],
    features: Any,
    labels: Any,
    probabilities: Any = None,
    *,
    values: bool = True,
) -> Inputs:
    """Check what a score was given, once for all of them.

    Args:
        module: the score's ``__name__``; messages begin with its last part.
        needs: the score's ``NEEDS``; what it does not need is not looked at.
        features, labels, probabilities: as described above.
        values: look at each probability; without it, the score has to do so (:func:`sound`).

    Raises:
        UsageError: an array is missing, of another length, not finite, or has fewer than 2 classes.
    """
    name = module.rsplit(".", 1)[-1]
    numbers = _labels(name, labels)
    _, index, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    if len(counts) < 2:
        raise UsageError(
            f"{name}: labels has {len(counts)} class{'es' * (len(counts) != 1)}; at least 2 are needed.",
            "A score compares classes: give rows of more than one.",
        )
    empty = np.zeros((len(numbers), 0), np.float32)
    given = {"features": features, "probabilities": probabilities}
    found = {
        key: _matrix(name, key, value, len(numbers), values) if key in needs else empty
        for key, value in given.items()
    }
    if "probabilities" in needs and values:
        _distributions(name, found["probabilities"])
    return Inputs(found["features"], index, found["probabilities"], counts)


def _labels(name: str, labels: Any) -> Array:
    numbers = np.asarray(labels)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
        raise UsageError(
            f"{name}: labels must be whole numbers of shape (n,); "
            f"got {numbers.dtype} of shape {numbers.shape}.",
            "Number the classes first: numpy.unique(labels, return_inverse=True)[1].",
        )
    return numbers


def _matrix(name: str, key: str, value: Any, rows: int, values: bool) -> Array:
    if value is None:
        hint = "Give what the source model's head predicts, or choose a score that needs features only."
        raise UsageError(f"{name}: {key} is missing.", hint if key == "probabilities" else "")
    matrix = np.asarray(value)
    if matrix.ndim != 2 or matrix.shape[1] == 0 or matrix.dtype.kind not in "fiu":
        raise UsageError(
            f"{name}: {key} must be numbers of shape (n, width); "
            f"got {matrix.dtype} of shape {matrix.shape}."
        )
    if len(matrix) != rows:
        raise UsageError(f"{name}: {key} has {len(matrix)} rows and labels has {rows}.")
    if matrix.dtype not in (np.float32, np.float64):
        matrix = matrix.astype(np.float32 if matrix.dtype == np.float16 else np.float64)
    if not values:
        return matrix
    with np.errstate(all="ignore"):  # a sum is half the work; only where it fails is each looked at
        finite = np.isfinite(matrix.sum()) or np.isfinite(matrix).all()
    if not finite:
        row, column = np.argwhere(~np.isfinite(matrix))[0]
        raise UsageError(
            f"{name}: {key}[{row}, {column}] is {matrix[row, column]}; every value must be finite.",
            "Leave that row out, or find out why the source model gives it.",
        )
    return matrix


def _distributions(name: str, matrix: Array) -> None:
    sums = matrix @ np.ones(matrix.shape[1], matrix.dtype)
    wrong = np.flatnonzero(np.abs(sums - 1) > DRIFT)
    if len(wrong):
        row = int(wrong[0])
        what = f"probabilities[{row}] sums to {sums[row]:.4g}, not to 1"
    elif matrix.min() < 0:
        row = int(np.argwhere(matrix < 0)[0][0])
        what = f"probabilities[{row}] has a negative value"
    else:
        return
    raise UsageError(f"{name}: {what}.", "Give probabilities, not logits: apply a softmax first.")


def sound(rows: Array) -> bool:
    """Whether each row is a distribution: nothing negative, and a sum of 1; so all is finite."""
    sums = rows @ np.ones(rows.shape[1], rows.dtype)
    return bool((np.abs(sums - 1) <= DRIFT).all() and rows.min() >= 0)


def class_parts(labels: Array, counts: Array) -> list[Array]:
    """The row numbers of each class, in their order."""
    return np.split(np.argsort(labels, kind="stable"), np.cumsum(counts)[:-1])


def workable(features: Array) -> Array:
    """Features in the precision to work in: float32 where they are float32, tall and large."""
    n, d = features.shape
    if d <= n and float(n) * d * d >= LARGE:
        return features
    return features.astype(np.float64, copy=False)


def centred(features: Array) -> Array:
    """Features less their mean, in the precision they came in."""
    mean = features.mean(axis=0, dtype=np.float64).astype(features.dtype)
    moved: Array = features - mean
    return moved


def compact(features: Array) -> Array:
    """Coordinates with the same inner products in at most n dimensions: (n, min(n, d)).

    Wide features (d > n) span n dimensions at most; the triangular factor of their transpose holds
    their coordinates in an orthonormal basis of that span.
    """
    n, d = features.shape
    if d <= n:
        return features
    triangle: Any = np.linalg.qr(features.T.astype(np.float64), mode="r")
    coordinates: Array = triangle.T
    return coordinates


def second_moment(features: Array, *, exact: bool = False) -> Array:
    """The sum of outer products ``features.T @ features``, (d, d) float64.

    Large float32 features are multiplied in float32 a block of rows at a time, which is right to
    about 1e-6 of the largest entry; ``exact`` multiplies in float64 always.
    """
    n, d = features.shape
    if exact or features.dtype == np.float64 or float(n) * d * d < LARGE:
        wide = features.astype(np.float64, copy=False)
        out: Array = wide.T @ wide
        return out
    total = np.zeros((d, d))
    for start in range(0, n, BLOCK):
        block = features[start : start + BLOCK]
        total += block.T @ block
    return total


def class_sums(values: Array, labels: Array, classes: int) -> Array:
    """The sum of each class's rows, (c, width) float64."""
    total = np.zeros((classes, values.shape[1]))
    for start in range(0, len(values), BLOCK):
        part = labels[start : start + BLOCK]
        hot = np.zeros((classes, len(part)), values.dtype)
        hot[part, np.arange(len(part))] = 1
        total += hot @ values[start : start + BLOCK]
    return total


def solve(matrix: Array, right: Array) -> Array:
    """Solve ``matrix @ x = right`` for a symmetric positive definite matrix.

    Directions that rounding has made singular are left out, as a pseudo-inverse does.
    """
    return solve_with_pivot(matrix, right)[0]


def solve_with_pivot(matrix: Array, right: Array) -> tuple[Array, float]:
    """:func:`solve`, and how far the matrix is from singular.

    The second number is the smallest pivot of the Cholesky factor as a share of the largest
    diagonal entry: 1 for the identity, 0 where the factor does not exist.
    """
    try:
        if len(matrix) <= WIDE:
            # cholesky raises where the matrix is singular, which solve may not notice
            pivots = np.diagonal(np.linalg.cholesky(matrix))
            out: Array = np.linalg.solve(matrix, right)
        else:
            from scipy.linalg import cho_factor, cho_solve

            factor = cho_factor(matrix, lower=True, check_finite=False)
            pivots = np.diagonal(factor[0])
            out = cho_solve(factor, right, check_finite=False)
    except np.linalg.LinAlgError:
        values, axes = np.linalg.eigh(matrix)
        keep = values > len(values) * np.finfo(float).eps * max(float(values[-1]), 0.0)
        axes = axes[:, keep]
        return axes @ ((axes.T @ right) / values[keep, None]), 0.0
    return out, float(pivots.min()) ** 2 / float(np.diagonal(matrix).max())


def principal(
    features: Array, *, components: int | None = None, energy: float | None = None
) -> Array:
    """Principal components of features, the strongest first: (n, r) float64.

    Args:
        features: (n, d).
        components: keep this many at most.
        energy: or keep the fewest whose share of the variance exceeds this (0 to 1).
    """
    moved = compact(centred(features))
    moment = second_moment(moved)
    if energy is None:
        axes = strongest(moment, max(0, len(moment) - (components or len(moment))))[1]
    else:
        axes = _holding(moment, energy)
    axes = np.ascontiguousarray(axes[:, ::-1])
    out: Array = (moved @ axes.astype(moved.dtype)).astype(np.float64)
    return out


def _holding(moment: Array, energy: float) -> Array:
    """The fewest eigenvectors that hold more than this share of the trace, in rising order."""

    def first(values: Array) -> int:
        share = np.cumsum(np.maximum(values[::-1], 0.0))
        share /= max(float(np.trace(moment)), np.finfo(float).tiny)
        return max(len(values) - int(np.searchsorted(share, energy, side="right")) - 1, 0)

    if len(moment) <= WIDE:
        values, axes = np.linalg.eigh(moment)
        return axes[:, first(values) :]
    from scipy.linalg import eigh_tridiagonal, lapack

    # eigenvalues alone say how many vectors are needed, and both start from the same reduction
    reduced, diagonal, beside, tau, _ = lapack.dsytrd(moment, lower=1, lwork=64 * len(moment))
    values, _ = lapack.dsterf(diagonal, beside)
    last = len(moment) - 1
    _, axes = eigh_tridiagonal(
        diagonal, beside, select="i", select_range=(first(values), last), check_finite=False
    )
    below, _, _ = lapack.dormqr(
        "L", "N", reduced[1:, :-1], tau, np.asfortranarray(axes[1:]), 64 * axes.shape[1]
    )
    return np.vstack([axes[:1], below])


def strongest(matrix: Array, begin: int) -> tuple[Array, Array]:
    """Eigenvalues of a symmetric matrix from number ``begin`` on, in rising order, and eigenvectors."""
    if len(matrix) <= WIDE:
        values, axes = np.linalg.eigh(matrix)
        return values[begin:], axes[:, begin:]
    from scipy.linalg import eigh

    found: tuple[Array, Array] = eigh(
        matrix, subset_by_index=[begin, len(matrix) - 1], check_finite=False
    )
    return found


def class_moments(values: Array, labels: Array, classes: int) -> tuple[Array, Array]:
    """Mean and variance (over n, not n - 1) of each class, (c, width) each."""
    counts = np.bincount(labels, minlength=classes)[:, None]
    means = class_sums(values, labels, classes) / counts
    variances = class_sums((values - means[labels]) ** 2, labels, classes) / counts
    return means, variances
