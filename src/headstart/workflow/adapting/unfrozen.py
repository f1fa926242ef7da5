"""Candidates that train the source model's last blocks on both domains, each with features of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from headstart.methods.base import configure
from headstart.methods.domains import Domains, Head
from headstart.progress import Silent
from headstart.train.two_domains import Schedule, embed, train
from headstart.workflow.adapting.candidates import common_space
from headstart.workflow.language import marks

if TYPE_CHECKING:
    from torch import nn

    from headstart.methods.adapt.base import Adapt
    from headstart.sources.base import Network
    from headstart.types import Floats, Ints, Reporter, Step
    from headstart.workflow.adapting.boundary import Boundary
    from headstart.workflow.adapting.candidates import Evidence

__all__ = [
    "PICTURES",
    "TEXTS",
    "Places",
    "Trained",
    "put",
    "read_on",
    "schedule_of",
    "shown",
    "train_on",
]

PICTURES = Schedule(
    batch=32, rate=1e-3, body_share=0.3, optimiser="adam", decay=1e-4, wait=0.1, freeze_norm=True
)
TEXTS = replace(PICTURES, rate=5e-4, body_share=0.2)
"""Adam, as for a linear map on features; the head starts as source-only's, so it needs no larger rate."""
PASSES, FEWEST, MOST = 12, 150, 600
"""Over the larger domain, and steps that this may make."""
BATCH = 64
"""Rows whose features are computed at once."""


@dataclass(frozen=True)
class Places:
    """Where rows lie among all rows of the domains, the sources' first.

    Attributes:
        learn: source rows that candidates are trained on.
        held: source rows that they are judged by.
        target: target rows that adaptation sees.
    """

    learn: Ints
    held: Ints
    target: Ints


@dataclass(frozen=True)
class Trained:
    """A network whose body was trained without a label of the target, and what it makes of the domains.

    Attributes:
        network: with the source's weights where nothing was trained.
        boundary: the rows, at the freeze point in front of what was trained.
        domains: the source's training rows and the target by its features, in one scale.
        held: the held-out source rows.
        matrix, shift: from its features to those of the domains, (d, k) and (k,).
    """

    network: Network
    boundary: Boundary
    domains: Domains
    held: Floats
    matrix: Floats
    shift: Floats

    def place(self, head: Head) -> Head:
        """A head of the domains as one on the network's features."""
        return head.after(self.matrix, self.shift)

    def features(self, places: Ints) -> Floats:
        """The network's features of some rows, (n, width)."""
        return shown(self.boundary, self.boundary.body(self.network), places)


def schedule_of(boundary: Boundary, places: Places, seed: int) -> Schedule:
    """How long and how fast the last blocks train."""
    base = TEXTS if boundary.text else PICTURES
    rows = max(len(places.learn), len(places.target))
    steps = min(max(PASSES * rows // base.batch, FEWEST), MOST)
    wide = boundary.data.source.width if boundary.data.source else 384
    share = base.body_share * (min(1.0, 384 / wide) if boundary.text else 1.0)
    return replace(base, steps=steps, body_share=share, seed=seed)


def train_on(
    name: str,
    boundary: Boundary,
    places: Places,
    evidence: Evidence,
    settings: dict[str, dict[str, str]] | None = None,
    schedule: Schedule | None = None,
    bar: Step | None = None,
) -> tuple[Trained, Head]:
    """Train by a method of ``methods/adapt``, from the source model's weights and the source-only head.

    Args:
        name: of the method.
        boundary: both domains' rows at the freeze point.
        places: of the rows.
        evidence: of the frozen features.
        settings: method → parameter → value.
        schedule: steps and rates; None: :func:`schedule_of`.
        bar: told of each step.

    Returns:
        the network, and its head as the training left it, on the features of ``domains``.

    Raises:
        UsageError: the method can't adapt this network.
    """
    method: Adapt = configure("adapt", name, (settings or {}).get(name))
    ready = evidence.domains
    network = boundary.network()
    put(network.head, evidence.place(evidence.reference))
    body = boundary.body(network)
    pools = boundary.pool(places.learn, ready.labels), boundary.pool(places.target)
    train(
        body,
        network.head,
        *pools,
        method,
        schedule or schedule_of(boundary, places, ready.seed),
        bar=bar,
    )
    found = [shown(boundary, body, rows) for rows in (places.learn, places.target, places.held)]
    width = found[0].shape[1]
    domains = replace(ready, source=found[0], target=found[1], start=None)
    plain = np.eye(width), np.zeros(width)
    return Trained(network, boundary, domains, found[2], *plain), taken(network.head)


def read_on(
    name: str,
    boundary: Boundary,
    places: Places,
    evidence: Evidence,
    settings: dict[str, dict[str, str]] | None = None,
    reporter: Reporter | None = None,
) -> Trained:
    """Pretrain a text model further by a method of ``methods/pretrain``.

    Args:
        name: of the method.
        boundary: both domains' texts, at the input.
        places: of the rows; only the target rows that adaptation sees and the source's training rows are
            read.
        evidence: of the frozen features.
        settings: method → parameter → value.
        reporter: progress.
    """
    from headstart.features.tokens import looks_back
    from headstart.train.language import pretrain

    source: Any = boundary.data.source
    method = configure("pretrain", name, (settings or {}).get(name))
    wanted = [*places.target, *(places.learn if method.reads_source else ())]
    texts = {boundary.rows[n].origin.whole: boundary.tokens[n] for n in wanted}
    further, network = method.further(len(texts)), boundary.network()
    body, count = network.model.get_submodule("body"), len(texts) * further.epochs
    with (reporter or Silent()).step(f"Pretraining further on {len(texts)} texts", count) as step:
        pretrain(
            body,
            list(texts.values()),
            marks(source),
            further,
            causal=looks_back(source),
            own=source.language(),
            seed=evidence.domains.seed,
            step=step,
        )
    whole = boundary.body(network)
    found = [shown(boundary, whole, rows) for rows in (places.learn, places.target, places.held)]
    matrix, shift = common_space(found[0], found[1], evidence.domains.seed)
    moved = [rows @ matrix + shift for rows in found]
    domains = replace(evidence.domains, source=moved[0], target=moved[1], start=None)
    return Trained(network, boundary, domains, moved[2], matrix, shift)


def shown(boundary: Boundary, body: nn.Module, places: Ints) -> Floats:
    """A body's features of some rows as they are tested, float64 (n, width)."""
    places = np.asarray(places)
    # Texts of one length together: little padding is computed.
    order = np.argsort([boundary.length(n) for n in places], kind="stable")
    found = embed(body, boundary.pool(places[order]), BATCH).double().numpy()
    out: Floats = found[np.argsort(order)]
    return out


def put(layer: Any, head: Head) -> None:
    """Give a linear layer the numbers of a head."""
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(head.weight))
        layer.bias.copy_(torch.from_numpy(head.bias))


def taken(layer: Any) -> Head:
    """The numbers of a linear layer."""
    weight, bias = (p.detach().double().numpy() for p in (layer.weight, layer.bias))
    return Head(np.array(weight), np.array(bias))
