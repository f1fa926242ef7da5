"""What the diagnoses share: the facts that they read, and what they say.

A diagnosis is one file with the constants ``TITLE``, ``RANK`` and ``NEEDS`` (names of fields of
:class:`Facts` that must be there) and a pure function ``diagnose(facts) -> Diagnosis``. It is found by
its file's name; nothing is registered.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart import registry
from headstart.evaluate.paired import wilson
from headstart.tasks.classify import metric, tallies
from headstart.types import Interval

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = [
    "FOLDER",
    "LEVELS",
    "NOTICE",
    "OK",
    "WARNING",
    "Diagnosis",
    "Facts",
    "Figure",
    "Tensors",
    "answered",
    "array",
    "examine",
    "jackknife",
    "resampled",
    "scored",
    "share",
]

log = logging.getLogger("headstart.diagnose")

FOLDER = "evaluate.diagnose"
OK, NOTICE, WARNING = LEVELS = ("ok", "notice", "warning")
RESAMPLES = 2000
Tensors = dict[str, Any]
"""A state dict: name → numpy array or torch tensor."""


@dataclass(frozen=True)
class Figure:
    """A number that a diagnosis rests on.

    Attributes:
        name: what it is, in words.
        value: the number; ``nan`` where it can't be had.
        low, high: its 95 % interval; None where nothing was sampled.
        unit: ``share`` (0 to 1), ``points`` (a difference of two shares) or empty.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    unit: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """What one diagnosis says.

    Attributes:
        name: of its file.
        title: of the diagnosis, for people.
        level: ``ok``, ``notice`` (good to know) or ``warning`` (likely costs score).
        sentence: what was seen, in one or two sentences.
        figures: what it rests on.
        advice: what to do next; commands stand in backticks; empty where nothing is to be done.
        details: plain values for plots and pictures.
    """

    name: str
    title: str
    level: str
    sentence: str
    figures: tuple[Figure, ...] = ()
    advice: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """As plain values for JSON, where what is not finite is None."""
        plain: dict[str, Any] = _finite(asdict(self))
        return plain


def _finite(value: Any) -> Any:
    """Plain values with None for numbers that JSON can't write."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of one finished training; whatever isn't known is None or empty.

    Attributes:
        classes: number of classes.
        metric: as in :data:`headstart.tasks.classify.METRICS`.
        seed: of every resample.
        targets: (n,) given class of each learn row.
        held_out: (n, classes), probabilities from models that did not train on the row; NaN where
            there is none.
        fitted: (n, classes), probabilities of the final model on its own training rows; NaN elsewhere.
        probe: (n, classes), the linear probe's held-out probabilities; None where this is the probe.
        test: class indices and predictions of the test rows, (m,) each, opened by the verdict.
        curve: learning curve, a dict for each epoch with ``epoch``, ``loss``, ``train``.
        before, after: state dicts of the source model and of the trained network.
        stages: stage names in order → names of their tensors.
        source_features, features: (k, d), pooled features of the same rows by the source model and
            by the trained network.
        feature_targets: (k,) class indices of those rows.
        head: weight (s, d) and bias (s,) of the source model's own head.
    """

    classes: int
    targets: Array
    metric: str = "accuracy"
    seed: int = 0
    held_out: Array | None = None
    fitted: Array | None = None
    probe: Array | None = None
    test: tuple[Array, Array] | None = None
    curve: Sequence[dict[str, Any]] = ()
    before: Tensors | None = None
    after: Tensors | None = None
    stages: dict[str, list[str]] | None = None
    source_features: Array | None = None
    features: Array | None = None
    feature_targets: Array | None = None
    head: tuple[Array, Array] | None = None

    def has(self, name: str) -> bool:
        """Whether a fact is known."""
        value = getattr(self, name)
        return value is not None and len(value) > 0


def examine(
    facts: Facts, only: Sequence[str] | None = None
) -> tuple[list[Diagnosis], dict[str, str]]:
    """Make every diagnosis whose facts are known.

    Args:
        facts: of one training.
        only: names of the diagnoses to make; None makes all.

    Returns:
        the diagnoses by rank, and name → reason of those that failed, so that a fault in one of
        them never costs a run.
    """
    made, failed = [], {}
    for module in registry.load_all(FOLDER):
        name = module.__name__.rsplit(".", 1)[-1]
        if (only is not None and name not in only) or not all(map(facts.has, module.NEEDS)):
            continue
        try:
            made.append(module.diagnose(facts))
        except Exception as error:  # the model is there: whatever fails here must not lose it
            failed[name] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            log.warning("the diagnosis %s failed: %s", name, failed[name])
    return made, failed


def array(tensor: Any) -> Array:
    """A tensor (of any precision, on any device) or an array as float32 numpy."""
    plain = tensor.detach().float().cpu().numpy() if hasattr(tensor, "detach") else tensor
    return np.asarray(plain, dtype=np.float32)


def answered(targets: Array, probabilities: Array) -> tuple[Array, Array]:
    """Targets and predictions of the rows that have probabilities.

    Args:
        targets: (n,).
        probabilities: (n, classes); a row with a NaN has none.
    """
    known = ~np.isnan(probabilities).any(axis=1)
    return targets[known], probabilities[known].argmax(axis=1)


def resampled(
    name: str, targets: Array, answers: Sequence[Array], classes: int, seed: int
) -> tuple[list[float], list[Array]]:
    """A metric of several predictions, and its values in common bootstrap resamples of the rows.

    Rows with the same class and the same answers are alike to every metric, so counts of such
    groups are drawn instead of rows: the same distribution at a cost that the rows don't raise.

    Args:
        name: the metric.
        targets: (n,) class indices.
        answers: predictions, (n,) each.
        classes: number of classes.
        seed: of the resamples.

    Returns:
        a value for each prediction, and (2000,) values for each.
    """
    rows = np.stack([targets, *answers], axis=1)
    kinds, counts = np.unique(rows, axis=0, return_counts=True)
    random = np.random.default_rng((seed, 31))
    weights = random.multinomial(len(rows), counts / len(rows), size=RESAMPLES).astype(np.float64)
    measure = metric(name)
    values, drawn = [], []
    for place in range(1, rows.shape[1]):
        pair = kinds[:, 0], kinds[:, place]
        values.append(float(measure(*tallies(*pair, classes, counts[None].astype(float)))[0]))
        drawn.append(measure(*tallies(*pair, classes, weights)))
    return values, drawn


def share(value: float, drawn: Array) -> Interval:
    """A value with the percentile interval of its resamples (Efron and Tibshirani 1993, ch. 13)."""
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(value, float(low), float(high))


def scored(name: str, targets: Array, answers: Array, value: float, drawn: Array) -> Interval:
    """A score with its 95 % interval: Wilson's for accuracy, which holds at 1 too, else the bootstrap's.

    Args:
        name: the metric.
        targets, answers: (n,) class indices.
        value, drawn: as :func:`resampled` gives them.
    """
    if name != "accuracy":
        return share(value, drawn)
    return Interval(value, *wilson(float((targets == answers).sum()), len(targets)))


def jackknife(value: float, kept: Array, part: float) -> tuple[float, float]:
    """95 % interval of a statistic by the delete-d jackknife (Shao and Wu 1989, eq. 2.1).

    Resampling with replacement would not do for ranks of features, as copies of a row lower them.

    Args:
        value: on all rows.
        kept: the statistic on random subsets without replacement.
        part: the share of the rows in each subset.
    """
    spread = 1.96 * float(np.std(kept)) * math.sqrt(part / (1 - part))
    return value - spread, value + spread
