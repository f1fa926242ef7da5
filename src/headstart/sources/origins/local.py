"""Weights in a file or folder of the user's own: ``local:PATH`` or ``local:ARCHITECTURE@PATH``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from headstart.errors import SourceError, UsageError
from headstart.files import digest_file
from headstart.sources import saved
from headstart.sources.base import (
    Contract,
    ImageSource,
    Network,
    Reference,
    SourceModel,
    create,
)

__all__ = ["describe", "entries", "names", "state_of"]

RANK = 3
FILES = (".safetensors", ".pth", ".pt", ".th")
_WRAPPERS = ("state_dict", "model", "model_state_dict", "net")
_PREFIXES = ("module.", "model.", "_orig_mod.")
_BUNDLE = {"architecture", "classes", "preprocessing"}


def names() -> list[str]:
    """None by bare name: a file is named by its path, ``local:weights.safetensors``."""
    return []


def entries(query: str = "") -> list[ImageSource]:
    """None: headstart doesn't look through the disk."""
    return []


def describe(name: str) -> SourceModel:
    """Describe a checkpoint, a folder that timm or transformers saved, or a headstart bundle.

    Args:
        name: ``PATH`` where a ``config.json`` names the architecture, else ``ARCHITECTURE@PATH``.

    Raises:
        UsageError: there is no such path, or nothing says which architecture it is.
        SourceError: the folder's ``config.json`` is of another kind, or damaged.
    """
    given, at, rest = name.partition("@")
    if at and not Path(name).expanduser().exists():
        architecture, path = given, Path(rest).expanduser()
    else:
        architecture, path = "", Path(name).expanduser()
    if not path.exists():
        raise UsageError(
            f"There is no file or folder {path}.",
            "Write local:PATH, or local:ARCHITECTURE@PATH such as local:resnet18@weights.pth",
        )
    folder = _bundle(path) if path.is_dir() else path.parent
    config = _config(folder)
    if path.is_dir() and not architecture and saved.is_saved(config):
        return saved.folder(name, "local", folder)
    weights = _file(folder) if path.is_dir() else path
    architecture = architecture or str(config.get("architecture") or "")
    if not architecture:
        raise UsageError(
            f"Nothing beside {path} says which architecture its weights are of.",
            f"Name it as timm does: local:resnet18@{path}",
        )
    return _source(name, architecture, config, weights)


def _source(name: str, architecture: str, config: Mapping[str, Any], weights: Path) -> ImageSource:
    """Describe weights by their architecture, and by what their folder says of them."""
    network = Network(create(architecture, 0), architecture)
    bundle = config.keys() >= _BUNDLE
    contract = _contract(config, network.model)
    source = ImageSource(
        name=f"local:{name}",
        origin="local",
        architecture=architecture,
        contract=contract,
        width=int(
            getattr(network.model, "head_hidden_size", network.model.num_features)  # type: ignore[arg-type]
        ),
        trained_on=_trained_on(config) if config else "not known",
        licence=str(config.get("license") or "your own"),
        parameters=sum(p.numel() for p in network.model.parameters()),
        freeze_points=tuple(network.stages),
        classes=len(config["classes"]) if bundle else int(config.get("num_classes") or 0),
        half_from=str(config.get("half_from") or "") if bundle else "",
        digest=digest_file(weights) if weights.is_file() else "",
        present=weights.is_file,
    )
    averaged = bool(config.get("averaged"))
    reference = (lambda: _reference(weights.parent, averaged)) if bundle else None
    return replace(source, weights=lambda: state_of(_whole(weights)), reference=reference)


def _reference(folder: Path, averaged: bool) -> Reference | None:
    """A bundle's own pictures and logits; None where they were left out or can't be read."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        stored = load_file(folder / "reference.safetensors")
        return Reference(stored["inputs"], stored["logits"], averaged)
    except (OSError, KeyError, SafetensorError):
        return None


def _whole(weights: Path) -> Path:
    """The weights' path, once a bundle's own checksum agrees with the file."""
    sums = weights.parent / "checksums.json"
    try:
        wanted = json.loads(sums.read_text(encoding="utf-8")).get(weights.name)
    except (OSError, ValueError, AttributeError):
        return weights
    if wanted and digest_file(weights) != wanted:
        raise SourceError(
            f"{weights} was changed since the bundle was written: its checksum differs.",
            "Copy the bundle again, whole.",
        )
    return weights


def _bundle(path: Path) -> Path:
    """The bundle in a run folder, or the folder itself."""
    inner = path / "model"
    return inner if not (path / "config.json").exists() and inner.is_dir() else path


def _config(folder: Path) -> dict[str, Any]:
    """What a folder's ``config.json`` says; empty where there is none."""
    path = folder / "config.json"
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SourceError(f"{path} can't be read: {error}.") from error
    if not isinstance(found, dict):
        raise SourceError(f"{path} isn't a model's configuration.")
    return found


def _file(folder: Path) -> Path:
    """The one file with weights in a folder; safetensors come first."""
    for kind in FILES:
        found = sorted(p for p in folder.glob(f"*{kind}") if p.stem != "reference")
        if len(found) == 1:
            return found[0]
        if found:
            listed = ", ".join(path.name for path in found[:5])
            raise UsageError(f"{folder} holds several weights: {listed}.", "Name one of them.")
    raise UsageError(f"{folder} holds no weights: {', '.join(FILES)} are looked for.")


def _contract(config: Mapping[str, Any], model: Any) -> Contract:
    """The preprocessing: a bundle's own, a saved timm model's, or the architecture's usual one."""
    try:
        if "preprocessing" in config:
            return Contract.from_dict(config["preprocessing"])
        usual = {**(getattr(model, "default_cfg", None) or {}), **config.get("pretrained_cfg", {})}
        size = int(usual.get("input_size", (3, 224, 224))[-1])
        mean = tuple(usual.get("mean", (0.485, 0.456, 0.406)))
        std = tuple(usual.get("std", (0.229, 0.224, 0.225)))
        return Contract(size, int(size / usual.get("crop_pct", 0.875)), mean, std)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SourceError(
            f"config.json doesn't say how pictures are prepared: {type(error).__name__} {error}."
        ) from error


def _trained_on(config: Mapping[str, Any]) -> str:
    classes = config.get("classes")
    if not isinstance(classes, list):
        return str(config.get("pretrained_cfg", {}).get("tag") or "see its config.json")
    shown = ", ".join(map(str, classes[:4]))
    return f"{len(classes)} classes: {shown}{', …' if len(classes) > 4 else ''}"


def state_of(path: Path) -> dict[str, Any]:
    """A checkpoint's tensors by their names in the architecture."""
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            state: dict[str, Any] = load_file(path)
        except (OSError, SafetensorError) as error:
            raise SourceError(f"{path} can't be read: {error}.") from error
        return state
    if path.suffix not in FILES:
        raise UsageError(f"{path.name} isn't a kind of weights: {', '.join(FILES)} are.")
    from headstart.sources.convert.in_order import load

    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path} can't be read: {error.strerror}.") from error
    return _plain(load(data, path.name), path)


def _plain(given: Any, path: Path) -> dict[str, Any]:
    """The state dict in a checkpoint, out of its wrappings and without a trainer's prefix."""
    import torch

    for wrapper in _WRAPPERS:
        if isinstance(given, Mapping) and isinstance(given.get(wrapper), Mapping):
            given = given[wrapper]
    if not isinstance(given, Mapping):
        raise SourceError(f"{path.name} holds a {type(given).__name__}, not named tensors.")
    state = {str(name): value for name, value in given.items() if isinstance(value, torch.Tensor)}
    if not state:
        raise SourceError(f"{path.name} holds no tensors.")
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state
