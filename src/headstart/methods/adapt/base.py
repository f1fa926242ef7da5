"""What a deep adapting method offers: a term that is added to the source's cross-entropy.

A file in this folder holds its pure core (tensors in, a tensor out) and a frozen dataclass ``Method``
with one verb, ``loss(seen)``. What it may look at is in :class:`~headstart.train.pair.Seen`; modules of
its own (a domain discriminator, a second classifier) are made by ``parts``. The same file serves a
network (:func:`headstart.train.two_domains.train`) and cached features
(:func:`headstart.workflow.adapt_features.adapt_features`).
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from headstart.methods.base import Base, Round, Seen, param

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = [
    "Adapt",
    "Round",
    "Seen",
    "discriminator",
    "domain_loss",
    "param",
    "ramp",
    "reverse",
    "told",
    "untrained",
]


@dataclass(frozen=True)
class Adapt(Base):
    """The base of methods that train on both domains at once.

    Each has a parameter ``strength``, the weight of its term; 0 leaves the source-only training.
    """

    family: ClassVar[str] = "adapt"
    unasked: ClassVar[bool] = False
    """They take seconds to minutes where others take none, so most run only when they are named."""
    tasks: ClassVar[tuple[str, ...]] = ("classify",)
    modalities: ClassVar[tuple[str, ...]] = ("image", "text", "array")
    fixes: ClassVar[tuple[str, ...]] = ()
    """The kinds of shift that it is for: ``covariate``, ``label``."""
    needs: ClassVar[tuple[str, ...]] = ()
    """What costs a step more: ``view``, a second view of the target's rows."""

    joint: ClassVar[bool] = True
    """Whether the training sees the target; otherwise only ``finish`` does."""

    apart: ClassVar[bool] = False
    """Whether each domain goes through the network by itself, so that BatchNorm scales each by its own
    statistics; otherwise both go together."""

    @property
    def off(self) -> bool:
        """Whether its strength is zero, so that the training is the source's alone."""
        return not self.values()["strength"]

    def lacks(self, body: nn.Module) -> str:
        """Why this body can't be adapted so; empty where it can."""
        return ""

    def parts(self, width: int, classes: int, head: nn.Module) -> dict[str, nn.Module]:
        """Modules of its own, trained along.

        Args:
            width: of the body's features.
            classes: number of classes.
            head: the classifier, for those that need a second one like it.
        """
        return {}

    def loss(self, seen: Seen) -> Tensor:
        """What is added to the source's cross-entropy, a scalar."""
        raise NotImplementedError

    def rounds(self) -> tuple[Round, ...]:
        """The updates of one step, in their order; by default one of everything by :meth:`loss`."""
        return (Round(self.loss),)

    def finish(self, body: nn.Module, batches: list[Tensor]) -> None:
        """What is done to the trained body at the end, with the target's inputs in batches."""


def ramp(progress: float, gamma: float = 10.0) -> float:
    """The weight of an adversary, from 0 to nearly 1 (Ganin et al. 2016, section 5.2.2).

    ``2 / (1 + exp(-gamma · progress)) - 1``: while the features are still noise, so is the adversary.

    >>> [round(ramp(p), 3) for p in (0.0, 0.1, 1.0)]
    [0.0, 0.462, 1.0]
    """
    return 2.0 / (1.0 + math.exp(-gamma * progress)) - 1.0


def reverse(features: Tensor, weight: float = 1.0) -> Tensor:
    """The same values, with the gradient turned round and scaled on the way back (ibid., section 4.2)."""
    passed = features.view_as(features)
    if passed.requires_grad:
        passed.register_hook(lambda gradient: -weight * gradient)  # type: ignore[no-untyped-call]
    return passed


def discriminator(width: int, hidden: int) -> nn.Module:
    """Two hidden layers and one logit: source (positive) or target."""
    from torch import nn

    return nn.Sequential(
        nn.Linear(width, hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, 1),
    )


def domain_loss(
    source: Tensor, target: Tensor, weights: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """Binary cross-entropy of a discriminator, each domain counting half.

    Args:
        source: (n_s, 1) logits of source rows, which should be positive.
        target: (n_t, 1) logits of target rows, which should be negative.
        weights: how much each row counts within its domain, (n_s,) and (n_t,).
    """
    from torch.nn.functional import softplus

    found_s, found_t = softplus(-source[:, 0]), softplus(target[:, 0])
    if weights is None:
        return (found_s.mean() + found_t.mean()) / 2
    of_s, of_t = (w / w.sum() for w in weights)
    return ((of_s * found_s).sum() + (of_t * found_t).sum()) / 2


def told(source: Tensor, target: Tensor) -> float:
    """Share of rows whose domain a discriminator's logits tell, 0 to 1; 0.5 is chance."""
    right = (source > 0).float().mean() + (target < 0).float().mean()
    return float(right.detach()) / 2


def untrained(head: nn.Module) -> nn.Module:
    """A classifier of the same shape with fresh random weights."""
    made = copy.deepcopy(head)
    for module in made.modules():
        fresh = getattr(module, "reset_parameters", None)
        if callable(fresh):
            fresh()
    return made
