"""Which source model is best, and how sure that is: paired bootstrap over the same held-out rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from headstart.types import Interval

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = ["Standing", "choose", "rounds", "stand"]

DRAWS = 4000
SHARE = 0.75
"""Weight of the error rate's logarithm against the log loss's in what stands for the error after
transfer. The log loss tells nearly equal candidates apart with fewer rows."""
DEPARTURE = 0.12
"""How far a transferred model's errors depart from its probe's, as a share of the probe's errors (one
standard deviation): what the probe alone can't tell about the order after fine-tuning. A prior."""
HOPELESS = 0.01
"""A candidate whose probability of being best falls below this is dropped before the next round."""
SURE = 0.95
"""The ranking stops growing once the leader is best with this probability."""
TIE_POINTS, TIE_CHANCE = 0.005, 0.25
"""Two candidates are not separated when the expected loss of taking the lower one is at most
``TIE_POINTS`` and it is the better one with at least ``TIE_CHANCE``."""
FIRST, GROWTH = 128, 2


@dataclass(frozen=True)
class Standing:
    """One candidate's place.

    Attributes:
        name: of the source model.
        score: share of held-out rows that its probe has right, with the bootstrap's 95 % interval.
        best: probability of being the best of all candidates after transfer.
        regret: expected loss against the best, as a share (0.01 is a point).
        chance: probability of being better than the leader.
    """

    name: str
    score: Interval
    best: float
    regret: float
    chance: float


def rounds(rows: int, classes: int, first: int = FIRST) -> list[int]:
    """Sizes of the growing subset: at least 8 rows of each class at first, then twice as many.

    >>> rounds(1000, 2)
    [128, 256, 512, 1000]
    """
    sizes = [min(rows, max(first, 8 * classes))]
    while sizes[-1] < rows:
        grown = sizes[-1] * GROWTH
        sizes.append(rows if grown * 1.5 > rows else grown)
    return sizes


def stand(
    hits: Mapping[str, Array],
    seed: int,
    losses: Mapping[str, Array] | None = None,
    *,
    departure: float = DEPARTURE,
    share: float = SHARE,
) -> list[Standing]:
    """Rank candidates by what their probes make of the same held-out rows.

    Each bootstrap draw takes the same rows for all candidates (so that rows which are hard for all
    of them cancel out). A candidate's error after transfer is taken to be
    error^share · (scale · loss)^(1 - share), with one scale for all of them, times a normal
    departure from 1, for what fine-tuning changes.

    Args:
        hits: name → (n,) share right of each row, 0 to 1, on the same rows for all.
        seed: of the bootstrap.
        losses: name → (n,) log loss of each row, in nats; None judges by the hits alone.
        departure: see :data:`DEPARTURE`; 0 judges the probes alone.
        share: see :data:`SHARE`; 1 judges by the hits alone.

    Returns:
        the candidates, the smallest expected regret first.

    >>> sure = {"good": np.ones(200), "bad": np.zeros(200)}
    >>> [(one.name, one.best) for one in stand(sure, seed=0)]
    [('good', 1.0), ('bad', 0.0)]
    """
    names = sorted(hits)  # so that the draws don't depend on the order in which they came
    values = np.stack([np.asarray(hits[name], np.float64) for name in names])
    random = np.random.default_rng((seed, 41))
    rows = values.shape[1]
    weights = random.multinomial(rows, np.full(rows, 1 / rows), size=DRAWS) / rows
    scores = weights @ values.T
    errors, drawn = 1 - values.mean(axis=1), 1 - scores
    if losses is not None:
        lost = np.stack([np.asarray(losses[name], np.float64) for name in names])
        errors, drawn = _blended(errors, drawn, lost, weights, share)
    after = 1 - drawn - random.standard_normal(scores.shape) * departure * errors
    top = after.max(axis=1, keepdims=True)
    best = (after >= top).mean(axis=0)
    regret = (top - after).mean(axis=0)
    leader = int(np.lexsort((regret, errors))[0])
    chance = (after > after[:, [leader]]).mean(axis=0)
    low, high = np.quantile(scores, [0.025, 0.975], axis=0)
    out = [
        Standing(
            name,
            Interval(float(values[i].mean()), float(low[i]), float(high[i])),
            float(best[i]),
            float(regret[i]),
            float(chance[i]),
        )
        for i, name in enumerate(names)
    ]
    return sorted(out, key=lambda one: (one.regret, -one.best, one.name))


def _blended(
    errors: Array, drawn: Array, losses: Array, weights: Array, share: float
) -> tuple[Array, Array]:
    """Error rates (m,) and their draws (b, m), each blended with the log losses (m, n) of its rows."""
    least = 0.5 / losses.shape[1]
    means = np.maximum(losses.mean(axis=1), 1e-9)
    scale = np.exp(np.mean(np.log(np.maximum(errors, least)) - np.log(means)))

    def blend(error: Array, loss: Array) -> Array:
        out: Array = np.maximum(error, least) ** share * (scale * loss) ** (1 - share)
        return out

    return blend(errors, means), blend(drawn, np.maximum(weights @ losses.T, 1e-9))


def choose(standings: list[Standing], costs: Mapping[str, float]) -> tuple[str, list[str]]:
    """The candidate to transfer, and those that could not be told from the leader.

    Among candidates that nothing separates, the cheapest is taken.

    Args:
        standings: from :func:`stand`.
        costs: name → cost of one picture, in any unit (multiply-adds).
    """
    leader = min(standings, key=lambda one: one.regret)
    tied = [
        one.name
        for one in standings
        if one.name == leader.name
        or (one.regret - leader.regret <= TIE_POINTS and one.chance >= TIE_CHANCE)
    ]
    cheapest = min(tied, key=lambda name: (costs.get(name, float("inf")), name != leader.name))
    return cheapest, [name for name in tied if name != cheapest]
