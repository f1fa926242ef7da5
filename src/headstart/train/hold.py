"""What regularisers get to see while a tail trains: its start, its features, the source's answers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from headstart.errors import UsageError
from headstart.tasks.base import Task
from headstart.tasks.classify import CLASSIFY
from headstart.train.parts import HEAD, bodies

if TYPE_CHECKING:
    from torch import Tensor, nn

    from headstart.train.recipe import Recipe
    from headstart.types import Array

__all__ = ["Hold", "Holds", "Known", "Seen"]

BATCH = 32
LEARN_ROWS = 1024
"""Training rows, at most, from which a regulariser learns what it needs before the training."""


@dataclass
class Seen:
    """What a penalty may be computed from, in one step.

    Attributes:
        targets: (n,) class indices, or as the task's :meth:`~headstart.tasks.base.Task.wanted`.
        features: (n, width), the head's input.
        maps, source_maps: stage → feature maps (n, channels, ...), of the network that trains and
            of the source model on the same inputs.
        body: pairs of a trained parameter and its value at the start, the head's left out.
        head: the head's parameters.
        source_logits: (n, source classes), the source's own head on the features.
        memory: what the regulariser learnt before the training.
    """

    targets: Tensor
    features: Tensor
    maps: dict[str, Tensor]
    source_maps: dict[str, Tensor]
    body: list[tuple[Tensor, Tensor]]
    head: Sequence[Tensor]
    source_logits: Tensor | None
    memory: dict[str, Tensor]


class Hold(Protocol):
    """A regulariser, as the loop sees it: either ``penalty`` or ``mix`` is there, see
    :mod:`headstart.methods.regularise.base`."""

    needs: ClassVar[tuple[str, ...]]
    pixels_only: ClassVar[bool]

    @classmethod
    def name(cls) -> str:
        """Its name."""

    @property
    def off(self) -> bool:
        """Whether its strength is zero."""

    def learn(self, known: Known) -> dict[str, Tensor]:
        """What to remember from the training rows before the training."""


@dataclass
class Known:
    """What a regulariser may learn from before the training: the network at its start.

    Attributes:
        targets: (rows,) class indices of the training rows, of at most :data:`LEARN_ROWS`; or as
            the task's :meth:`~headstart.tasks.base.Task.wanted`.
        classes: of the target task.
        source_head: weight (source classes, width) and bias, or None.
    """

    targets: Tensor
    classes: int
    source_head: tuple[Tensor, Tensor] | None
    run: Callable[[], tuple[Tensor, dict[str, Tensor]]] = field(repr=False)

    @cached_property
    def _both(self) -> tuple[Tensor, dict[str, Tensor]]:
        return self.run()

    @property
    def features(self) -> Tensor:
        """(rows, width), the head's input on the plain views."""
        return self._both[0]

    @property
    def losses_without(self) -> dict[str, Tensor]:
        """Stage → (channels,): how much the mean loss rises when a channel of its output is zero.

        To first order: L(z with z_j = 0) − L(z) ≈ −z_j · ∂L/∂z_j (Molchanov et al. 2017, eq. 7).
        """
        return self._both[1]


class Holds:
    """The regularisers of one training with all that they need.

    Args:
        tail: at its start.
        regularisers: those with strength 0 are left out altogether.
        recipe: of the training.
        feed, targets, rows: of the training.
        source_head: weight and bias of the source's own head; None where it has none.
        task: what is learned.

    Raises:
        UsageError: a regulariser needs what isn't there.
    """

    def __init__(
        self,
        tail: nn.Sequential,
        regularisers: Sequence[Any],
        recipe: Recipe,
        *,
        feed: Any = None,
        targets: Array | None = None,
        rows: Sequence[int] = (),
        source_head: tuple[Array, Array] | None = None,
        task: Task = CLASSIFY,
    ) -> None:
        from torch import nn

        active = [one for one in regularisers if not one.off]
        self.penalties = [one for one in active if hasattr(one, "penalty")]
        self.mixers = [one for one in active if hasattr(one, "mix")]
        self.needs = {need for one in active for need in one.needs}
        self.extra = nn.ModuleDict()
        self.memory: dict[str, dict[str, Tensor]] = {}
        self._handles: list[Any] = []
        self._seen: dict[str, Tensor] = {}
        self._seen_maps: dict[str, Tensor] = {}
        self._source_maps: dict[str, Tensor] = {}
        self._source: nn.Module | None = None
        _refuse(active, recipe, source_head)
        if not self.penalties:
            return
        self._body = [
            (p, p.detach().clone())
            for name, p in tail.named_parameters()
            if not name.startswith(f"{HEAD}.")
        ]
        self._head = [p for name, p in tail.named_parameters() if name.startswith(f"{HEAD}.")]
        if "maps" in self.needs:
            self._source = copy.deepcopy(tail).eval().requires_grad_(False)
            self._watch_maps(self._source, self._source_maps)
            self._watch_maps(tail, self._seen_maps)
        self._handles.append(
            dict(tail.named_children())[HEAD].register_forward_pre_hook(
                lambda _, args: self._seen.update(features=args[0])
            )
        )
        if "source_head" in self.needs and source_head is not None:
            self.extra["source_head"] = _linear(source_head)
        chosen = _some(list(rows))
        wanted = task.wanted(_targets(targets, chosen))
        counted = targets is not None and task.name == CLASSIFY.name
        known = Known(
            wanted,
            int(targets.max()) + 1 if counted and targets is not None else task.outputs,
            None if source_head is None else _tensors(source_head),
            lambda: _look(tail, feed, wanted, chosen, task),
        )
        self.memory = {one.name(): one.learn(known) for one in self.penalties}

    def to(self, device: Any) -> None:
        """Move what the penalties need to the device of the training."""
        self.extra.to(device)
        if self._source is not None:
            self._source.to(device)
        self.memory = {
            name: {key: value.to(device) for key, value in own.items()}
            for name, own in self.memory.items()
        }
        if self.penalties:
            self._body = [(p, start.to(device)) for p, start in self._body]

    def mix(
        self, inputs: Tensor, wanted: Tensor, random: np.random.Generator
    ) -> tuple[Tensor, Tensor, float]:
        """Mix a batch with itself; return inputs, the other targets, and the share of the own ones."""
        if not self.mixers:
            return inputs, wanted, 1.0
        one = self.mixers[int(random.integers(len(self.mixers)))]
        order = random.permutation(len(wanted))
        mixed, share = one.mix(inputs, order, random)
        return mixed, wanted[order], share

    def penalty(self, inputs: Tensor, wanted: Tensor) -> Tensor | None:
        """The sum of the penalties for the batch that has just gone through the tail."""
        import torch

        if not self.penalties:
            return None
        features = self._seen["features"].float()
        if self._source is not None:
            with torch.no_grad():
                self._source(inputs)
        head: Any = self.extra["source_head"] if len(self.extra) else None
        parts = [
            one.penalty(
                Seen(
                    wanted,
                    features,
                    self._seen_maps,
                    self._source_maps,
                    [(p, start) for p, start in self._body if p.requires_grad],
                    self._head,
                    None if head is None else head(features),
                    self.memory[one.name()],
                )
            )
            for one in self.penalties
        ]
        total: Tensor = torch.stack(parts).sum()
        return total

    def close(self) -> None:
        """Take the hooks off the tail."""
        for handle in self._handles:
            handle.remove()

    def _watch_maps(self, tail: nn.Module, into: dict[str, Tensor]) -> None:
        def keep(name: str) -> Any:
            def hook(_: nn.Module, __: Any, output: Tensor) -> None:
                into[name] = output

            return hook

        for name in bodies(tail):  # type: ignore[arg-type]
            self._handles.append(tail.get_submodule(name).register_forward_hook(keep(name)))


def _refuse(active: list[Any], recipe: Recipe, source_head: Any) -> None:
    for one in active:
        if one.pixels_only and recipe.point != "input":
            raise UsageError(
                f"{one.name()} cuts pictures, and the training starts from activations at "
                f"{recipe.point}.",
                "Use it with a method that trains from pictures: --set full.regularise="
                f"{one.name()}",
            )
        if "source_head" in one.needs and source_head is None:
            raise UsageError(
                f"{one.name()} needs the source model's own head, and this one has none.",
                "See which have: headstart zoo. Or leave it out.",
            )


def _some(rows: list[int]) -> list[int]:
    """At most :data:`LEARN_ROWS` rows, evenly spaced."""
    if len(rows) <= LEARN_ROWS:
        return rows
    places = np.linspace(0, len(rows) - 1, LEARN_ROWS).astype(int)
    return [rows[place] for place in places]


def _targets(targets: Array | None, rows: list[int]) -> Array:
    return np.zeros(0, np.int64) if targets is None else targets[rows]


def _tensors(head: tuple[Array, Array]) -> tuple[Tensor, Tensor]:
    import torch

    weight, bias = head
    return torch.tensor(weight).float(), torch.tensor(bias).float()


def _linear(head: tuple[Array, Array]) -> nn.Linear:
    """The source's own head as a layer that trains along (You et al. 2020, section 3.3)."""
    import torch
    from torch import nn

    weight, bias = _tensors(head)
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return layer


def _look(
    tail: nn.Sequential, feed: Any, targets: Tensor, rows: list[int], task: Task
) -> tuple[Tensor, dict[str, Tensor]]:
    """Features of some rows, and what each channel's absence would cost, in evaluation mode."""
    import torch

    was, features, costs = tail.training, [], {name: [] for name in bodies(tail)}  # type: ignore[var-annotated]
    maps: dict[str, Tensor] = {}
    zero = torch.zeros((), requires_grad=True)  # lets frozen stages' outputs have a gradient too

    def hook(name: str) -> Any:
        def add(_: nn.Module, __: Any, output: Tensor) -> Tensor:
            maps[name] = output + zero
            return maps[name]

        return add

    handles = [tail.get_submodule(n).register_forward_hook(hook(n)) for n in costs]
    head = dict(tail.named_children())[HEAD]
    handles.append(
        head.register_forward_pre_hook(lambda _, args: features.append(args[0].detach()))
    )
    tail.eval()
    try:
        for start in range(0, len(rows), BATCH):
            part = rows[start : start + BATCH]
            output = tail(feed.batch(part)).float()
            loss = task.loss(output, targets[start : start + BATCH], None, 0.0, "sum")
            found = torch.autograd.grad(loss, [maps[name] for name in costs])
            for name, gradient in zip(costs, found, strict=True):
                cost = -(maps[name].detach() * gradient).transpose(0, 1).flatten(1).sum(dim=1)
                costs[name].append(cost)
    finally:
        for handle in handles:
            handle.remove()
        tail.train(was)
    means = {name: torch.stack(parts).sum(dim=0) / len(rows) for name, parts in costs.items()}
    return torch.cat(features), means
