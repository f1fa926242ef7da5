"""Before a source model is used: its contract is checked, once for the same weights and contract."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.data.decode import BadPicture, decode, frame_to_view, load_bytes
from headstart.errors import OutputError, SourceError
from headstart.features.contract import Examination, Fault, examine, head_fault
from headstart.features.statistics import suspect
from headstart.features.stored import stored_outputs
from headstart.files import cache_root, read_json, write_json
from headstart.sources import store
from headstart.sources.base import ImageSource, find_image
from headstart.types import Finding

if TYPE_CHECKING:
    from headstart.types import Array
    from headstart.workflow.pictures import Pictures

__all__ = ["admit", "doubts", "examined", "pictures_in"]

VERSION = 1
"""Of the check: another one doesn't believe what this one remembered."""
PICTURES = 16
LEVELS = {"interpolation": "note"}
"""Bicubic for bilinear costs hardly anything."""
IGNORE = "--ignore-mismatched"


def admit(name: str, *, ignore_mismatched: bool = False) -> ImageSource:
    """Find a source model whose contract is checked before its weights are first used.

    Args:
        name: of an image source model.
        ignore_mismatched: use the backbone alone where the head isn't the one that is declared.

    Raises:
        UsageError: no origin knows the name, or it reads no pictures.

    The source's ``weights`` raise SourceError where a fault is certain, before anything is
    extracted or trained. What was fetched is verified already, and passes without a second look.
    """
    source = find_image(name)
    load = source.weights
    if load is None:
        return source
    if ignore_mismatched and source.classes and head_fault(source, load()):
        source = replace(source, classes=0)

    def weights() -> dict[str, Any]:
        if not _verified(source) and _remembered(source) is None:
            _keep(source, _sound(source, examine(source)))
        return load()

    return replace(source, weights=weights)


def doubts(source: ImageSource, data: Pictures) -> list[Finding]:
    """What can't be shown but is suspected, from the data's own first pictures."""
    known = _remembered(source) or {"doubts": []}
    found = [Fault(**fault) for fault in known["doubts"]]
    if source.origin == "local" and source.weights is not None and stored_outputs(source) is None:
        learn = data.split.learn
        chosen = [learn[i] for i in _spread(len(learn))]
        frames = (
            data.sweep.frames.get(data.digests[i], data.dataset.rows[i].origin) for i in chosen
        )
        views = _views(source, frames)
        network = source.build()
        network.model.eval()
        reason = suspect(network, source.contract, views)[0] if views is not None else ""
        found += [Fault("normalisation", False, f"{source.title}: {reason}")] if reason else []
    unique = {fault.message: fault for fault in found if not fault.certain}
    return [
        Finding(f"source-{one.kind}", LEVELS.get(one.kind, "warning"), f"{one.message}.")
        for one in unique.values()
    ]


def examined(source: ImageSource, frames: Iterable[Array] = ()) -> Examination:
    """Check a source model now, with decoded pictures where there are any."""
    return examine(source, pictures=_views(source, frames))


def _views(source: ImageSource, frames: Iterable[Array]) -> Array | None:
    """Frames as the source model sees them; None where there are none."""
    contract, views = source.contract, []
    with contextlib.suppress(BadPicture, OSError):
        for frame in frames:
            views.append(frame_to_view(frame, contract.resize, contract.size))
    return np.stack(views) if views else None


def pictures_in(path: Path) -> Iterable[Array]:
    """Some decoded pictures of a data set, evenly spread over it."""
    from headstart.data.dataset import read

    rows = read(path).rows
    for index in _spread(len(rows)):
        yield decode(load_bytes(rows[index].origin)[0], rows[index].origin)[0]


def _spread(count: int) -> list[int]:
    most = min(count, PICTURES)
    return [index * count // most for index in range(most)]


def _sound(source: ImageSource, found: Examination) -> Examination:
    if not found.certain:
        return found
    listed = "; ".join(fault.message for fault in found.certain)
    if [fault.kind for fault in found.certain] == ["head"]:
        hint = f"Use its backbone alone: {IGNORE}"
    else:
        hint = f"See what was compared: headstart zoo check {source.name}"
    raise SourceError(f"The source model isn't used as it was trained: {listed}.", hint)


def _verified(source: ImageSource) -> bool:
    return source.origin == "packaged" and store.present(source)


def _path(source: ImageSource) -> Path:
    tensors = source.proof.tensors if source.proof else ""
    facts = [VERSION, source.key, source.architecture, source.classes, source.contract.as_dict()]
    text = json.dumps([*facts, tensors], sort_keys=True)
    name = hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
    return cache_root() / "sources" / "checked" / f"{name}.json"


def _remembered(source: ImageSource) -> dict[str, Any] | None:
    with contextlib.suppress(OSError, ValueError):
        found: dict[str, Any] = read_json(_path(source))
        return found
    return None


def _keep(source: ImageSource, found: Examination) -> None:
    uncertain = [asdict(fault) for fault in found.faults]
    with contextlib.suppress(OutputError):  # a cache that can't be written costs a second look
        write_json(_path(source), {"name": source.title, "done": found.done, "doubts": uncertain})
