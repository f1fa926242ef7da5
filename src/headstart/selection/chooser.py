"""Chooses among adapted classifiers, or for none of them, without one label of the target.

What a validator's score is worth was measured on other families of data sets: a ridge regression for each
candidate that may be returned, from what may be known without labels to its gain over source-only. Which
candidate that is depends on how the domains lie to each other (:func:`regime`): methods that keep the
classes' shares do harm where the shares differ, and with two classes that can be seen from the direction in
which the domains' means differ. The fit is shipped as plain numbers (``data/adaptation.json``, written by
``benchmarks/adaptation/fit_chooser.py``) with the margins under which the answer is source-only, and with
the errors that the same fit made on families it had not seen, from which intervals come.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

__all__ = [
    "CLOSED",
    "OFFERED",
    "Choice",
    "Estimate",
    "Linear",
    "Weights",
    "agreed",
    "choose",
    "described",
    "estimate",
    "guess",
    "regime",
    "shipped",
]

SHIPPED = Path(__file__).parent / "data" / "adaptation.json"
Scores = Mapping[str, float]
EVEN, UNEVEN = 0.14, 0.22
"""Of two classes: where the domains' means differ less (more) than this along the classes' direction, the
shares of the classes count as alike (as different). In between nobody knows."""
CLUSTERS = 0.5
"""Of more classes: where source-only answers a row and its nearest alike at least as often as this, the target's
classes count as clusters."""
OFFERED = {
    "many": "consensus",
    "clustered": "consensus+nrc",
    "even": "consensus+hold_shares",
    "uneven": "consensus+prior_means",
}
"""What may be returned unasked, by :func:`regime`; nothing where it is unclear, nor from several sources of two
classes, where the consensus did harm and no chooser was fitted."""
CLOSED = 1.0
"""A margin that nothing exceeds."""


def regime(facts: Scores) -> str:
    """How the domains lie to each other.

    ``many`` classes, ``clustered`` ones, or two with ``even``, ``unclear`` or ``uneven`` shares, or two
    and ``several`` sources. A table's shares are never taken for even: on eighteen tables whose rows come
    from several groups, a quarter of the pairs was harmed by that.

    Args:
        facts: of :func:`headstart.selection.judged.facts_of`.
    """
    if np.exp(facts.get("classes", 0.0)) > 2.5:
        return "clustered" if facts.get("near", 0.0) >= CLUSTERS else "many"
    if facts.get("sources", 1.0) > 1:
        return "several"
    along = facts.get("along", 0.0)
    if along >= UNEVEN:
        return "uneven"
    return "even" if along < EVEN and not facts.get("table", 0.0) else "unclear"


@dataclass(frozen=True)
class Estimate:
    """An accuracy on the target, estimated without its labels.

    Attributes:
        accuracy: a share.
        low, high: of its 90 % interval.
    """

    accuracy: float
    low: float
    high: float


@dataclass(frozen=True)
class Choice:
    """What is returned, and why.

    Attributes:
        method: the chosen method; empty for source-only.
        gains: each candidate's expected gain over source-only, as a share.
        margin: that the best had to exceed.
        why: one sentence.
    """

    method: str
    gains: dict[str, float]
    margin: float
    why: str


@dataclass(frozen=True)
class Linear:
    """A linear function of named numbers.

    Attributes:
        names: of the numbers, in the order of ``centre``, ``scale`` and ``weight``.
        centre, scale: by which they are standardised, then cut at four.
        weight, bias: of the sum.
    """

    names: tuple[str, ...]
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    weight: tuple[float, ...]
    bias: float

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Linear:
        """Read what ``asdict`` gave."""
        vectors = {key: tuple(values[key]) for key in ("names", "centre", "scale", "weight")}
        return cls(**vectors, bias=float(values["bias"]))

    def __call__(self, numbers: Scores) -> float:
        """Its value; a number that is missing counts as 0."""
        found = np.array([numbers.get(name, 0.0) for name in self.names])
        scaled = np.clip((found - self.centre) / np.asarray(self.scale), -4, 4)
        return float(scaled @ np.asarray(self.weight) + self.bias)


@dataclass(frozen=True)
class Weights:
    """A fitted chooser.

    Attributes:
        gains: candidate → its gain, as a share, from :func:`described`. The first is of all runs and stands for
            every candidate that the others aren't for; these are of the runs of their own regime.
        margins: regime → expected gain from which its candidate is taken; ``named.REGIME`` → the same of
            other candidates, which the user names.
        level: how far :func:`guess` is off, where no consensus was fitted.
        told: source-only's accuracy from :func:`agreed`, where one was.
        errors: quantiles of the estimate's error on families not seen, from 5 % to 95 %, as shares.
    """

    gains: dict[str, Linear]
    margins: dict[str, float]
    level: Linear
    told: Linear
    errors: tuple[float, float]

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Weights:
        """Read what :meth:`as_dict` gave."""
        gains = {name: Linear.from_dict(one) for name, one in values["gains"].items()}
        level, told = Linear.from_dict(values["level"]), Linear.from_dict(values["told"])
        return cls(gains, values["margins"], level, told, tuple(values["errors"]))

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    def gain(self, name: str, numbers: Scores) -> float:
        """The expected gain of one candidate over source-only, as a share."""
        return self.gains.get(name, next(iter(self.gains.values())))(numbers)


@cache
def shipped() -> Weights:
    """The weights that come with headstart."""
    return Weights.from_dict(json.loads(SHIPPED.read_text(encoding="utf-8"))["weights"])


def described(facts: Scores, base: Scores, own: Scores) -> dict[str, float]:
    """What the gain is predicted from: facts of the domains, and what the candidate changes.

    Args:
        facts: of :func:`headstart.selection.judged.facts_of`.
        base: source-only's scores.
        own: the candidate's.
    """
    out = {f"task.{name}": float(value) for name, value in facts.items()}
    for name, value in own.items():
        out[f"own.{name}"] = float(value)
        if name in base:
            out[f"gain.{name}"] = float(value) - float(base[name])
    return out


def choose(
    facts: Scores,
    seen: Mapping[str, Scores],
    weights: Weights | None = None,
    asked: Sequence[str] = (),
    trusted: bool = False,
) -> Choice:
    """Take the candidate for how the domains lie, if it is expected to gain enough, or source-only.

    Args:
        facts: of the domains.
        seen: candidate → its scores; ``source_only`` among them.
        weights: instead of those that are shipped.
        asked: candidates that the user has named; empty: the regime's. Other than the regime's own, one is
            taken where its expected gain exceeds what named candidates needed elsewhere to be safe.
        trusted: take the best of them whatever is expected.
    """
    weights = weights or shipped()
    base, where = seen["source_only"], regime(facts)
    # A fit of another regime says nothing here: those candidates get the first one's, which is of all runs.
    gains = {
        name: weights.gain(name if name == OFFERED.get(where) else "", described(facts, base, own))
        for name, own in seen.items()
        if name != "source_only"
    }
    own = OFFERED.get(where, "")
    bars = {
        name: weights.margins.get(where if name == own else f"named.{where}", CLOSED)
        for name in gains
        if name in (asked or (own,))
    }
    best = max(bars, key=lambda n: (trusted or gains[n] > bars[n], gains[n], n), default="")
    margin = bars.get(best, weights.margins.get(where, CLOSED))
    name, points = best.replace("_", " "), 100 * gains.get(best, 0.0)
    if best and trusted:
        why = f"{name} was named, and is trusted whatever the scores say ({points:+.1f} points expected)."
        return Choice(best, gains, CLOSED, why)
    if best and gains[best] > margin:
        why = f"By scores without labels, {name} is expected to gain {points:.1f} points over source-only."
        return Choice(best, gains, margin, why)
    if where == "unclear" and not asked and facts.get("table", 0.0):
        why = (
            "These are columns of a table with two classes, and the domains' means don't differ along the "
            "direction that tells the classes apart: elsewhere no method was safe then."
        )
    elif where == "unclear" and not asked:
        why = (
            "The domains' means differ partly along the direction that tells the classes apart (cosine "
            f"{facts['along']:.2f}), so the classes' shares may differ: elsewhere no method was safe then."
        )
    elif where == "several" and not asked:
        why = (
            "With several sources and two classes no method was safe elsewhere: the sources' shares of the "
            "classes differ among themselves. A single source may be adapted."
        )
    elif best and margin >= CLOSED:
        why = (
            f"{name} was named. Where domains lie like these, no score without labels told elsewhere whether "
            "such a method helps or harms. If you know why it should help, add --trust."
        )
    elif not best:
        why = "No candidate that may be returned could be fitted, or each looks like a collapse."
    else:
        why = (
            f"The best candidate, {name}, is expected to change the accuracy by {points:+.1f} points; more "
            f"than {100 * margin:.1f} are asked for before source-only is given up."
        )
    return Choice("", gains, margin, why)


def guess(facts: Scores, base: Scores) -> float:
    """A plain estimate of source-only's accuracy, which ``level`` corrects: the mean of ATC's, DoC's and
    the mean confidence."""
    return (float(base["atc"]) + float(base["doc"]) + float(facts["confidence"])) / 3


def agreed(facts: Scores, seen: Mapping[str, Scores]) -> dict[str, float]:
    """What source-only's accuracy is read from: the share of its answers that self-training leaves as they
    are, how sharp and even the consensus answers (BNM), and the accuracy of chance.

    A classifier's own confidence says little about a domain far away; that classifiers which have seen the
    domain differ from it says more. Empty where no consensus was fitted.
    """
    if not {"consensus", "self_training"} <= set(seen):
        return {}
    return {
        "stays": 1.0 - float(seen["self_training"]["moved"]),
        "consensus.bnm": float(seen["consensus"]["bnm"]),
        "chance": float(np.exp(-facts.get("classes", 0.0))),
    }


def estimate(
    facts: Scores, seen: Mapping[str, Scores], gain: float = 0.0, weights: Weights | None = None
) -> Estimate:
    """The accuracy on the target of source-only, and of what is expected to gain on it.

    Args:
        facts: of the domains.
        seen: candidate → its scores; ``source_only`` among them.
        gain: expected of the returned candidate.
        weights: instead of those that are shipped.
    """
    weights = weights or shipped()
    base, numbers = seen["source_only"], agreed(facts, seen)
    if numbers:
        value = weights.told(numbers)
    else:
        value = guess(facts, base) + weights.level(described(facts, base, base))
    floor = 1.0 / max(np.exp(facts.get("classes", 0.0)), 1.0) / 2
    value = min(max(value + gain, floor), 1.0)
    low, high = weights.errors
    return Estimate(value, max(0.0, value + low), min(1.0, value + high))
