"""Any model that timm knows, with its pretrained weights from timm's hub: ``timm:NAME``."""

from __future__ import annotations

import difflib
from typing import Any

from headstart.errors import SourceError, UsageError
from headstart.sources import hub
from headstart.sources.base import Contract, ImageSource, create

__all__ = ["describe", "entries", "names"]

RANK = 2


def names() -> list[str]:
    """None by bare name: timm's models are named with their origin, ``timm:resnet18``."""
    return []


def entries(query: str = "") -> list[ImageSource]:
    """timm's pretrained models whose names hold all words; parameters aren't known unbuilt."""
    import timm

    found = [
        name
        for name in timm.list_models(pretrained=True)
        if all(word in name.lower() for word in query.lower().split())
    ]
    return [_light(name, timm.get_pretrained_cfg(name)) for name in found]


def describe(name: str) -> ImageSource:
    """Describe a timm model from timm's own configuration; nothing is downloaded yet."""
    import timm

    if not timm.models.is_model_pretrained(name):
        known = [*timm.list_models(pretrained=False), *timm.list_models(pretrained=True)]
        close = difflib.get_close_matches(name, known, n=5) or known[:5]
        raise UsageError(
            f"timm has no pretrained model {name!r}.", f"Did you mean one of {', '.join(close)}?"
        )
    from dataclasses import replace

    from headstart.sources.base import Network

    model = create(name, 0)
    return replace(
        _light(name, timm.get_pretrained_cfg(name)),
        width=int(getattr(model, "head_hidden_size", model.num_features)),  # type: ignore[arg-type]
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        freeze_points=tuple(Network(model, name).stages),
    )


def _light(name: str, config: Any) -> ImageSource:
    """What timm's configuration says of a model, without building it."""
    size = int(config.input_size[-1])
    mean, std = tuple(config.mean), tuple(config.std)
    return ImageSource(
        name=f"timm:{name}",
        origin="timm",
        architecture=name,
        contract=Contract(size, int(size / config.crop_pct), mean, std),
        width=0,
        trained_on=str(config.tag or "see timm's model card"),
        licence=str(config.license or "see timm's model card"),
        parameters=0,
        classes=int(config.num_classes or 0),
        weights=lambda: _weights(name),
        present=lambda: _cached(config),
    )


def _cached(config: Any) -> bool:
    """Whether the hub's client has the weights already."""
    from huggingface_hub import try_to_load_from_cache

    if not config.hf_hub_id:
        return False
    files = (config.hf_hub_filename or "model.safetensors", "pytorch_model.bin")
    return any(isinstance(try_to_load_from_cache(config.hf_hub_id, file), str) for file in files)


def _weights(name: str) -> dict[str, Any]:
    """Download (or take from timm's own cache) the pretrained weights."""
    import timm

    config = timm.get_pretrained_cfg(name)
    address = hub.address() if config.hf_hub_id or not config.url else config.url
    instead = "use a packaged source model: --source efficientnet_lite0 (others: headstart zoo)"
    if not _cached(config) and not hub.answers(address):
        raise hub.silent(f"The weights of timm:{name}", address, instead)
    try:
        state: dict[str, Any] = timm.create_model(name, pretrained=True).state_dict()
    except Exception as error:  # the hub's client raises many kinds
        raise SourceError(
            f"The weights of timm:{name} can't be had: {type(error).__name__}.",
            f"Check the network, or {instead}",
        ) from error
    return state
