"""Scores features by a cross-validated linear probe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.methods.finetune.linear_probe import whiten
from headstart.selection.transferability._logistic import solve_path
from headstart.selection.transferability.base import check
from headstart.tasks.classify import softmax

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = ["MISLEADS", "NEEDS", "PAPER", "SUMMARY", "WHEN", "held_out", "score"]

NEEDS = frozenset({"features"})
SUMMARY = "Mean log probability of the right class by a linear probe on rows that it didn't see."
WHEN = "The frozen features are what will be used, or rows are few enough that it costs little."
MISLEADS = (
    "Full fine-tuning, which may lift a source whose frozen features are behind; classes with fewer "
    "rows than folds, which some folds can't learn."
)
PAPER = "Kornblith, Shlens and Le 2019, Do Better ImageNet Models Transfer Better? (probe on frozen features)."

FOLDS = 3
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)
STEPS = 60
"""The most steps of the solver for each fold and penalty."""
ROUGH, FINE = 1e-3, 3e-6
"""Expected gain of a step, in nats, that ends the solver: for every penalty, and for the best ones."""
NEAR = 0.05
"""Nats from the best penalty within which a rough solution does not decide."""
UNSEEN = 1e-7
"""Smallest probability that counts, as in the linear probe's own validation."""


def score(features: Any, labels: Any, probabilities: Any = None, *, seed: int = 0) -> float:
    """The cross-validated mean log likelihood in nats, at most 0; higher is better.

    It ranks by likelihood and not by accuracy: on few rows many sources have the same number of
    errors, and the likelihood still tells them apart. For accuracy take the argmax of
    :func:`held_out`.

    Args:
        features: (n, d).
        labels: (n,) integers.
        probabilities: not used.
        seed: of the folds.

    Raises:
        UsageError: the input can't be used; the message names what and where.
    """
    given = check(__name__, NEEDS, features, labels)
    chance = held_out(given.features, given.labels, seed=seed)[np.arange(len(labels)), given.labels]
    return float(np.log(np.maximum(chance, UNSEEN)).mean())


def held_out(
    features: Array, labels: Array, *, seed: int = 0, folds: int = FOLDS, steps: int = STEPS
) -> Array:
    """Each row's class probabilities by probes that didn't train on it, with the best penalty.

    Args:
        features: (n, d) floating.
        labels: (n,), 0 to c - 1.
        seed: of the folds.
        folds: each class is spread evenly over them.
        steps: of the solver; its early stop comes on top.

    Returns:
        (n, c).
    """
    n = len(labels)
    fold = _folds(labels, min(folds, n), seed)
    rotated, _, _, variance = whiten(features)
    solver = _Solver(rotated, variance, labels, fold, steps)
    penalties = np.array(PENALTIES)
    solved, chance = solver(penalties, ROUGH, [None] * (fold.max() + 1))
    right = np.log(np.maximum(chance[:, np.arange(n), labels], UNSEEN)).mean(axis=1)
    near = right > right.max() - NEAR
    _, chance = solver(penalties[near], FINE, [weights[near] for weights in solved])
    right = np.log(np.maximum(chance[:, np.arange(n), labels], UNSEEN)).mean(axis=1)
    out: Array = chance[right.argmax()]
    return out


@dataclass(frozen=True)
class _Solver:
    rotated: Array
    variance: Array
    labels: Array
    fold: Array
    steps: int

    def __call__(
        self, penalties: Array, tolerance: float, starts: Sequence[Array | None]
    ) -> tuple[list[Array], Array]:
        """Each fold's weights, and each row's probabilities by the fold that left it out (l, n, c)."""
        classes = int(self.labels.max()) + 1
        solved, chance = [], np.empty((len(penalties), len(self.labels), classes))
        for number, start in enumerate(starts):
            train = self.fold != number
            weights = solve_path(
                self.rotated[train],
                self.variance,
                self.labels[train],
                classes,
                penalties,
                iterations=self.steps,
                tolerance=tolerance,
                start=start,
            )
            logits = self.rotated[~train] @ weights[:, :-1] + weights[:, -1:]
            chance[:, ~train] = softmax(logits.astype(np.float64))
            solved.append(weights)
        return solved, chance


def _folds(labels: Array, folds: int, seed: int) -> Array:
    """The fold of each row: classes are shuffled, then dealt out one row after another."""
    shuffled = np.random.default_rng((seed, 53)).permutation(len(labels))
    order = shuffled[np.argsort(labels[shuffled], kind="stable")]
    fold = np.empty(len(labels), int)
    fold[order] = np.arange(len(labels)) % folds
    return fold
