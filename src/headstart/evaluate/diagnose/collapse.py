"""Compares the fine-tuned features with the source's: did they fall into a few directions, or none?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from headstart.evaluate.diagnose.base import (
    NOTICE,
    OK,
    WARNING,
    Diagnosis,
    Facts,
    Figure,
    jackknife,
)

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = [
    "NEEDS",
    "RANK",
    "TITLE",
    "diagnose",
    "effective_rank",
    "participation_ratio",
    "separation",
]

TITLE = "Feature collapse"
RANK = 4
NEEDS = frozenset({"source_features", "features", "feature_targets"})

SUBSETS, PART = 40, 0.75
FALLEN = 0.5
"""Fine-tuning narrows features towards the classes' means, which is no fault while the classes lie
further apart. Half of the source's effective rank gone without that gain is one."""
DEAD = 1e-4
"""Spread, as a share of the source features' own, under which features no longer tell rows apart."""


def diagnose(facts: Facts) -> Diagnosis:
    """Compare effective rank, participation ratio and class separation on the same rows.

    Collapse is a loss of rank that does not come with classes further apart; a mere loss of rank is
    what training for few classes does.

    Args:
        facts: ``source_features``, ``features`` and ``feature_targets``.
    """
    assert facts.source_features is not None and facts.features is not None
    old = facts.source_features.astype(np.float64)
    new = facts.features.astype(np.float64)
    labels = np.asarray(facts.feature_targets)
    if not np.isfinite(new).all():
        says = "The fine-tuned features hold values that are no numbers."
        return Diagnosis("collapse", TITLE, WARNING, says, (), ADVICE)
    alive = _spread(new) / max(_spread(old), 1e-12)
    figures, found = [], {}
    for name, measure in MEASURES.items():
        before, after = measure(old, labels), measure(new, labels)
        change = _change(measure, old, new, labels, facts.seed)
        found[name] = change
        figures += [
            Figure(f"{name}, source", before),
            Figure(f"{name}, fine-tuned", after),
            Figure(f"{name}, fine-tuned over source", *change),
        ]
    level, says = _judge(alive, found)
    figures.append(Figure("spread of the features, fine-tuned over source", alive))
    return Diagnosis("collapse", TITLE, level, says, tuple(figures), ADVICE if level != OK else "")


ADVICE = (
    "Train with a lower learning rate or less regularisation, or keep nearer to the source model: "
    "freeze more of it, or take `--method partial`."
)


def _judge(alive: float, found: dict[str, tuple[float, float, float]]) -> tuple[str, str]:
    rank, apart = found["effective rank"], found["class separation"]
    if alive < DEAD:
        return (
            WARNING,
            "The fine-tuned features are the same for every row: the network has collapsed.",
        )
    share = f"{rank[0] * 100:.0f} % [{rank[1] * 100:.0f}, {rank[2] * 100:.0f}]"
    if rank[2] >= FALLEN:
        return OK, f"The features keep {share} of the source's effective rank."
    apart_says = f"{apart[0]:.2f} times [{apart[1]:.2f}, {apart[2]:.2f}] as far apart"
    if apart[1] > 1:
        return OK, (
            f"The features narrowed to {share} of the source's effective rank while the classes moved "
            f"apart ({apart_says}), as training does."
        )
    level = WARNING if apart[2] < 1 else NOTICE
    return level, (
        f"The features collapsed to {share} of the source's effective rank, and the classes are only "
        f"{apart_says}."
    )


def effective_rank(features: Array, labels: Array | None = None) -> float:
    """exp of the entropy of the singular values' shares (Roy and Vetterli 2007, eqs. 3 to 5).

    Args:
        features: (n, d); they are centred first.
        labels: not used.

    Returns:
        1 (one direction) to min(n - 1, d) (all alike); 0 where the features never change.
    """
    values = _singular(features)
    total = values.sum()
    if total <= 0:
        return 0.0
    shares = values[values > 0] / total
    return float(np.exp(-(shares * np.log(shares)).sum()))


def participation_ratio(features: Array, labels: Array | None = None) -> float:
    """(Σλ)² / Σλ² of the covariance's eigenvalues λ: the directions that carry the variance.

    Args:
        features: (n, d); they are centred first.
        labels: not used.
    """
    values = _singular(features) ** 2
    square = float((values**2).sum())
    return float(values.sum()) ** 2 / square if square > 0 else 0.0


def separation(features: Array, labels: Array) -> float:
    """Scatter between class means over scatter within classes, per degree of freedom.

    The ratio of Calinski and Harabasz 1974: about 1 where classes mean nothing, larger the further
    their means lie apart.

    Args:
        features: (n, d).
        labels: (n,) class indices.
    """
    present, numbered, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(present) < 2 or len(labels) <= len(present):
        return float("nan")
    hot = np.eye(len(present))[numbered]
    means = hot.T @ features / counts[:, None]
    between = float((counts[:, None] * (means - features.mean(axis=0)) ** 2).sum())
    within = float(((features - means[numbered]) ** 2).sum())
    free = (len(labels) - len(present)) / (len(present) - 1)
    return between / max(within, 1e-300) * free


MEASURES = {
    "effective rank": effective_rank,
    "participation ratio": participation_ratio,
    "class separation": separation,
}


def _singular(features: Array) -> Array:
    """Singular values of the centred features, by the smaller Gram matrix."""
    x = np.asarray(features, np.float64)
    x = x - x.mean(axis=0)
    gram = x @ x.T if x.shape[0] <= x.shape[1] else x.T @ x
    values = np.linalg.eigvalsh(gram)
    out: Array = np.sqrt(np.maximum(values, max(values[-1], 0.0) * 1e-12))
    return out if values[-1] > 0 else np.zeros_like(values)


def _spread(features: Array) -> float:
    """Root of the total variance over the length of the mean: no unit, so two networks compare."""
    total = float(features.var(axis=0).sum())
    return math.sqrt(total / max(float((features**2).mean(axis=0).sum()), 1e-300))


def _change(
    measure: object, old: Array, new: Array, labels: Array, seed: int
) -> tuple[float, float, float]:
    """New over old with its interval, from subsets of the rows on the scale of logarithms."""
    assert callable(measure)
    random = np.random.default_rng((seed, 43))

    def ratio(rows: Array) -> float:
        above, below = measure(new[rows], labels[rows]), measure(old[rows], labels[rows])
        return float(np.log(max(above, 1e-12) / max(below, 1e-12)))

    every = np.arange(len(old))
    value = ratio(every)
    size = max(3, round(PART * len(old)))
    kept = [ratio(np.sort(random.permutation(every)[:size])) for _ in range(SUBSETS)]
    low, high = jackknife(value, np.array(kept), PART)
    return float(np.exp(value)), float(np.exp(low)), float(np.exp(high))
