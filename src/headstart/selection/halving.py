"""Which settings are worth trying in the time that is left: many short looks, few whole trainings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = ["Range", "affordable", "corrected", "draw", "survivors"]

ETA = 3
"""Of every so many settings that were looked at, one goes on (Jamieson and Talwalkar 2016; Li et al.
2018, section 3, take 3 or 4)."""
MOST = 27
BESIDE = 2.0
"""Seconds of a training beside its epochs: a network built and written."""


@dataclass(frozen=True)
class Range:
    """Where a parameter is searched.

    Attributes:
        low, high: both within reach; on a logarithmic scale where the ratio is 8 or more.
        whole: integers alone.
        choices: values to choose from instead; ``low`` and ``high`` are not read then.
    """

    low: float = 0.0
    high: float = 1.0
    whole: bool = False
    choices: tuple[Any, ...] = ()

    def at(self, share: float) -> Any:
        """The value at a share of the way, 0 to 1.

        >>> Range(1e-4, 1e-2).at(0.5)
        0.001
        >>> Range(choices=("a", "b")).at(0.7)
        'b'
        """
        if self.choices:
            return self.choices[min(int(share * len(self.choices)), len(self.choices) - 1)]
        if self.low > 0 and self.high / self.low >= 8:
            value = math.exp(math.log(self.low) + share * math.log(self.high / self.low))
        else:
            value = self.low + share * (self.high - self.low)
        return round(value) if self.whole else float(f"{value:.3g}")


def draw(space: Mapping[str, Range], count: int, seed: int) -> list[dict[str, Any]]:
    """Settings spread evenly over a space: a scrambled Sobol sequence (Owen 1998).

    The first settings of a longer list are those of a shorter one.

    Args:
        space: parameter → range.
        count: how many.
        seed: of the scrambling.
    """
    from scipy.stats import qmc

    if not space or count < 1:
        return []
    names = sorted(space)
    sampler = qmc.Sobol(len(names), scramble=True, rng=np.random.default_rng((seed, 47)))
    shares: Array = sampler.random_base2(max(1, math.ceil(math.log2(count))))[:count]
    return [
        {name: space[name].at(float(share)) for name, share in zip(names, row, strict=True)}
        for row in shares
    ]


def affordable(
    looks: Sequence[float], wholes: Sequence[float], left: float, eta: int = ETA, most: int = MOST
) -> int:
    """How many settings to look at, so that the looks and the trainings that follow fit.

    Args:
        looks: predicted seconds of a short look at each setting, in the order they would be tried.
        wholes: predicted seconds of each setting's whole training.
        left: seconds that are left.
        eta: one in so many goes on.
        most: never more.

    Returns:
        the largest number that fits, 0 where not even two do.

    >>> affordable([1.0] * 9, [10.0] * 9, left=40.0)
    9
    >>> affordable([1.0] * 9, [10.0] * 9, left=26.0)
    6
    """
    best = 0
    for count in range(2, min(len(looks), most) + 1):
        dearest = sorted(wholes[:count], reverse=True)[: math.ceil(count / eta)]
        if sum(looks[:count]) + sum(dearest) <= left:
            best = count
    return best


def corrected(
    whole: float, trainings: int, predicted: Sequence[float], taken: Sequence[float]
) -> float:
    """What a whole training will take, by how late the looks were that went before.

    Of what a look took longer, at the median, up to two seconds are what every training takes
    beside its epochs; the rest is a slower pace.

    Args:
        whole: predicted seconds.
        trainings: of which it consists: its folds, and the final one.
        predicted, taken: seconds of each look.

    >>> corrected(60.0, 6, [10.0, 10.0], [9.0, 9.5])
    60.0
    >>> corrected(60.0, 6, [10.0], [11.0])
    66.0
    >>> corrected(60.0, 6, [10.0], [17.0])
    102.0
    """
    if not taken:
        return whole
    late = [after - before for before, after in zip(predicted, taken, strict=True)]
    more = max(0.0, float(np.median(late)))
    beside = min(more, BESIDE)
    return whole * (1 + (more - beside) / float(np.median(predicted))) + beside * trainings


def survivors(scores: Sequence[float], eta: int = ETA) -> list[int]:
    """The places of the best of some scores, the best first; the earlier one where two are equal.

    >>> survivors([0.5, 0.9, 0.7, 0.9])
    [1, 3]
    """
    order = sorted(range(len(scores)), key=lambda index: (-scores[index], index))
    return order[: math.ceil(len(scores) / eta)]
