"""Lets two classifiers disagree on the target, and the features make them agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from headstart.methods.adapt.base import Adapt, Round, Seen, param, untrained

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Method", "discrepancy"]


def discrepancy(first: Tensor, second: Tensor) -> Tensor:
    """Mean absolute difference of two classifiers' probabilities (Saito et al. 2018).

    Args:
        first: logits (n, classes).
        second: logits (n, classes).

    Returns:
        a scalar, 0 where they agree, at most 2 / classes.
    """
    return (first.softmax(dim=1) - second.softmax(dim=1)).abs().mean()


@dataclass(frozen=True)
class Method(Adapt):
    """Maximum classifier discrepancy (MCD)."""

    summary: ClassVar[str] = (
        "Train two classifiers to differ on target rows and the features to make them agree."
    )
    try_when: ClassVar[str] = (
        "The target's rows lie beside the source's classes rather than within them, and whole-domain "
        "matching mixes the classes."
    )
    hurts_when: ClassVar[str] = (
        "Rows of the target are few or lie far from every class: agreeing is then easy on a wrong class."
    )
    fixes: ClassVar[tuple[str, ...]] = ("covariate",)
    apart: ClassVar[bool] = True

    strength: float = param(1.0, "weight of the disagreement; 0: off", low=0, high=1000)
    agreement: int = param(
        4, "n, updates of the features for each of the classifiers", low=1, high=20
    )

    def parts(self, width: int, classes: int, head: nn.Module) -> dict[str, nn.Module]:
        """The second classifier."""
        return {"second": untrained(head)}

    def rounds(self) -> tuple[Round, ...]:
        """Steps A, B and C of the paper (section 3.3): both learn the source, the classifiers differ on
        the target, the features make them agree."""
        agree = Round(self._apart, "body", supervised=False)
        return (
            Round(self._second),
            Round(self.loss, "classifiers"),
            *(agree for _ in range(self.agreement)),
        )

    def loss(self, seen: Seen) -> Tensor:
        """Of step B: the second classifier's cross-entropy less the disagreement (eq. 4)."""
        return self._second(seen) - self._apart(seen)

    def _second(self, seen: Seen) -> Tensor:
        """The second classifier's share of step A."""
        from torch.nn.functional import cross_entropy

        return cross_entropy(seen.parts["second"](seen.source), seen.labels)

    def _apart(self, seen: Seen) -> Tensor:
        """The disagreement on the target, which step C lowers (eq. 6)."""
        return self.strength * discrepancy(seen.target_logits, seen.parts["second"](seen.target))
