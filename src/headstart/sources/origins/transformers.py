"""Text and picture models of transformers, from its hub or a folder: ``transformers:ID`` or ``transformers:FOLDER``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from headstart.errors import SourceError, UsageError
from headstart.sources import hub, saved, saved_image
from headstart.sources.base import SourceModel
from headstart.sources.text import TextSource

__all__ = ["describe", "entries", "names"]

RANK = 3
_INSTEAD = "use a packaged one: headstart zoo --modality text"


def names() -> list[str]:
    """None by bare name: a model is named by its hub id or folder."""
    return []


def entries(query: str = "") -> list[TextSource]:
    """None: the hub's list isn't on this machine."""
    return []


def describe(name: str) -> SourceModel:
    """Describe a model; of a hub's, the configuration and the tokenizer or the like are downloaded.

    Raises:
        UsageError: it is neither a folder nor a hub id.
        SourceError: the hub doesn't answer or hasn't got it, or it is of no kind that is read.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return saved.folder(name, "transformers", path)
    if path.is_absolute() or name.startswith(("./", "../", "~")) or name.count("/") > 1:
        raise UsageError(
            f"There is no folder {path}.",
            "Write transformers:FOLDER, or a hub id such as transformers:distilbert-base-uncased",
        )
    config = _file(name, saved.CONFIG)
    settings = json.loads(config.read_text(encoding="utf-8"))
    if saved_image.is_picture(settings):
        prepared = _file(name, saved_image.PROCESSOR)
        return saved_image.described(
            name,
            "transformers",
            settings,
            json.loads(prepared.read_text(encoding="utf-8")),
            place=name,
            digest=config.parent.name,
            here=lambda: _cached(name, "model.safetensors") is not None,
        )
    vocabulary = _file(name, saved.TOKENIZER)
    return saved.described(
        name,
        "transformers",
        settings,
        vocabulary.read_text(encoding="utf-8"),
        place=name,
        # The hub's client keeps files under snapshots/COMMIT.
        digest=config.parent.name,
        here=lambda: _cached(name, "model.safetensors") is not None,
    )


def _cached(name: str, file: str) -> Path | None:
    """A file that the hub's client has already."""
    from huggingface_hub import try_to_load_from_cache

    found: Any = try_to_load_from_cache(name, file)
    return Path(found) if isinstance(found, str) else None


def _file(name: str, file: str) -> Path:
    """One of a hub model's small files, from the client's cache or the hub."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HFValidationError

    try:
        found = _cached(name, file)
        if found:
            return found
        if not hub.answers(hub.address()):
            raise hub.silent(f"transformers:{name}", hub.address(), _INSTEAD)
        return Path(hf_hub_download(name, file))
    except HFValidationError as error:
        raise UsageError(
            f"{name!r} is neither a folder nor a hub id.", "A hub id is OWNER/NAME."
        ) from error
    except SourceError:
        raise
    except Exception as error:  # the hub's client raises many kinds
        raise SourceError(
            f"transformers:{name} can't be had: {type(error).__name__} at its {file}.",
            f"Check its name and the network, or {_INSTEAD}",
        ) from error
