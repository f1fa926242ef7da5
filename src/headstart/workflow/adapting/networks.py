"""Which networks an adaptation trains: those of methods that were named, while there is time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np

from headstart.errors import HeadstartError, UsageError
from headstart.features.cache import Cache
from headstart.methods.domains import Head
from headstart.sources.text import TextSource
from headstart.sources.text_network import STATIC
from headstart.types import Reporter
from headstart.workflow.adapting.boundary import INPUT, Boundary, point_of
from headstart.workflow.adapting.candidates import (
    NETWORK,
    PRETRAIN,
    Candidate,
    Evidence,
    family_of,
    fitted,
)
from headstart.workflow.adapting.unfrozen import (
    Places,
    Trained,
    read_on,
    schedule_of,
    train_on,
)

if TYPE_CHECKING:
    from headstart.train.two_domains import Schedule
    from headstart.workflow.adapting.plan import AdaptPlan
    from headstart.workflow.domains import Domains

__all__ = ["DEFAULT", "Networks", "refuse"]

DEFAULT = "mcc"
"""What trains where ``--unfreeze`` names no method: on PACS the others' discriminators ran away with the few
pictures that there are."""
TIMED = 3
"""Steps by which a training's time is told."""


def refuse(plan: AdaptPlan, data: Domains) -> None:
    """Say at once what can't be had: a network where there is none, or a freeze point that it lacks.

    Raises:
        UsageError: with what to type instead.
    """
    families = {name: family_of(name) for name in plan.methods}
    reading = [name for name, family in families.items() if family == PRETRAIN]
    if reading and data.modality != "text":
        raise UsageError(
            f"{reading[0]} reads texts, and the data are {_told(data.modality)}.", "Leave it out."
        )
    static = (
        isinstance(data.source, TextSource) and data.source.settings().get("model_type") == STATIC
    )
    if reading and static and data.source:
        raise UsageError(
            f"{data.source.name} is a table of vectors: it doesn't see a word's neighbours.",
            "Name another: --source-model minilm_l6",
        )
    if not plan.unfreeze:
        return
    if data.source is None:
        raise UsageError(
            f"--unfreeze trains a source model's blocks, and the data are {_told(data.modality)}.",
            "Leave it out.",
        )
    if plan.methods and "adapt" not in families.values():
        raise UsageError(
            f"--unfreeze is for methods that train, and {', '.join(plan.methods)} doesn't.",
            f"Add one: --method {DEFAULT}",
        )
    point_of(data.source, plan.unfreeze)


def _told(modality: str) -> str:
    return {"table": "tables", "array": "arrays", "image": "pictures", "text": "texts"}[modality]


@dataclass
class Networks:
    """The networks of one adaptation.

    Attributes:
        plan: what was asked for.
        data: the domains.
        evidence: of their frozen features.
        places: of the rows that candidates see.
        classes: outputs of the head.
        reporter: progress.
        left: seconds of the budget that are left.
    """

    plan: AdaptPlan
    data: Domains
    evidence: Evidence
    places: Places
    classes: int
    reporter: Reporter
    left: Callable[[], float]
    _read: dict[str, Trained] = field(default_factory=dict)

    def names(self) -> list[str]:
        """Those that are tried: methods that train where ``--unfreeze`` or a budget makes room for it."""
        plan = self.plan
        if self.data.source is None:
            return []
        deep = [name for name in plan.methods if family_of(name) == "adapt"]
        if plan.unfreeze and not plan.methods:
            deep = [DEFAULT]
        if not plan.unfreeze and plan.budget is None:
            deep = []
        try:
            point = point_of(self.data.source, plan.unfreeze or "auto") if deep else ""
        except UsageError:  # nobody asked for it
            deep, point = [], ""
        reading = [name for name in plan.methods if family_of(name) == PRETRAIN]
        return [f"{name}@{point}" for name in deep] + reading

    def fit(self) -> list[Candidate]:
        """Train them one after the other; one that fails, or for which there is no time, says so."""
        out = []
        for name in self.names():
            begun = time.perf_counter()
            family = family_of(name)
            try:
                if self.left() <= 0:
                    raise HeadstartError("the budget was used up")
                head, network = self._one(name, family)
                failed = _sound(head, network)
            except HeadstartError as error:
                failed = str(error.message)
            except (np.linalg.LinAlgError, ArithmeticError) as error:
                failed = f"it can't be solved on its features ({type(error).__name__})"
            spent = time.perf_counter() - begun
            if failed:
                out.append(Candidate(name, family, None, spent, failed))
            else:
                out.append(Candidate(name, family, head, spent, "", network))
        return out

    def _one(self, name: str, family: str) -> tuple[Head, Trained]:
        settings = self.plan.settings
        if family == NETWORK:
            return self._trained(name.partition("@")[0])
        first, _, rest = name.partition("+")
        if first not in self._read:
            self._read[first] = read_on(
                first, self._at(INPUT), self.places, self.evidence, settings, self.reporter
            )
        network = self._read[first]
        head = fitted(rest, network.domains, settings) if rest else network.domains.source_only
        return head, network

    def _trained(self, method: str) -> tuple[Head, Trained]:
        boundary, places = self._boundary, self.places
        schedule = schedule_of(boundary, places, self.evidence.domains.seed)
        run = partial(train_on, method, boundary, places, self.evidence, self.plan.settings)
        boundary.feed  # noqa: B018  # what lies before the freeze point runs now, and is no part of a step
        if self.plan.budget is not None:
            needed = _forecast(run, schedule)
            if needed > self.left():
                raise HeadstartError(
                    f"it needs about {needed:.0f} s, and {max(self.left(), 0):.0f} s of the budget are left"
                )
        title = f"Training {boundary.data.source.title if boundary.data.source else ''}: {method}"
        with self.reporter.step(title, schedule.steps) as step:
            network, head = run(schedule=schedule, bar=step)
        return head, network

    @cached_property
    def _boundary(self) -> Boundary:
        return self._at(point_of(self.data.source, self.plan.unfreeze or "auto"))

    def _at(self, point: str) -> Boundary:
        places = self.places
        wanted = [*places.learn, *places.held, *places.target]
        return Boundary(
            self.data,
            sorted({int(place) for place in wanted}),
            point,
            self.classes,
            self.plan.seed,
            Cache(),
            self.reporter,
        )


def _sound(head: Head, network: Trained) -> str:
    """Why a training is of no use; empty where it is."""
    domains = network.domains
    found = (head.weight, head.bias, domains.source, domains.target, network.held)
    if all(np.isfinite(numbers).all() for numbers in found):
        return ""
    return "its training diverged: the numbers are no longer finite"


class _Clock:
    """Notes when each step ended."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def advance(self, count: int = 1) -> None:
        """A step has ended."""
        self.times.append(time.perf_counter())

    def note(self, text: str) -> None:
        """Nothing is shown."""


def _forecast(run: Callable[..., object], schedule: Schedule) -> float:
    """Seconds of a training, from its first steps and the features that follow it."""
    clock, begun = _Clock(), time.perf_counter()
    run(schedule=replace(schedule, steps=TIMED, wait=0.0), bar=clock)
    each = (clock.times[-1] - clock.times[0]) / (TIMED - 1)
    return time.perf_counter() - begun + each * (schedule.steps - TIMED)
