"""torchvision's classifiers by name, and their stages under the names that timm's models have."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from headstart.errors import SourceError, UsageError, nearest

__all__ = ["create", "is_one", "known", "renamed", "stages"]

_UNCUT = ("googlenet", "inception_v3", "squeezenet")
"""Families with outputs beside the last one, or without a linear head."""
_FIXED = ("VisionTransformer", "MaxVit")
"""Classes whose positions are learnt for one size of picture."""
_OLD_DENSE = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")
_DROPS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d)


class _Call(nn.Module):
    """A step of a model's forward pass that isn't a layer of its own."""

    def __init__(self, step: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.step = step

    def forward(self, x: Tensor) -> Tensor:
        """Take the step."""
        return self.step(x)


class _Tokens(nn.Module):
    """A vision transformer up to its first block: patches, the class token, positions."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.conv_proj = model.conv_proj
        self.class_token = model.class_token
        self.pos_embedding = model.encoder.pos_embedding

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (n, 1 + patches, width)."""
        import torch

        patches = self.conv_proj(x).flatten(2).transpose(1, 2)
        first = self.class_token.expand(len(x), -1, -1)
        out: Tensor = torch.cat([first, patches], dim=1) + self.pos_embedding
        return out


def known() -> list[str]:
    """Names of the classifiers that can be cut into stages."""
    from torchvision import models

    return [n for n in models.list_models(module=models) if not n.startswith(_UNCUT)]


def create(name: str, classes: int) -> nn.Module:
    """Make a torchvision classifier with random weights; nothing is downloaded.

    Dropout before the head and stochastic depth are off, as they are in timm's models: a recipe
    asks for them where they are wanted.

    Args:
        name: torchvision's, such as ``resnet18``.
        classes: outputs of the classifier; 0 for none.

    Raises:
        UsageError: torchvision has no such classifier, or it can't be cut into stages.
    """
    from torchvision import models
    from torchvision.ops import StochasticDepth

    if name not in known():
        raise UsageError(
            f"torchvision has no classifier {name!r} that headstart can cut into stages.",
            nearest(name, known()),
        )
    model: Any = models.get_model(name, weights=None, num_classes=classes or 1)
    for part in model.modules():
        if isinstance(part, StochasticDepth | nn.Dropout):
            part.p = 0.0
    heads = [label for label, part in model.named_modules() if isinstance(part, nn.Linear)]
    model.num_features = model.get_submodule(heads[-1]).in_features
    side = getattr(model, "image_size", 224)
    model.default_cfg = {
        "classifier": heads[-1],
        "input_size": (3, side, side),
        "fixed_input_size": type(model).__name__ in _FIXED,
    }
    if not classes:
        parent, _, child = heads[-1].rpartition(".")
        setattr(model.get_submodule(parent), child, nn.Identity())
    out: nn.Module = model
    return out


def is_one(model: nn.Module) -> bool:
    """Whether a model is torchvision's."""
    return type(model).__module__.startswith("torchvision.models.")


def renamed(state: dict[str, Any]) -> dict[str, Any]:
    """The tensors of a file that torchvision offers, under the names of today's layers.

    Older files write DenseNet's and the vision transformers' layers otherwise, which torchvision
    mends as it loads them, and lack BatchNorm's counters, which count nothing that is used.
    """
    import torch

    out: dict[str, Any] = {}
    for name, value in state.items():
        new = _OLD_DENSE.sub(r"\1\2.", name)
        new = new.replace(".mlp.linear_1.", ".mlp.0.").replace(".mlp.linear_2.", ".mlp.3.")
        out[new] = value
        if new.endswith(".running_var"):
            out.setdefault(new.replace("running_var", "num_batches_tracked"), torch.tensor(0))
    return out


def stages(model: Any) -> OrderedDict[str, nn.Module]:
    """Cut a classifier of torchvision's into stages; the last one gives features (n, width).

    Raises:
        SourceError: it is of a family that isn't known.
    """
    for family in (_resnet, _vision_transformer, _regnet, _shufflenet, _maxvit, _features):
        found = family(model)
        if found:
            return OrderedDict(found)
    raise SourceError(f"torchvision's {type(model).__name__} can't be cut into stages.")


Parts = list[tuple[str, nn.Module]]


def _resnet(model: Any) -> Parts:
    if not hasattr(model, "layer4"):
        return []
    stem = nn.Sequential(model.conv1, model.bn1, model.relu, model.maxpool)
    layers = [(f"layer{n}", getattr(model, f"layer{n}")) for n in range(1, 5)]
    return [("stem", stem), *layers, ("pool", nn.Sequential(model.avgpool, nn.Flatten(1)))]


def _vision_transformer(model: Any) -> Parts:
    if not hasattr(model, "class_token"):
        return []
    blocks = [(f"blocks.{n}", block) for n, block in enumerate(model.encoder.layers)]
    pool = nn.Sequential(model.encoder.ln, _Call(_first), *_before_last(model.heads))
    return [("stem", _Tokens(model)), *blocks, ("pool", pool)]


def _regnet(model: Any) -> Parts:
    if not hasattr(model, "trunk_output"):
        return []
    stages = [(f"stages.{n}", stage) for n, stage in enumerate(model.trunk_output)]
    return [("stem", model.stem), *stages, ("pool", nn.Sequential(model.avgpool, nn.Flatten(1)))]


def _shufflenet(model: Any) -> Parts:
    if not hasattr(model, "stage4"):
        return []
    stages = [(f"stages.{n}", getattr(model, f"stage{n + 2}")) for n in range(3)]
    stem = nn.Sequential(model.conv1, model.maxpool)
    return [("stem", stem), *stages, ("features", model.conv5), ("pool", _mean())]


def _maxvit(model: Any) -> Parts:
    if not (hasattr(model, "blocks") and hasattr(model, "stem")):
        return []
    blocks = [(f"blocks.{n}", block) for n, block in enumerate(model.blocks)]
    return [("stem", model.stem), *blocks, ("pool", nn.Sequential(*_before_last(model.classifier)))]


def _features(model: Any) -> Parts:
    """Families whose body is one chain, ``features`` or ``layers``."""
    body = getattr(model, "features", None) or getattr(model, "layers", None)
    if not isinstance(body, nn.Sequential):
        return []
    kind = type(model).__name__
    cut: Callable[[nn.Sequential], Parts] = {
        "AlexNet": _by_pooling,
        "VGG": _by_pooling,
        "ConvNeXt": _by_downsampling,
        "SwinTransformer": _by_downsampling,
        "DenseNet": _dense,
        "MNASNet": _mnasnet,
    }.get(kind, _by_block)
    parts = cut(body)
    if kind == "SwinTransformer":
        pool = nn.Sequential(model.norm, model.permute, model.avgpool, model.flatten)
        return [*parts, ("pool", pool)]
    return [*parts, ("pool", nn.Sequential(*_pooled(model)))]


def _pooled(model: Any) -> list[nn.Module]:
    """The average and the layers before the last one."""
    pool: nn.Module = getattr(model, "avgpool", None) or nn.AdaptiveAvgPool2d(1)
    rest = _before_last(model.classifier)
    flat = [] if any(isinstance(layer, nn.Flatten) for layer in rest) else [nn.Flatten(1)]
    return [pool, *flat, *rest]


def _before_last(classifier: nn.Module) -> list[nn.Module]:
    """The layers of a classifier before the last one, without dropout, which is off."""
    layers = list(classifier.children())[:-1]
    return [layer for layer in layers if not isinstance(layer, _DROPS)]


def _by_pooling(body: nn.Sequential) -> Parts:
    """A block ends at each pooling, as in timm's VGG."""
    parts: Parts = []
    block: list[nn.Module] = []
    for layer in body:
        block.append(layer)
        if isinstance(layer, nn.MaxPool2d):
            parts.append((f"block{len(parts) + 1}", nn.Sequential(*block)))
            block = []
    return parts


def _by_downsampling(body: nn.Sequential) -> Parts:
    """The stem, then stages, each but the first with the layer in front that halves its input."""
    stem, *rest = body
    parts: Parts = [("stem", stem), ("stages.0", rest[0])]
    for number, place in enumerate(range(1, len(rest), 2), start=1):
        parts.append((f"stages.{number}", nn.Sequential(rest[place], rest[place + 1])))
    return parts


def _dense(body: nn.Sequential) -> Parts:
    """DenseNet: the stem, then dense blocks, each but the first with its transition in front."""
    named = dict(body.named_children())
    stem = [named[name] for name in ("conv0", "norm0", "relu0", "pool0")]
    parts: Parts = [("stem", nn.Sequential(*stem)), ("stages.0", named["denseblock1"])]
    for number in range(1, 4):
        both = (named[f"transition{number}"], named[f"denseblock{number + 1}"])
        parts.append((f"stages.{number}", nn.Sequential(*both)))
    return [*parts, ("features", nn.Sequential(named["norm5"], nn.ReLU()))]


def _mnasnet(body: nn.Sequential) -> Parts:
    """MNASNet: eight layers at the front, blocks, then three layers."""
    layers = list(body)
    blocks = [(f"blocks.{n}", block) for n, block in enumerate(layers[8:-3])]
    first, last = nn.Sequential(*layers[:8]), nn.Sequential(*layers[-3:])
    return [("stem", first), *blocks, ("features", last)]


def _by_block(body: nn.Sequential) -> Parts:
    """The stem, blocks, and a last convolution, as in timm's EfficientNet and MobileNet."""
    stem, *blocks, last = body
    named = [(f"blocks.{n}", block) for n, block in enumerate(blocks)]
    return [("stem", stem), *named, ("features", last)]


def _mean() -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(1))


def _first(tokens: Tensor) -> Tensor:
    return tokens[:, 0]
