"""Outputs stored with a source model's weights, and which usual mistake explains a difference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from headstart.sources.base import Contract, ImageSource, Network, Reference, create
from headstart.sources.fetch import PARTS, TOLERANCE, reference_input

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = ["NORMALISATIONS", "SIZES", "Stored", "explain", "stored_outputs"]

Three = tuple[float, float, float]
_MEAN: Three = (0.485, 0.456, 0.406)
_HALF: Three = (0.5, 0.5, 0.5)
_NONE: Three = (0.0, 0.0, 0.0)
_BYTES: Three = (1 / 255, 1 / 255, 1 / 255)
NORMALISATIONS: dict[str, tuple[Three, Three]] = {
    "ImageNet's mean and deviation": (_MEAN, (0.229, 0.224, 0.225)),
    "mean 0.5 and deviation 0.5": (_HALF, _HALF),
    "pixels in 0..1": (_NONE, (1.0, 1.0, 1.0)),
    "pixels in 0..255": (_NONE, _BYTES),
    "pixels in 0..255 minus ImageNet's mean": (_MEAN, _BYTES),
    "mean and deviation 128/255": ((128 / 255,) * 3, (128 / 255,) * 3),
    "caffe's mean over ImageNet's deviation": (
        (123.68 / 255, 116.779 / 255, 103.939 / 255),
        (0.229, 0.224, 0.225),
    ),
    "CLIP's mean and deviation": (
        (0.48145466, 0.4578275, 0.40821073),
        (0.26862954, 0.26130258, 0.27577711),
    ),
}
"""What people normalise by: mean and deviation of each channel, on pixels in 0..1."""
SIZES = (32, 64, 96, 112, 128, 160, 192, 224, 240, 256, 260, 288, 299, 300, 320, 380, 384, 416, 448)
"""Sides of the input that published networks were trained at, px."""
LOGITS = 1e-3


@dataclass(frozen=True)
class Stored:
    """Inputs and the outputs that the weights gave for them.

    Attributes:
        what: in words.
        size: the side that the inputs were made at; 0 where they can be made at any.
        run: a network's outputs, given the contract and whether channels come as BGR.
        wanted: the stored outputs.
        tolerance: largest difference, as a share of the largest stored output.
    """

    what: str
    size: int
    run: Callable[[Network, Contract, bool], Array]
    wanted: Array
    tolerance: float

    def gap(self, network: Network, contract: Contract, bgr: bool = False) -> float:
        """Largest difference, as a share of the largest stored output; infinite where it can't run."""
        try:
            got = self.run(network, contract, bgr)
        except RuntimeError:  # an input that the network is too small or too rigid for
            return float("inf")
        if got.shape != self.wanted.shape or not np.isfinite(got).all():
            return float("inf")
        return float(np.abs(got - self.wanted).max() / np.abs(self.wanted).max())


def stored_outputs(source: ImageSource) -> Stored | None:
    """A packaged source's pinned outputs or a bundle's reference; None where there is neither."""
    if source.proof:
        wanted = np.array(source.proof.outputs)
        return Stored("stored reference output", 0, _pooled, wanted, TOLERANCE)
    reference = source.reference() if source.reference else None
    if reference is None:
        return None
    size, logits = reference.pictures.shape[1], _Logits(source, reference)
    return Stored("stored reference outputs", size, logits, reference.logits, LOGITS)


def explain(network: Network, contract: Contract, stored: Stored) -> tuple[str, str]:
    """Name the mistake under whose correction the stored outputs agree.

    Returns:
        the kind of fault, and a clause that names it.
    """
    for kind, reason, other, bgr in _alternatives(contract, fixed=bool(stored.size)):
        if stored.gap(network, other, bgr) <= stored.tolerance:
            return kind, f"it does with {reason}"
    return "outputs", "neither with any usual normalisation, channel order or input size"


def _alternatives(contract: Contract, *, fixed: bool) -> Iterator[tuple[str, str, Contract, bool]]:
    """Usual contracts, the likeliest mistakes first: one thing wrong, then two."""
    named = {
        f"{name}, not {_said(contract)}": replace(contract, mean=mean, std=std)
        for name, (mean, std) in NORMALISATIONS.items()
    }
    for name, other in named.items():
        yield "normalisation", name, other, False
    yield "normalisation", "channels as BGR, not RGB", contract, True
    sizes = [] if fixed else sorted(SIZES, key=lambda size: abs(size - contract.size))
    for size in sizes:
        at = replace(contract, size=size)
        yield "size", f"an input of {size} px, not {contract.size}", at, False
    for name, other in named.items():
        yield "normalisation", f"channels as BGR and {name}", other, True
        for size in sizes:
            both = f"{name}, and an input of {size} px, not {contract.size}"
            yield "normalisation", both, replace(other, size=size), False


def _said(contract: Contract) -> str:
    mean, std = (", ".join(f"{v:.4g}" for v in values) for values in (contract.mean, contract.std))
    return f"mean ({mean}) and deviation ({std})"


def _pooled(network: Network, contract: Contract, bgr: bool) -> Array:
    """Means of equal parts of the made-up picture's pooled features, as ``sources.fetch`` pins them."""
    import torch

    device = next(network.model.parameters()).device
    batch = torch.from_numpy(reference_input(contract.size))
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (contract.mean, contract.std))
    batch = ((batch.flip(1) if bgr else batch) - mean) / std
    features = network.part()(batch.to(device))[0].cpu().double().numpy()
    return np.array([part.mean() for part in np.array_split(features, PARTS)])


class _Logits:
    """Logits of a bundle's own pictures, through the bundle's own head on the given backbone."""

    def __init__(self, source: ImageSource, reference: Reference) -> None:
        self.source, self.reference = source, reference
        self._head: Network | None = None

    def __call__(self, network: Network, contract: Contract, bgr: bool) -> Array:
        import torch

        from headstart.features.engine import pixels
        from headstart.features.turns import Merge, Turns

        pictures = torch.from_numpy(self.reference.pictures)
        averaged = self.reference.averaged
        views = Turns()(pictures) if averaged else pictures
        device = next(network.model.parameters()).device
        batch = pixels(contract)(views.flip(3) if bgr else views).to(device)
        logits = self._own().head(network.part()(batch).cpu())
        out: Array = (Merge()(logits) if averaged else logits).numpy()
        return out

    def _own(self) -> Network:
        """A network with the head that the weights hold."""
        if self._head is None:
            assert self.source.weights
            model = create(self.source.architecture, self.source.classes)
            model.load_state_dict(self.source.weights(), strict=False)
            self._head = Network(model.eval(), self.source.architecture)
        return self._head
