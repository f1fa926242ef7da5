"""Small 1×1 convolutions beside or behind a network's convolutions; merged into their kernels at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headstart.errors import UsageError
from headstart.train.parts import HEAD

if TYPE_CHECKING:
    from torch import Tensor, nn

    from headstart.train.recipe import Recipe

__all__ = ["adapted", "attach", "merge", "targets"]

WEIGHT = "weight"


def adapted(kernel: Tensor, adapter: Tensor, groups: int, kind: str) -> Tensor:
    """The kernel of one convolution that does what a convolution and its adapter do together.

    ``parallel``: C(x) + A(x) with A a 1×1 convolution of the same stride and groups, which sees
    what lies under the middle of C's kernel (Rebuffi, Bilen and Vedaldi 2018, eq. 3): A joins the
    kernel's middle. ``series``: C(x) + A(C(x)) (the same, eq. 2, where C has no bias): a linear
    map of C's outputs is one of its kernel's, within each group.

    Args:
        kernel: (out, in / groups, height, width), height and width odd.
        adapter: (out, in / groups) for ``parallel``, (out, out / groups) for ``series``.
        groups: of the convolution.
        kind: ``parallel`` or ``series``.

    Returns:
        a kernel of the same shape; equal to ``kernel`` where the adapter is zero.
    """
    from torch.nn import functional

    if kind == "series":
        out, *rest = kernel.shape
        blocks = kernel.reshape(groups, out // groups, -1)
        mixed = adapter.reshape(groups, out // groups, out // groups) @ blocks
        return kernel + mixed.reshape(out, *rest)
    high, wide = kernel.shape[2] // 2, kernel.shape[3] // 2
    return kernel + functional.pad(adapter[:, :, None, None], (wide, wide, high, high))


def targets(tail: nn.Sequential) -> list[str]:
    """Names of the convolutions that get an adapter: kernels with a middle, larger than 1×1.

    Beside a 1×1 convolution an adapter would be a second one of its size. Layers that use their
    weight in another way, such as standardised, are left out: it couldn't be merged.
    """
    from timm.layers import Conv2dSame
    from torch import nn

    head = set(tail.get_submodule(HEAD).modules())
    return [
        name
        for name, module in tail.named_modules()
        if type(module) in (nn.Conv2d, Conv2dSame)
        and module not in head
        and max(module.kernel_size) > 1
        and all(side % 2 for side in module.kernel_size)
        and module.padding_mode == "zeros"
    ]


def attach(tail: nn.Sequential, recipe: Recipe) -> None:
    """Give the convolutions adapters that start at zero, so that the outputs don't change.

    Raises:
        UsageError: the tail has no convolution that could have one.
    """
    import torch
    from torch import nn
    from torch.nn.utils import parametrize

    class Adapter(nn.Module):
        """What a kernel turns into on its way into the convolution."""

        def __init__(self, layer: nn.Conv2d) -> None:
            super().__init__()
            out, each = layer.weight.shape[:2]
            self.groups = layer.groups
            width = each if recipe.targets == "parallel" else out // layer.groups
            self.adapter_weight = nn.Parameter(torch.zeros(out, width))

        def forward(self, kernel: Tensor) -> Tensor:
            """The adapted kernel."""
            return adapted(kernel, self.adapter_weight, self.groups, recipe.targets)

    names = targets(tail)
    if not names:
        raise UsageError(
            "adapters: the trained part has no convolution with a kernel larger than 1×1.",
            "Free more of it: --set adapters.point=input. Or, for a transformer: --method lora",
        )
    for name in names:
        layer = tail.get_submodule(name)
        parametrize.register_parametrization(layer, WEIGHT, Adapter(layer))  # type: ignore[arg-type]


def merge(tail: nn.Sequential) -> None:
    """Write the adapted kernels into the convolutions, which are plain ones again."""
    from torch.nn.utils import parametrize

    for layer in tail.modules():
        if parametrize.is_parametrized(layer, WEIGHT):
            parametrize.remove_parametrizations(layer, WEIGHT, leave_parametrized=True)
            layer.register_parameter("bias", layer._parameters.pop("bias"))  # in its place again
