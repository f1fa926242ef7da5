"""torchvision's classifiers, with its own weights or a file's: ``torchvision:NAME``, ``torchvision:NAME@FILE``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from headstart.errors import SourceError, UsageError, nearest
from headstart.sources import hub
from headstart.sources.base import Contract, ImageSource, Network, SourceModel, create

__all__ = ["describe", "entries", "names"]

RANK = 2
PREFIX = "torchvision:"
_INSTEAD = "use a packaged source model: --source efficientnet_lite0 (others: headstart zoo)"


def names() -> list[str]:
    """None by bare name: torchvision's models are named with their origin."""
    return []


def entries(query: str = "") -> list[ImageSource]:
    """The classifiers with weights whose names hold all words."""
    from headstart.sources import torchvision_models

    words = query.lower().split()
    found = [name for name in torchvision_models.known() if all(word in name for word in words)]
    return [_light(name, _enum(name)) for name in found]


def describe(name: str) -> SourceModel:
    """Describe a classifier by torchvision's own facts; nothing is downloaded yet.

    Args:
        name: ``NAME`` for its newest weights, ``NAME.WEIGHTS`` such as ``resnet50.IMAGENET1K_V1``,
            or ``NAME@FILE`` for weights of the user's own.

    Raises:
        UsageError: torchvision has no such model, or no such weights of it.
    """
    architecture, at, _ = name.partition("@")
    if at:
        from headstart.sources import torchvision_models
        from headstart.sources.origins import local

        torchvision_models.create(architecture, 1)
        return local.describe(f"{PREFIX}{name}")
    architecture, _, wanted = name.partition(".")
    model = create(f"{PREFIX}{architecture}", 0)
    source = _light(name, _enum(architecture, wanted))
    return replace(
        source,
        width=model.num_features,  # type: ignore[arg-type]
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        freeze_points=tuple(Network(model, source.architecture).stages),
    )


def _enum(name: str, wanted: str = "") -> Any:
    """torchvision's description of some weights of a model, the newest ones if none are named."""
    from torchvision import models

    known = models.get_model_weights(name)
    if wanted and wanted not in known.__members__:
        raise UsageError(
            f"torchvision has no weights {wanted!r} of {name}.",
            nearest(wanted, list(known.__members__)),
        )
    return known[wanted] if wanted else known.DEFAULT


def _light(name: str, weights: Any) -> ImageSource:
    """What torchvision says of weights, without building their model."""
    prepared, meta = weights.transforms(), weights.meta
    return ImageSource(
        name=f"{PREFIX}{name}",
        origin="torchvision",
        architecture=f"{PREFIX}{name.partition('.')[0]}",
        contract=Contract(
            prepared.crop_size[0],
            prepared.resize_size[0],
            tuple(prepared.mean),
            tuple(prepared.std),
        ),
        width=0,
        trained_on=f"ImageNet-1k ({weights.name})",
        licence=str(meta.get("license") or "BSD-3-Clause"),
        parameters=0,
        classes=len(meta["categories"]),
        digest=weights.url.rpartition("/")[2],
        weights=lambda: _weights(name, weights.url),
        present=lambda: _file(weights.url).is_file(),
    )


def _file(url: str) -> Path:
    """Where torch keeps the file of an address, its own downloads included."""
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]


def _weights(name: str, url: str) -> dict[str, Any]:
    """The tensors, from torch's folder of downloads, to which they are brought if need be."""
    import torch

    from headstart.sources import torchvision_models
    from headstart.sources.origins.local import state_of

    path = _file(url)
    if not path.is_file():
        if not hub.answers(url):
            raise hub.silent(f"The weights of torchvision:{name}", url, _INSTEAD)
        path.parent.mkdir(parents=True, exist_ok=True)
        start = path.stem.rpartition("-")[2]  # of the file's SHA-256, as torch.hub names files
        try:
            torch.hub.download_url_to_file(url, str(path), start, progress=False)
        except (OSError, RuntimeError) as error:
            raise SourceError(
                f"The weights of torchvision:{name} can't be had: {error}.",
                f"Check the network, or {_INSTEAD}",
            ) from error
    return torchvision_models.renamed(state_of(path))
