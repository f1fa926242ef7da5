"""Which parameters of a tail train in an epoch, and which layers keep their state."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from headstart.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor, nn

    from headstart.train.recipe import Recipe

__all__ = ["bodies", "noisy", "select", "set_mode", "still", "unfrozen"]

HEAD = "head"
PATHS = ("drop_path", "drop_path1", "drop_path2")
"""What timm calls the layers that drop a residual branch."""


def bodies(tail: nn.Sequential) -> list[str]:
    """Names of the stages that hold parameters, first to last, without the head."""
    return [
        name
        for name, module in tail.named_children()
        if name != HEAD and any(True for _ in module.parameters())
    ]


def unfrozen(stages: int, every: int, epoch: int) -> int:
    """How many of the last stages train in an epoch, the head not counted.

    Howard and Ruder 2018 (ULMFiT), section 3.2: the head alone first, then one stage more each
    time. Stages that the epochs don't reach stay frozen.

    Args:
        stages: with parameters.
        every: epochs from one stage to the next; 0 trains all from the start.
        epoch: from 0.

    >>> [unfrozen(3, 2, epoch) for epoch in range(8)]
    [0, 0, 1, 1, 2, 2, 3, 3]
    """
    return stages if every <= 0 else min(stages, epoch // every)


def select(tail: nn.Sequential, recipe: Recipe, epoch: int = 0) -> None:
    """Let exactly those parameters take a gradient that the recipe trains in an epoch.

    A frozen parameter has no gradient afterwards, so that AdamW leaves it alone, decay included.
    """
    names = bodies(tail)
    frozen = set(names[: len(names) - unfrozen(len(names), recipe.unfreeze_every, epoch)])
    head = {id(p) for p in tail.get_submodule(HEAD).parameters()}
    for name, parameter in tail.named_parameters():
        stage = name.partition(".")[0]
        trains = id(parameter) in head or (
            stage not in frozen and _trains(name, parameter, recipe.trains)
        )
        parameter.requires_grad_(trains)
        if not trains:
            parameter.grad = None


def _trains(name: str, parameter: Tensor, what: str) -> bool:
    if what == "bias":
        return parameter.ndim <= 1  # biases, and what norms and layer scales multiply by
    if what == "lora":
        return ".lora_" in name
    if what in ("adapters", "bottleneck"):  # both papers train the norms beside them
        return ".adapter_" in name or parameter.ndim <= 1
    return True


def set_mode(module: nn.Module, recipe: Recipe) -> None:
    """Training mode; BatchNorm keeps its statistics where the recipe says so, or where it is frozen."""

    def frozen(norm: nn.Module) -> bool:
        own = list(norm.parameters())
        return bool(own) and not any(p.requires_grad for p in own)

    module.train()
    still(module, (lambda norm: True) if recipe.freeze_norm else frozen)


def still(module: nn.Module, which: Callable[[nn.Module], bool] = lambda norm: True) -> None:
    """Let BatchNorm layers, all or some, keep the statistics that they have and go by them."""
    from torch import nn

    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and which(part):
            part.eval()


@contextmanager
def noisy(tail: nn.Sequential, recipe: Recipe) -> Iterator[None]:
    """Give a tail the recipe's dropout and stochastic depth while it trains.

    Both are gone afterwards, so that what is kept is the plain architecture.

    Raises:
        UsageError: stochastic depth was asked of a network without residual branches to drop.
    """
    from torch import nn

    handles = []
    if recipe.dropout > 0:
        head = dict(tail.named_children())[HEAD]
        handles.append(
            head.register_forward_pre_hook(
                lambda module, args: nn.functional.dropout(args[0], recipe.dropout, module.training)
            )
        )
    before = _drop_paths(tail, recipe.drop_path) if recipe.drop_path > 0 else []
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        for block, name, old in before:
            setattr(block, name, old)


def _drop_paths(tail: nn.Sequential, share: float) -> list[tuple[nn.Module, str, nn.Module | None]]:
    """Drop residual branches with a share that rises linearly with depth (Huang et al. 2016, eq. 4)."""
    from timm.layers import DropPath

    found = [
        (block, name)
        for block in list(tail.modules())
        for name in PATHS
        if hasattr(block, name) and not hasattr(getattr(block, name), "lora_A")
    ]
    if not found:
        raise UsageError(
            f"drop_path = {share:g} can't be had: the network has no residual branches to drop.",
            "Leave drop_path at 0, or choose another source model: headstart zoo",
        )
    before = []
    for index, (block, name) in enumerate(found):
        before.append((block, name, getattr(block, name)))
        setattr(block, name, DropPath(share * (index + 1) / len(found)))
    return before
