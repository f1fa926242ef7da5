"""The modules that a training on two domains moves, and their forward passes: together, or one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from headstart.train.pair import Round, Seen
from headstart.train.parts import still

if TYPE_CHECKING:
    from headstart.train.two_domains import Domain, Schedule, Term

__all__ = ["Players", "joined"]


class Players:
    """Body, head and the method's own modules, in training mode."""

    def __init__(
        self, body: nn.Module, head: nn.Module, method: Term | None, source: Domain, plan: Schedule
    ) -> None:
        self.body, self.head = body, head
        self.parts = nn.ModuleDict() if method is None else self._parts(method, source)
        self.apart = method is not None and method.apart
        self.criterion = nn.CrossEntropyLoss(label_smoothing=plan.smoothing)
        body.train(), head.train(), self.parts.train()
        if plan.freeze_norm:
            still(body)

    def _parts(self, method: Term, source: Domain) -> nn.ModuleDict:
        probe = source.take(torch.arange(min(2, source.rows)))
        self.body.eval(), self.head.eval()
        with torch.no_grad():
            features = self.body(probe)
            classes = self.head(features).shape[1]
        return nn.ModuleDict(method.parts(features.shape[1], classes, self.head))

    def learnt(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """The source's cross-entropy."""
        found: Tensor = self.criterion(self.head(self.body(inputs)), labels)
        return found

    @contextmanager
    def training(self, what: str) -> Iterator[None]:
        """Let only the body, or only the classifiers, take a gradient."""
        out = {"body": (self.head, self.parts), "classifiers": (self.body,)}.get(what, ())
        held = [p for module in out for p in module.parameters() if p.requires_grad]
        for parameter in held:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in held:
                parameter.requires_grad_(True)

    def turn(
        self, turn: Round, batch: tuple[Tensor, Tensor, Tensor | None, Tensor], progress: float
    ) -> tuple[Tensor, Tensor, dict[str, float]]:
        """The source's cross-entropy, the method's term and its notes in one round."""
        source, target, changed, labels = batch
        if not turn.supervised:
            source, labels = source[:0], labels[:0]
        seen = self._seen(source, target, changed, labels, progress)
        found = self.criterion(seen.source_logits, labels) if turn.supervised else torch.zeros(())
        return found, turn.loss(seen), seen.notes

    def _seen(
        self,
        source: Tensor,
        target: Tensor,
        changed: Tensor | None,
        labels: Tensor,
        progress: float,
    ) -> Seen:
        """One forward pass of all rows together, so that BatchNorm sees what it will be tested with; one for
        each batch where the method has the domains apart."""
        given = [source, target] + ([] if changed is None else [changed])
        of, logits = self._together(given) if not self.apart else self._apart(given)
        again = (None, None) if changed is None else (of[2], logits[2])
        return Seen(
            source=of[0],
            target=of[1],
            source_logits=logits[0],
            target_logits=logits[1],
            labels=labels,
            parts={**self.parts, "head": self.head},
            progress=progress,
            again=again[0],
            again_logits=again[1],
        )

    def _together(self, given: list[Tensor]) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        features = self.body(joined(given))
        sizes = [len(rows) for rows in given]
        return features.split(sizes), self.head(features).split(sizes)

    def _apart(self, given: list[Tensor]) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """Features and logits, each batch by itself; no rows give none."""
        found = [(f := self.body(rows), self.head(f)) for rows in given if len(rows)]
        first = found[0]
        of = iter(found)
        pairs = [next(of) if len(rows) else (first[0][:0], first[1][:0]) for rows in given]
        return [one[0] for one in pairs], [one[1] for one in pairs]


def joined(batches: Sequence[Tensor]) -> Tensor:
    """Batches one after the other; texts of several lengths, (n, L) ids or (n, L, width) states, are padded.

    >>> joined([torch.zeros(1, 2, dtype=torch.long), torch.ones(1, 3, dtype=torch.long)]).tolist()
    [[0, 0, -1], [1, 1, 1]]
    """
    lengths = {rows.shape[1] for rows in batches}
    if len(lengths) == 1:
        return torch.cat(list(batches))
    longest, out = max(lengths), []
    for rows in batches:
        fill = rows.new_full((len(rows), longest - rows.shape[1], *rows.shape[2:]), 0)
        out.append(torch.cat([rows, fill if rows.is_floating_point() else fill - 1], dim=1))
    return torch.cat(out)
