"""Trains a body and a head on a labelled source domain and an unlabelled target domain at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from headstart.errors import UsageError
from headstart.train.players import Players

if TYPE_CHECKING:
    from headstart.train.pair import Round
    from headstart.types import Step

__all__ = [
    "Curve",
    "Domain",
    "Schedule",
    "Term",
    "Trained",
    "annealed",
    "embed",
    "train",
]

CURVE_POINTS = 50


class Term(Protocol):
    """What a method brings to the loop; :class:`headstart.methods.adapt.base.Adapt` is one."""

    needs: ClassVar[tuple[str, ...]]
    joint: ClassVar[bool]
    apart: ClassVar[bool]

    @property
    def off(self) -> bool:
        """Whether the training is the source's alone."""

    def lacks(self, body: nn.Module) -> str:
        """Why this body can't be adapted so."""

    def parts(self, width: int, classes: int, head: nn.Module) -> dict[str, nn.Module]:
        """Modules trained along."""

    def rounds(self) -> tuple[Round, ...]:
        """The updates of one step."""

    def finish(self, body: nn.Module, batches: list[Tensor]) -> None:
        """What is done to the trained body at the end."""


@dataclass(frozen=True)
class Domain:
    """One domain's rows.

    Attributes:
        inputs: (n, ...) tensor, or a feed: row indices (k,) → inputs (k, ...), such as one that decodes.
        rows: n.
        labels: (n,) class indices; None for the target.
        plain: a feed of the rows as they are tested, where ``inputs`` is one that changes them at random.
        again: a feed of a second, more strongly changed view, for methods that compare two.
    """

    inputs: Tensor | Callable[[Tensor], Tensor]
    rows: int
    labels: Tensor | None = None
    plain: Callable[[Tensor], Tensor] | None = None
    again: Callable[[Tensor], Tensor] | None = None

    @classmethod
    def of(cls, inputs: Tensor, labels: Tensor | None = None) -> Domain:
        """A domain that lies in memory."""
        return cls(inputs, len(inputs), labels)

    def take(self, rows: Tensor) -> Tensor:
        """The inputs of some rows, to train on."""
        return self.inputs[rows] if isinstance(self.inputs, Tensor) else self.inputs(rows)

    def show(self, rows: Tensor) -> Tensor:
        """The inputs of some rows as they are tested."""
        return self.plain(rows) if self.plain else self.take(rows)


@dataclass(frozen=True)
class Schedule:
    """How long and how fast.

    Attributes:
        steps: updates, at least 1.
        batch: rows of each domain in a step.
        rate: learning rate of the head.
        body_share: the body's rate, as a share of ``rate``.
        parts_rate: of the method's own modules; None: ``rate``.
        optimiser: ``sgd`` (Nesterov) or ``adam``.
        momentum: of SGD.
        decay: weight decay of head and modules.
        body_decay: weight decay of the body; None: ``decay``.
        anneal: whether the rate falls as ``(1 + 10 p)^-0.75`` (Ganin et al. 2016, section 5.2.2).
        balanced: whether each class is drawn equally often from the source.
        smoothing: label smoothing of the source's cross-entropy, 0 to 1.
        wait: share of the steps without the method's term, 0 to 1.
        freeze_norm: whether BatchNorm keeps its running statistics and goes by them.
        seed: of batches, dropout and the modules' first weights.
    """

    steps: int = 1000
    batch: int = 64
    rate: float = 0.01
    body_share: float = 1.0
    parts_rate: float | None = None
    optimiser: str = "sgd"
    momentum: float = 0.9
    decay: float = 5e-4
    body_decay: float | None = None
    anneal: bool = True
    balanced: bool = False
    smoothing: float = 0.0
    wait: float = 0.0
    freeze_norm: bool = False
    seed: int = 0


@dataclass
class Curve:
    """What was seen on the way, about 50 points.

    Attributes:
        step: at which update.
        source: the source's cross-entropy.
        term: the method's.
        domain: share of the batch whose domain the method's discriminator tells; none without one.
    """

    step: list[int] = field(default_factory=list)
    source: list[float] = field(default_factory=list)
    term: list[float] = field(default_factory=list)
    domain: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Trained:
    """The network at the last step, in evaluation mode, with the curve."""

    body: nn.Module
    head: nn.Module
    curve: Curve


def annealed(progress: float) -> float:
    """The learning rate's factor, 1 falling to 0.165 (Ganin et al. 2016, section 5.2.2).

    >>> round(annealed(0.0), 3), round(annealed(1.0), 3)
    (1.0, 0.166)
    """
    return float((1.0 + 10.0 * progress) ** -0.75)


def embed(body: nn.Module, domain: Domain, batch: int = 512) -> Tensor:
    """Features of all rows in evaluation mode, (n, d)."""
    body.eval()
    with torch.no_grad():
        pieces = [body(domain.show(rows)) for rows in torch.split(torch.arange(domain.rows), batch)]
    return torch.cat(pieces)


def train(
    body: nn.Module,
    head: nn.Module,
    source: Domain,
    target: Domain,
    method: Term | None = None,
    schedule: Schedule | None = None,
    perturb: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    bar: Step | None = None,
) -> Trained:
    """Minimise the source's cross-entropy and the method's term, in place.

    Args:
        body: inputs → features (n, d).
        head: features → logits (n, classes); a linear layer as a rule.
        source: with labels.
        target: its labels are not asked for.
        method: what is added; None, or one whose strength is 0, trains on the source alone.
        schedule: steps, rates, seed; None: its defaults.
        perturb: a strong random change of a batch of inputs, for methods that compare two views.
        bar: told of each step.

    Raises:
        UsageError: the method can't adapt this body, or compares views and gets no ``perturb``.
    """
    plan = schedule or Schedule()
    active = None if method is None or method.off else method
    _check(active, body, perturb or target.again)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        curve = _run(body, head, source, target, active, plan, perturb, bar)
    if active is not None:
        active.finish(body, _batches(target))
    return Trained(body.eval(), head.eval(), curve)


def _check(method: Term | None, body: nn.Module, perturb: Any) -> None:
    if method is None:
        return
    if lacking := method.lacks(body):
        raise UsageError(lacking, "Choose another method: headstart methods adapt")
    if "view" in method.needs and perturb is None:
        raise UsageError(
            "This method compares two views of a row, and no way to change a row was given.",
            "Give train(..., perturb=...), or a target with again=....",
        )


def _batches(domain: Domain, batch: int = 256, most: int = 40) -> list[Tensor]:
    """Up to ``most`` batches spread over the domain."""
    pieces = torch.split(torch.arange(domain.rows), batch)
    kept = pieces[:: max(1, len(pieces) // most)][:most]
    return [domain.show(rows) for rows in kept]


def _run(
    body: nn.Module,
    head: nn.Module,
    source: Domain,
    target: Domain,
    method: Term | None,
    plan: Schedule,
    perturb: Callable[[Tensor, torch.Generator], Tensor] | None,
    bar: Step | None,
) -> Curve:
    """All updates."""
    labels = source.labels
    if labels is None:
        raise UsageError("The source domain has no labels.", "Give Domain.of(inputs, labels).")
    model = Players(body, head, method, source, plan)
    optimiser = _optimiser(body, head, model.parts, plan)
    rates = [group["lr"] for group in optimiser.param_groups]
    draw = [torch.Generator().manual_seed(plan.seed * 3 + k) for k in range(3)]
    from_source = _rows(source.rows, plan.batch, draw[0], labels if plan.balanced else None)
    from_target = _rows(target.rows, plan.batch, draw[1])
    curve, every = Curve(), max(1, plan.steps // CURVE_POINTS)
    for step in range(plan.steps):
        progress = step / plan.steps
        for group, rate in zip(optimiser.param_groups, rates, strict=True):
            group["lr"] = rate * (annealed(progress) if plan.anneal else 1.0)
        rows = next(from_source)
        notes: dict[str, float] = {}
        if method is None or not method.joint or progress < plan.wait:
            supervised = model.learnt(source.take(rows), labels[rows])
            term = torch.zeros(())
            _update(optimiser, supervised)
        else:
            own = next(from_target)
            other = target.take(own)
            changed = None
            if "view" in method.needs:
                changed = target.again(own) if target.again else perturb(other, draw[2])  # type: ignore[misc]
            batch = (source.take(rows), other, changed, labels[rows])
            share = (progress - plan.wait) / (1.0 - plan.wait)
            for number, turn in enumerate(method.rounds()):
                with model.training(turn.trains):
                    found, term, notes = model.turn(turn, batch, share)
                    _update(optimiser, found + term)
                supervised = supervised if number else found
        if step % every == 0 or step == plan.steps - 1:
            _note(curve, step, supervised, term, notes)
        if bar is not None:
            bar.advance()
    return curve


def _update(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    """One update of whatever takes a gradient now; the rest has none and stays."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()


def _optimiser(
    body: nn.Module, head: nn.Module, parts: nn.ModuleDict, plan: Schedule
) -> torch.optim.Optimizer:
    body_decay = plan.decay if plan.body_decay is None else plan.body_decay
    groups = [
        {
            "params": list(body.parameters()),
            "lr": plan.rate * plan.body_share,
            "weight_decay": body_decay,
        },
        {"params": list(head.parameters()), "lr": plan.rate, "weight_decay": plan.decay},
        {
            "params": list(parts.parameters()),
            "lr": plan.rate if plan.parts_rate is None else plan.parts_rate,
            "weight_decay": plan.decay,
        },
    ]
    groups = [group for group in groups if group["params"]]
    if plan.optimiser == "adam":
        return torch.optim.Adam(groups)
    return torch.optim.SGD(groups, momentum=plan.momentum, nesterov=plan.momentum > 0)


def _rows(
    rows: int, batch: int, draw: torch.Generator, labels: Tensor | None = None
) -> Iterator[Tensor]:
    """Batches without end: permutation after permutation, or every class equally often."""
    batch = min(batch, rows)
    if labels is not None:
        pools = [torch.nonzero(labels == c).flatten() for c in sorted(set(labels.tolist()))]
        while True:
            chosen = torch.randint(len(pools), (batch,), generator=draw).tolist()
            places = torch.rand(batch, generator=draw).tolist()
            yield torch.stack(
                [pools[c][int(u * len(pools[c]))] for c, u in zip(chosen, places, strict=True)]
            )
    while True:
        order = torch.randperm(rows, generator=draw)
        for start in range(0, rows - batch + 1, batch):
            yield order[start : start + batch]


def _note(
    curve: Curve, step: int, supervised: Tensor, term: Tensor, notes: dict[str, float]
) -> None:
    curve.step.append(step)
    curve.source.append(float(supervised.detach()))
    curve.term.append(float(term.detach()))
    if "domain" in notes:
        curve.domain.append(notes["domain"])
