"""Picture models that transformers saved: what their folder says, and their weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headstart.errors import SourceError
from headstart.sources.base import Contract, ImageSource, Network, create

__all__ = ["KINDS", "PROCESSOR", "described", "is_picture", "read"]

KINDS = ("convnext", "convnextv2", "dinov2", "resnet", "vit")
"""The ``model_type`` of families that are cut into stages."""
PROCESSOR = "preprocessor_config.json"
_HALF = (0.5, 0.5, 0.5)
_CROP = 224 / 256
"""The share of the resized picture that transformers' ConvNeXt and ResNet processors keep."""


def is_picture(config: Mapping[str, Any]) -> bool:
    """Whether a ``config.json`` is of a picture model that can be cut into stages."""
    return config.get("model_type") in KINDS


def described(
    name: str,
    origin: str,
    config: Mapping[str, Any],
    processor: Mapping[str, Any],
    *,
    place: str,
    digest: str,
    here: Any,
) -> ImageSource:
    """Describe a picture model by its configuration and its preprocessing.

    Args:
        name, origin: as the user wrote them.
        config: what ``config.json`` says.
        processor: what ``preprocessor_config.json`` says; empty takes the kind's usual one.
        place: folder or hub id that transformers loads the weights from.
        digest: of the weights.
        here: says whether the weights are on this machine.
    """
    import torch

    from headstart.sources import transformers_models

    architecture = transformers_models.named(config)
    with torch.device("meta"):
        model = create(architecture, 0)
        points = tuple(Network(model, architecture).stages)
    return ImageSource(
        name=f"{origin}:{name}",
        origin=origin,
        architecture=architecture,
        contract=_contract(config, processor),
        width=int(model.num_features),  # type: ignore[arg-type]
        trained_on=str(config.get("_name_or_path") or "see its model card"),
        licence=str(config.get("license") or "see its model card"),
        parameters=sum(p.numel() for p in model.parameters()),
        classes=len(config.get("id2label") or {}),
        freeze_points=points,
        weights=lambda: _weights(name, config, place),
        digest=digest,
        present=here,
    )


def read(path: Path) -> dict[str, Any]:
    """What a folder's preprocessing file says; empty where there is none.

    Raises:
        SourceError: it can't be read.
    """
    try:
        found = json.loads((path / PROCESSOR).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SourceError(f"{path / PROCESSOR} can't be read: {error}.") from error
    return found if isinstance(found, dict) else {}


def _contract(config: Mapping[str, Any], processor: Mapping[str, Any]) -> Contract:
    """The preprocessing as we do it: the short side resized, the middle taken.

    transformers' own for ViT presses the whole picture into a square, which changes its shape; here
    its middle is taken at the same size instead.
    """
    size, crop = processor.get("size"), processor.get("crop_size")
    side = _side(crop) or _side(size) or int(config.get("image_size") or 224)
    short = size.get("shortest_edge") if isinstance(size, Mapping) else None
    resize = int(short or side)
    if config["model_type"] in ("resnet", "convnext", "convnextv2") and not crop and side < 384:
        resize = int(side / float(processor.get("crop_pct") or _CROP))
    mean = tuple(processor.get("image_mean") or _HALF)
    std = tuple(processor.get("image_std") or _HALF)
    if processor.get("do_normalize") is False:
        mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    if not (len(mean) == len(std) == 3 and 16 <= side <= resize):
        raise SourceError(f"{PROCESSOR} doesn't say how pictures are prepared.")
    return Contract(side, resize, mean, std)


def _side(size: Any) -> int:
    """The side of a square, as transformers writes sizes: a number, or one of several keys."""
    if isinstance(size, Mapping):
        size = size.get("height") or size.get("shortest_edge") or 0
    return int(size or 0)


def _weights(name: str, config: Mapping[str, Any], place: str) -> dict[str, Any]:
    """The tensors, through transformers' own renaming of older checkpoints."""
    import torch
    from transformers import AutoModelForImageClassification

    from headstart.sources import transformers_models

    classes = len(config.get("id2label") or {})
    try:
        model, facts = AutoModelForImageClassification.from_pretrained(
            place,
            config=transformers_models.configured(config, classes),
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except SourceError:
        raise
    except Exception as error:  # transformers, the hub's client and safetensors raise many kinds
        reason = " ".join(str(error).split())[:200]
        raise SourceError(
            f"The weights of {name} can't be loaded: {type(error).__name__}: {reason}."
        ) from error
    missing = sorted(key for key in facts["missing_keys"] if not key.startswith("classifier."))
    if missing:
        shown = ", ".join(missing[:8]) + (", …" if len(missing) > 8 else "")
        raise SourceError(f"The weights of {name} lack {len(missing)} tensors: {shown}.")
    state: dict[str, Any] = model.state_dict()
    return state
