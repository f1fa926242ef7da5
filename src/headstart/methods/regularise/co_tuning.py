"""Trains the source's own head along, on the source classes that each target class looks like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from headstart.methods.base import param
from headstart.methods.regularise.base import Regulariser

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Method", "entropy", "relation"]

RANK = 4


def relation(source: Tensor, targets: Tensor, classes: int) -> Tensor:
    """p(source class | target class), the direct estimate of You et al. 2020 (section 3.2).

    Args:
        source: (rows, source classes) probabilities of the source model on the training rows.
        targets: (rows,) class indices.
        classes: target classes.

    Returns:
        (classes, source classes), the mean over each class's rows; rows sum to 1. A class without
        rows gets the mean over all rows.
    """
    import torch

    hot = torch.nn.functional.one_hot(targets, classes).to(source.dtype)
    counts = hot.sum(dim=0)[:, None]
    means = (hot.T @ source) / counts.clamp_min(1)
    return torch.where(counts > 0, means, source.mean(dim=0))


def entropy(logits: Tensor, wanted: Tensor) -> Tensor:
    """Cross-entropy with shares as targets (eq. 1's second term), the mean over rows.

    Args:
        logits: (n, source classes).
        wanted: (n, source classes), rows sum to 1.
    """
    total: Tensor = -(wanted * logits.log_softmax(dim=1)).sum(dim=1).mean()
    return total


@dataclass(frozen=True)
class Method(Regulariser):
    """Co-Tuning, with the direct estimate of how the classes relate."""

    needs: ClassVar[tuple[str, ...]] = ("source_head",)
    tasks: ClassVar[tuple[str, ...]] = ("classify",)
    summary: ClassVar[str] = (
        "Fine-tune the source's own head too, on the source classes that each class looks like."
    )
    try_when: ClassVar[str] = (
        "The source holds its own head, and its classes have something to do with the target's."
    )
    hurts_when: ClassVar[str] = (
        "The source's classes say nothing about the target: it then trains for a task of noise."
    )

    strength: float = param(0.5, "lambda, the source task's share in the loss; 0: off", low=0)

    def learn(self, known: Any) -> dict[str, Tensor]:
        """The relation of source and target classes on the training rows."""
        weight, bias = known.source_head
        shares = (known.features.float() @ weight.T + bias).softmax(dim=1)
        return {"relation": relation(shares, known.targets, known.classes)}

    def penalty(self, seen: Any) -> Tensor:
        """The source task's loss on this batch."""
        wanted = seen.memory["relation"][seen.targets]
        return self.strength * entropy(seen.source_logits, wanted)
