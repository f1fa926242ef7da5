"""Linear heads on frozen features for numbers (ridge regression) and for several labels at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = ["labels_head", "labels_path", "numbers_head", "numbers_path"]

Solver = Callable[..., tuple["Array", "Array", int]]


def numbers_path(
    rotated: Array, values: Array, masks: Array, penalties: Array
) -> tuple[Array, Array]:
    """Ridge regression for every mask and penalty, in closed form (Hoerl and Kennard 1970, eq. 2.1).

    For each mask m and penalty λ it minimises the mean squared error over the rows in m plus
    λ·‖w‖², with a free intercept. One eigendecomposition for each mask gives all penalties.

    Args:
        rotated: (n, r) features.
        values: (n,) targets.
        masks: (m, n) bool, the training rows.
        penalties: (l,), positive.

    Returns:
        weights (m, l, r) and intercepts (m, l).
    """
    z, y = np.asarray(rotated, np.float64), np.asarray(values, np.float64)
    weights, offsets = [], []
    for mask in masks:
        own, wanted = z[mask], y[mask]
        middle, level = own.mean(axis=0), float(wanted.mean())
        own = own - middle
        gram = own.T @ own / len(own)
        variance, axes = np.linalg.eigh(gram)
        along = axes.T @ (own.T @ (wanted - level)) / len(own)
        shrunk = along[None] / (np.maximum(variance, 0.0)[None] + penalties[:, None])
        weight = shrunk @ axes.T
        weights.append(weight)
        offsets.append(level - weight @ middle)
    return np.stack(weights), np.stack(offsets)


def labels_path(
    solve: Solver,
    whiten: Callable[..., tuple[Array, Array, Array, Array]],
    features: Array,
    targets: Array,
    masks: Array,
    penalties: Array,
    balanced: bool,
    **how: Any,
) -> tuple[Array, Array, int]:
    """One logistic regression for each label, every mask and penalty, on the features as they come.

    Args:
        solve, whiten: of the linear probe.
        features: (n, d).
        targets: (n, labels) of 0 and 1.
        masks: (m, n) bool.
        penalties: (l,), shared by the labels.
        balanced: each label's rows with and without it weigh the same in all.
        how: ``iterations`` and ``tolerance`` of the solver.

    Returns:
        weights (m, l, labels, d), biases (m, l, labels), and the solver's steps.
    """
    groups: list[tuple[slice, Array | None]] = [(slice(None), None)]
    if balanced:
        rows: Array = np.any(masks, axis=0)
        groups = [(slice(i, i + 1), _even(targets[:, i], rows)) for i in range(targets.shape[1])]
    weights, biases, used = [], [], 0
    for place, weight in groups:
        rotated, back, mean, variance = whiten(features, weight)
        counted = masks if weight is None else masks * weight
        found, bias, steps = solve(
            rotated, variance, targets[:, place], counted, penalties, sigmoid=True, **how
        )
        own = np.einsum("dr,mlrc->mlcd", back, found.astype(np.float64), optimize=True)
        weights.append(own)
        biases.append(bias.astype(np.float64) - own @ mean)
        used = max(used, steps)
    return np.concatenate(weights, axis=2), np.concatenate(biases, axis=2), used


def _even(own: Array, rows: Array) -> Array:
    """Row weights with a mean of 1 that give rows with and without a label the same total."""
    share = float(own[rows].mean())
    if not 0 < share < 1:
        return np.ones(len(own))
    return np.where(own > 0, 0.5 / share, 0.5 / (1 - share))


def numbers_head(
    whiten: Callable[..., tuple[Array, Array, Array, Array]],
    features: Array,
    values: Array,
    penalty: float,
) -> tuple[Array, Array]:
    """Ridge regression on all rows: weight (1, d) and bias (1,)."""
    rotated, back, mean, _ = whiten(features)
    every = np.ones((1, len(features)), bool)
    weights, offsets = numbers_path(rotated, values, every, np.array([penalty]))
    weight = (back @ weights[0, 0])[None]
    return weight, offsets[0] - weight @ mean


def labels_head(
    solve: Solver,
    whiten: Callable[..., tuple[Array, Array, Array, Array]],
    features: Array,
    targets: Array,
    penalty: float,
    balanced: bool,
) -> tuple[Array, Array]:
    """One logistic regression for each label on all rows: weight (labels, d) and bias (labels,)."""
    every = np.ones((1, len(features)), bool)
    weights, biases, _ = labels_path(
        solve,
        whiten,
        features,
        targets,
        every,
        np.array([penalty]),
        balanced,
        iterations=400,
        tolerance=5e-4,
    )
    return weights[0, 0], biases[0, 0]
