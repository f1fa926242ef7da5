"""Pictures: how they are prepared, swept and compared with no source model at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.data.dataset import Dataset, Row
from headstart.data.duplicates import exact, near
from headstart.data.lint import inspect_pictures
from headstart.features.cache import Cache
from headstart.features.extract import Sweep, sweep
from headstart.sources.base import ImageSource, find_image
from headstart.types import Reporter
from headstart.workflow.plan import Run
from headstart.workflow.prepare import Prepared, need_classes, settle, usable_rows
from headstart.workflow.thin import thin

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = ["RAW", "Pictures", "cost", "extract", "find", "prepare", "raw"]

RAW = ("pixels", "raw pixels")
"""What a probe without any source model sees: its key in a ranking, and in words."""

find = find_image


@dataclass
class Pictures(Prepared):
    """Prepared pictures.

    Attributes:
        sweep: features, thumbnails and frames.
        native: median short side of the pictures, px.
    """

    sweep: Sweep
    native: int


def prepare(
    run: Run, dataset: Dataset, source: ImageSource, cache: Cache, reporter: Reporter
) -> Pictures:
    """Read every picture once, list what can't be used, split the rest and seal the test labels.

    Raises:
        DataError: fewer than two classes are left, or a part is empty.
        RunError: the data are not those that a resumed run began with.
    """
    need_classes(dataset)
    engines: dict[str, Any] = {}
    dataset = thin(run, dataset, source, cache, reporter, engines)
    swept = sweep(dataset.rows, source, None, cache, reporter, engines=engines)
    usable = usable_rows(dataset, swept)
    facts = [swept.facts[index] for index in usable.rows]
    alike = near(swept.thumbs[usable.rows], np.ones(len(usable.rows), bool))
    oddities = inspect_pictures(usable.dataset.rows, facts)
    common = settle(run, usable, swept, exact(usable.digests), alike, oddities)
    native = int(np.median([min(fact.width, fact.height) for fact in facts if fact]))
    return Pictures(**vars(common), native=native)


def extract(
    rows: Sequence[Row],
    source: ImageSource,
    cache: Cache,
    reporter: Reporter,
    *,
    seed: int | None = None,
    engines: dict[str, Any] | None = None,
) -> Sweep:
    """Features of some rows by one source model, or by the same network untrained.

    Args:
        seed: of the random weights, for an untrained network; None takes the source model's own.
        engines: engines built before, by source.
    """
    network = None
    if seed is not None:
        import torch

        torch.manual_seed(seed)
        network = source.build(pretrained=False)
    return sweep(
        rows,
        source,
        network,
        cache,
        reporter,
        weights="" if seed is None else f"untrained {seed}",
        engines=engines,
        title=f"Features of {source.name}",
    )


def raw(data: Prepared, indices: Sequence[int]) -> Array:
    """The thumbnails' pixels, float32 (len(indices), 1024)."""
    assert isinstance(data.sweep, Sweep)
    thumbs = data.sweep.thumbs[[data.rows[index] for index in indices]]
    return thumbs.reshape(len(thumbs), -1).astype(np.float32) / 255


def cost(source: ImageSource) -> float:
    """Multiply-adds of one picture, or the parameters where they aren't known."""
    return float(source.macs or source.parameters)
