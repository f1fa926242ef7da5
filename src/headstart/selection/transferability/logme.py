"""Scores features by the evidence of Bayesian linear regression onto the classes (LogME)."""

from __future__ import annotations

from typing import Any

import numpy as np

from headstart.selection.transferability._evidence import evidence, single
from headstart.selection.transferability.base import (
    check,
    class_sums,
    compact,
    second_moment,
    workable,
)

__all__ = ["MISLEADS", "NEEDS", "PAPER", "SUMMARY", "WHEN", "evidence", "score"]

NEEDS = frozenset({"features"})
SUMMARY = "Mean log evidence, per row, of Bayesian linear regression from features to each class."
WHEN = "A good default: steady on few rows, and it punishes width that doesn't help."
MISLEADS = (
    "Many classes with few rows each (every indicator is nearly zero, and so are the differences), "
    "or features that suit another head than a linear one."
)
PAPER = (
    "You et al. 2021, LogME: Practical Assessment of Pre-trained Models for Transfer Learning, "
    "and the fixed point of You et al. 2022, arXiv:2110.10545."
)


def score(features: Any, labels: Any, probabilities: Any = None, *, seed: int = 0) -> float:
    """LogME, in nats per row and class; higher is better, without bounds.

    Args:
        features: (n, d).
        labels: (n,) integers.
        probabilities, seed: not used.

    Raises:
        UsageError: the input can't be used; the message names what and where.

    Example:
        >>> features = [[0.0, 1.0], [0.1, 1.0], [1.0, 0.0], [0.9, 0.1]]
        >>> score(features, [0, 0, 1, 1]) > score(features, [0, 1, 0, 1])
        True
    """
    given = check(__name__, NEEDS, features, labels)
    n, d = given.features.shape
    if workable(given.features).dtype == np.float32:
        found = single(given)
        if found is not None:
            return found
    x = compact(given.features)
    sigma, axes = np.linalg.eigh(second_moment(x, exact=True))
    keep = sigma > max(float(sigma[-1]), 0.0) * len(sigma) * np.finfo(float).eps
    sigma = sigma[keep]
    projected = axes[:, keep].T @ class_sums(x, given.labels, given.classes).T
    squares = projected**2 / sigma[:, None]
    return float(evidence(sigma, squares, given.counts.astype(float), n, d).mean())
