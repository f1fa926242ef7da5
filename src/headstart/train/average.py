"""Weights beside the trained ones: their moving average, and the best epoch's."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

__all__ = ["Average", "copy_of", "put"]


def copy_of(module: nn.Module) -> dict[str, Tensor]:
    """A module's tensors, by name, as they are now."""
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def put(module: nn.Module, state: dict[str, Tensor]) -> None:
    """Write tensors over a module's own, which keep their memory."""
    import torch

    with torch.no_grad():
        for name, value in module.state_dict().items():
            value.copy_(state[name])


class Average:
    """An exponential moving average of a module's weights (Polyak and Juditsky 1992; Tan and Le
    2019 keep one).

    Early on, when an average over many steps would still be the start, the decay is
    (1 + step) / (10 + step), as TensorFlow's has it.

    Args:
        module: whose weights are averaged.
        decay: share of the old average in the new one, 0 to 1.

    Attributes:
        state: name → averaged tensor; counters are copied.
        steps: taken so far.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.state = copy_of(module)

    def update(self, module: nn.Module) -> None:
        """Take the weights after a step into the average."""
        import torch

        self.steps += 1
        share = min(self.decay, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            for name, value in module.state_dict().items():
                if value.is_floating_point():
                    self.state[name].lerp_(value, 1 - share)
                else:
                    self.state[name].copy_(value)

    @contextmanager
    def shown(self, module: nn.Module) -> Iterator[None]:
        """Let a module have the averaged weights for a while."""
        own = copy_of(module)
        put(module, self.state)
        try:
            yield
        finally:
            put(module, own)
