"""What a loss of domain adaptation looks at in one step, and the updates that a step is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Round", "Seen"]


@dataclass(frozen=True)
class Seen:
    """One step's batches, with gradients to the body and the head.

    Attributes:
        source: (n_s, d), the body's features of source rows.
        target: (n_t, d), the body's features of target rows.
        source_logits: (n_s, classes), of the head.
        target_logits: (n_t, classes), of the head.
        labels: (n_s,) class indices of the source rows.
        parts: the method's own modules by name, and the classifier itself as ``head``.
        progress: share of the training that is done, 0 to 1.
        again: (n_t, d), features of a second, more strongly perturbed view of the same target rows;
            None where the method doesn't ask for one.
        again_logits: (n_t, classes), of that view.
        notes: where a loss may leave a figure for the curve; ``domain``, the share of rows whose
            domain was told.
    """

    source: Tensor
    target: Tensor
    source_logits: Tensor
    target_logits: Tensor
    labels: Tensor
    parts: Mapping[str, nn.Module]
    progress: float
    again: Tensor | None = None
    again_logits: Tensor | None = None
    notes: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Round:
    """One update of a step; most methods have one, those of several players take turns.

    Attributes:
        loss: what it adds to, or has in place of, the source's cross-entropy.
        trains: ``all``, ``body``, or ``classifiers``, the head and the method's own modules.
        supervised: whether the source's cross-entropy counts. A round without it is shown the target alone,
            and empty tensors for the source.
    """

    loss: Callable[[Seen], Tensor]
    trains: str = "all"
    supervised: bool = True
