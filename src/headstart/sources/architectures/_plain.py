"""A chain of convolution blocks with a pooled linear head."""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise

from torch import Tensor, nn

__all__ = ["Plain", "convolutions"]


class Plain(nn.Module):
    """Blocks, a global average, and a classifier, with the members that timm's models have.

    Args:
        blocks: name → module, in order.
        width: channels that the last block gives.
        classes: outputs of the classifier; 0 for none.
        size: the side of the square input in px that it was made for.
    """

    def __init__(
        self, blocks: OrderedDict[str, nn.Module], width: int, classes: int, size: int
    ) -> None:
        super().__init__()
        self.blocks = nn.Sequential(blocks)
        self.global_pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(1))
        self.fc = nn.Linear(width, classes) if classes else nn.Identity()
        self.num_features = width
        self.default_cfg = {"classifier": "fc", "input_size": (3, size, size)}
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
                if part.bias is not None:
                    nn.init.zeros_(part.bias)

    def stages(self) -> OrderedDict[str, nn.Module]:
        """The blocks and the pooling, by name."""
        return OrderedDict([*self.blocks.named_children(), ("pool", self.global_pool)])

    def get_classifier(self) -> nn.Module:
        """The classifier, as timm's models give it."""
        return self.fc

    def forward_features(self, x: Tensor) -> Tensor:
        """Unpooled features (n, width, height, width)."""
        out: Tensor = self.blocks(x)
        return out

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, classes), or pooled features without a classifier."""
        out: Tensor = self.fc(self.global_pool(self.forward_features(x)))
        return out


def convolutions(*widths: int) -> list[nn.Module]:
    """3×3 convolutions with ReLU between the given numbers of channels."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(inplace=True)]
    return layers
