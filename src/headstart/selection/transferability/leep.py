"""Scores a source head by how well its predictions, read through a table, predict the classes (LEEP)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.selection.transferability.base import Inputs, check, class_parts, sound

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = ["MISLEADS", "NEEDS", "PAPER", "SUMMARY", "WHEN", "expected", "score"]

NEEDS = frozenset({"probabilities"})
SUMMARY = "Mean log probability of the right class, read from the source head through a table."
WHEN = "The source model has a head over many classes, some of them akin to the target's."
MISLEADS = (
    "Source heads with different numbers of classes (more classes raise it), few rows for each "
    "source class, and target classes that the source head can't tell apart but its features can."
)
PAPER = "Nguyen et al. 2020, LEEP: A New Measure to Evaluate Transferability."


def score(features: Any, labels: Any, probabilities: Any = None, *, seed: int = 0) -> float:
    """LEEP, at most 0 (each row is certain); higher is better.

    Args:
        features, seed: not used.
        labels: (n,) integers.
        probabilities: (n, s) of the source classes, rows that sum to 1.

    Raises:
        UsageError: the input can't be used; the message names what and where.

    Example:
        >>> score(None, [0, 0, 1, 1], [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
        0.0
    """
    given = check(__name__, NEEDS, features, labels, probabilities, values=False)
    found = expected(given, given.probabilities)
    if np.isnan(found):
        check(__name__, NEEDS, features, labels, probabilities)  # says what is wrong, and where
    return found


def expected(given: Inputs, probabilities: Array) -> float:
    """Mean of log Σ_z P(y|z) θ(x)_z over rows, P(y|z) being estimated from the same rows.

    A class's rows fit the processor's cache, so the whole matrix comes from memory twice and no
    more: for the table, with the check of its values on the way, and for the expected predictions.

    Args:
        given: the checked input, for its labels and counts.
        probabilities: (n, s) of source classes, or of components of a mixture.

    Returns:
        LEEP, or NaN where a row is no distribution.
    """
    parts = class_parts(given.labels, given.counts)
    ones = np.ones(int(given.counts.max()), probabilities.dtype)
    joint = np.empty((given.classes, probabilities.shape[1]))

    def add(classes: range) -> bool:
        good = True
        for c in classes:
            rows = probabilities[parts[c]]
            joint[c] = ones[: len(rows)] @ rows
            good = sound(rows) and good
        return good

    def predict(classes: range) -> list[Array]:
        return [probabilities[parts[c]] @ table[c] for c in classes]

    halves = [range(given.classes // 2), range(given.classes // 2, given.classes)]
    with np.errstate(all="ignore"), ThreadPoolExecutor(2) as pool:
        if not all(list(pool.map(add, halves))):
            return float("nan")
        source = joint.sum(axis=0)
        table = np.divide(joint, source, out=np.zeros_like(joint), where=source > 0)
        table = table.astype(probabilities.dtype)
        chance = np.concatenate([part for half in pool.map(predict, halves) for part in half])
    return float(np.log(np.clip(chance.astype(np.float64), 1e-300, 1.0)).mean())
