"""A model that transformers saved: safetensors, ``config.json`` and ``tokenizer.json`` as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from headstart.errors import SourceError
from headstart.sources.store import CONFIG, TOKENIZER, Converted

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["tensors", "text"]

_UNUSED = ("pooler.", "embeddings.position_ids")
"""Tensors that give no token states: the pooler, and the numbers 0 to 511."""


def text(files: Mapping[str, bytes]) -> Converted:
    """Take the three files by their names' ends."""
    by = {name.rpartition("/")[2]: data for name, data in files.items()}
    state = tensors(by["model.safetensors"])
    return Converted(
        {name: t for name, t in state.items() if not name.startswith(_UNUSED)},
        {name: by[name].decode("utf-8") for name in (CONFIG, TOKENIZER)},
    )


def tensors(data: bytes) -> dict[str, Tensor]:
    """Read safetensors from their bytes, as float32 where they are numbers with a point.

    Raises:
        SourceError: the bytes aren't safetensors.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        found: dict[str, Tensor] = load(data)
    except SafetensorError as error:
        raise SourceError(f"The safetensors can't be read: {error}.") from error
    return {name: t.float() if t.is_floating_point() else t for name, t in found.items()}
