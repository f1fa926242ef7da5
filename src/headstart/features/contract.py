"""The contract check: whether a source model is given what it was trained on, and is whole.

Wrong normalisation, a wrong input size, BatchNorm in training mode, a head that did not load and
weights that come back different are silent otherwise: features are made all the same, only worse.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.errors import HeadstartError
from headstart.features.statistics import suspect
from headstart.features.stored import Stored, explain, stored_outputs
from headstart.sources.base import ImageSource, Network, create, is_head, tensors_of
from headstart.sources.proving.image import reference_input

if TYPE_CHECKING:
    from torch import Tensor

    from headstart.types import Array

__all__ = ["CHECKS", "Examination", "Fault", "examine", "head_fault", "transform_gap"]

CHECKS = ("train-mode", "head", "weights", "outputs", "transform", "statistics", "reload")
"""What is checked, in this order."""
SAME = 1e-5
"""Largest difference, as a share of the largest feature, of what must be the same."""
PIXELS = 0.02
"""Largest mean difference from timm's own picture, in deviations of the pixels: the same way gives
1e-7, bilinear for bicubic 0.055, a resize that is off by one px 0.24."""
SMALL = 96
"""A side in px that is enough to compare two networks."""


@dataclass(frozen=True)
class Fault:
    """Something wrong with a source model, by name.

    Attributes:
        kind: ``normalisation``, ``size``, ``train-mode``, ``head``, ``reload``, ``weights``,
            ``outputs``, ``interpolation`` or ``crop``.
        certain: shown by stored outputs or by the weights themselves; otherwise a suspicion.
        message: one sentence.
    """

    kind: str
    certain: bool
    message: str


@dataclass(frozen=True)
class Examination:
    """What the check did and found.

    Attributes:
        done: check → what it showed, or why it could not be done; in the order of :data:`CHECKS`.
        faults: none for a source model that is what it says.
    """

    done: dict[str, str]
    faults: tuple[Fault, ...]

    @property
    def certain(self) -> list[Fault]:
        """The faults that are shown, not only suspected."""
        return [fault for fault in self.faults if fault.certain]


def examine(
    source: ImageSource,
    network: Network | None = None,
    pictures: Array | None = None,
    *,
    head: bool = False,
) -> Examination:
    """Look for every fault of a source model that its weights, outputs or pictures can show.

    Args:
        source: with its weights and its preprocessing contract.
        network: as it will be used; built from the source where it isn't given.
        pictures: uint8 (n, size, size, 3), natural ones at the contract's size, at least eight:
            without stored outputs only BatchNorm's statistics over them can tell a wrong contract.
        head: the network's classifier is meant to be the source's own.

    Raises:
        SourceError: the weights can't be had, or the backbone's don't fit its architecture.
    """
    assert source.weights
    state = source.weights()
    used = network or replace(source, weights=lambda: state).build()
    done: dict[str, str] = {}
    faults: list[Fault] = []

    def tell(check: str, found: list[Fault], otherwise: str) -> None:
        done[check] = "; ".join(fault.message for fault in found) or otherwise
        faults.extend(found)

    tell(
        "train-mode", _modes(source, used, network is not None), "every layer is in evaluation mode"
    )
    fault = head_fault(source, state, used if head else None)
    fits = f"{source.classes} classes" if source.classes else "none is declared"
    tell("head", [fault] if fault else [], fits)
    with _evaluating(used):
        changed = _weights(source, state, used)
        tell("weights", changed, "the network has the tensors of the file")
        stored = stored_outputs(source)
        if changed:
            done["outputs"] = "not compared: the weights are others"
        elif stored is None:
            done["outputs"] = "none are stored with these weights"
        else:
            tell("outputs", *_outputs(source, used, stored))
        tell("transform", *_transform(source, used))
        tell("statistics", *_statistics(source, used, pictures, stored))
        tell(
            "reload",
            _reload(source, used, bool(changed)),
            "saved, loaded and built again: the same",
        )
    return Examination(done, tuple(faults))


def head_fault(
    source: ImageSource, state: dict[str, Any], network: Network | None = None
) -> Fault | None:
    """Whether the source's own head is there where one is declared, and in the network if given."""
    import torch

    if not source.classes:
        return None
    with torch.device("meta"):
        model = create(source.architecture, source.classes)
    own = model.state_dict()
    heads = [name for name in own if is_head(model, name)]
    says = f"{source.title} declares a head for {source.classes} classes, but"
    missing = [name for name in heads if name not in state]
    if missing or not heads:
        others = [f"{name} {_shape(state[name])}" for name in state if name not in own][:4]
        instead = f"; it holds {', '.join(others)} instead" if others else ""
        what = ", ".join(missing) or "a classifier"
        return Fault("head", True, f"{says} the weights lack {what}{instead}")
    wrong = [name for name in heads if state[name].shape != own[name].shape]
    if wrong:
        name = wrong[0]
        gives = f"{name} is {_shape(state[name])}, not {_shape(own[name])}"
        return Fault("head", True, f"{says} {gives}")
    if network is not None:
        mine = network.model.state_dict()
        if any(n not in mine or not torch.equal(mine[n].cpu(), state[n]) for n in heads):
            return Fault("head", True, f"{says} the network's head isn't the one in the weights")
    flat = [name for name in heads if state[name].numel() > 2 and state[name].unique().numel() == 1]
    if flat:
        reason = f"{flat[0]} is {float(state[flat[0]].flatten()[0]):g} throughout"
        return Fault("head", False, f"{says} {reason}, as before any training")
    return None


def transform_gap(source: ImageSource, network: Network) -> float:
    """Mean difference between our view of a made-up photograph and timm's, in deviations."""
    import timm
    import torch
    from PIL import Image

    from headstart.data.decode import frame_to_view
    from headstart.features.engine import pixels

    config = timm.data.resolve_model_data_config(network.model)
    waves = reference_input(360)[0, :, :256].transpose(1, 2, 0)
    noise = np.random.default_rng(0).normal(0, 0.1, waves.shape)  # what interpolations differ in
    frame = (np.clip(0.8 * waves + 0.1 + noise, 0, 1) * 255).astype(np.uint8)
    theirs: Tensor = timm.data.create_transform(**config, is_training=False)(Image.fromarray(frame))
    view = frame_to_view(frame, source.contract.resize, source.contract.size)
    ours = pixels(source.contract)(torch.from_numpy(view[None].copy()))[0]
    if ours.shape != theirs.shape:
        return float("inf")
    return float((ours - theirs).abs().mean())


def _modes(source: ImageSource, network: Network, given: bool) -> list[Fault]:
    """BatchNorm that would take its statistics from the batch."""
    from torch import nn

    if not given:
        return []
    kinds = (nn.modules.batchnorm._BatchNorm,)
    norms = [(n, part) for n, part in network.model.named_modules() if isinstance(part, kinds)]
    off = [n for n, part in norms if part.training or part.running_mean is None]
    if off:
        what = f"{len(off)} of {len(norms)} BatchNorm layers of {source.title} (first: {off[0]})"
        message = f"{what} are in training mode: they would use each batch's own statistics"
        return [Fault("train-mode", True, message)]
    return []


@contextlib.contextmanager
def _evaluating(network: Network) -> Iterator[None]:
    """Evaluation mode; every layer's own mode comes back."""
    import torch

    before = [(part, part.training) for part in network.model.modules()]
    network.model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, mode in before:
            part.training = mode


def _weights(source: ImageSource, state: dict[str, Any], network: Network) -> list[Fault]:
    """The network's tensors against the file's, and the file's against the pinned digest."""
    import torch

    if source.proof and tensors_of(state) != source.proof.tensors:
        message = f"the weights of {source.title} aren't the ones that were checked: digest differs"
        return [Fault("weights", True, message)]
    own = {n: t for n, t in network.model.state_dict().items() if not is_head(network.model, n)}
    other = [n for n, t in own.items() if n not in state or not torch.equal(t.cpu(), state[n])]
    if other:
        message = f"{len(other)} tensors of the network differ from those in the file: {other[0]}"
        return [Fault("reload", True, f"{message}{', …' if len(other) > 1 else ''}")]
    return []


def _outputs(source: ImageSource, network: Network, stored: Stored) -> tuple[list[Fault], str]:
    """The stored outputs; where they differ, the alternative under which they agree."""
    if stored.size and stored.size != source.contract.size:
        message = (
            f"the contract of {source.title} says {source.contract.size} px, and its {stored.what} "
            f"were made at {stored.size} px"
        )
        return [Fault("size", True, message)], ""
    gap = stored.gap(network, source.contract)
    if gap <= stored.tolerance:
        return [], f"the {stored.what} agree (largest difference {gap:.1g})"
    kind, reason = explain(network, source.contract, stored)
    message = f"{source.title} doesn't give its {stored.what} (difference {gap:.2g}): {reason}"
    return [Fault(kind, True, message)], ""


def _transform(source: ImageSource, network: Network) -> tuple[list[Fault], str]:
    """The contract against timm's own for the same model."""
    if source.origin != "timm":
        return [], "not one of timm's models"
    import timm

    config = timm.data.resolve_model_data_config(network.model)
    contract, found = source.contract, []
    for name in ("mean", "std"):
        if not np.allclose(config[name], getattr(contract, name), atol=1e-6):
            ours, theirs = (_numbers(values) for values in (getattr(contract, name), config[name]))
            message = f"the contract of {source.title} has {name} {ours}, timm's own is {theirs}"
            found.append(Fault("normalisation", True, message))
    if config["input_size"][-1] != contract.size:
        message = (
            f"the contract's size is {contract.size} px, timm's own {config['input_size'][-1]}"
        )
        found.append(Fault("size", True, message))
    resize = int(contract.size / config["crop_pct"])  # as timm rounds
    if not found and config["crop_mode"] == "center" and resize != contract.resize:
        message = (
            f"pictures are resized to {contract.resize} px before the crop, timm's own {resize}"
        )
        found.append(Fault("size", True, message))
    if found:
        return found, ""
    gap = transform_gap(source, network)
    if gap > PIXELS:
        message = (
            f"timm prepares pictures for {source.title} in another way ({config['interpolation']}, "
            f"crop {config['crop_mode']}): they differ by {gap:.2g} deviations of a pixel on average"
        )
        kind = "interpolation" if config["crop_mode"] == "center" else "crop"
        return [Fault(kind, False, message)], ""
    return [], f"timm's own picture agrees (mean difference {gap:.1g} deviations)"


def _statistics(
    source: ImageSource, network: Network, pictures: Array | None, stored: Stored | None
) -> tuple[list[Fault], str]:
    """BatchNorm's statistics, which tell a wrong normalisation where nothing else can."""
    if stored is not None:
        return [], "not needed: outputs are stored"
    if pictures is None:
        return [], "no pictures were given"
    reason, shown = suspect(network, source.contract, pictures)
    return ([Fault("normalisation", False, f"{source.title}: {reason}")] if reason else []), shown


def _reload(source: ImageSource, network: Network, changed: bool) -> list[Fault]:
    """Weights saved, loaded and built again must give the same features."""
    from safetensors.torch import load, save

    assert source.weights
    again = source.weights()
    saved = load(save({n: t.detach().contiguous() for n, t in again.items()}))
    try:
        second = replace(source, weights=lambda: saved).build()
    except HeadstartError as error:
        return [Fault("reload", True, f"{source.title} can't be built a second time: {error}")]
    if changed:
        return []
    second.model.eval()
    try:
        first, other = (_features(each, SMALL) for each in (network, second))
    except (RuntimeError, AssertionError):  # a transformer takes its own size alone
        first, other = (_features(each, source.contract.size) for each in (network, second))
    gap = float((first - other).abs().max() / first.abs().max().clamp_min(1e-30))
    if gap <= SAME:
        return []
    message = f"{source.title} built a second time gives other features: {gap:.2g} of the largest"
    return [Fault("reload", True, message)]


def _features(network: Network, size: int) -> Tensor:
    import torch

    batch = torch.from_numpy(reference_input(size)) - 0.5
    device = next(network.model.parameters()).device
    out: Tensor = network.part()(batch.to(device)).cpu()
    return out


def _shape(tensor: Any) -> str:
    return "×".join(map(str, tensor.shape)) or "a number"


def _numbers(values: Any) -> str:
    return f"({', '.join(f'{value:.4g}' for value in values)})"
