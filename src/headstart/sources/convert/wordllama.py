"""wordllama's token vectors: a table in half precision, and Llama 2's tokenizer."""

from __future__ import annotations

import json
from collections.abc import Mapping

from headstart.sources.convert._static import table
from headstart.sources.convert.saved_folder import tensors
from headstart.sources.store import Converted

__all__ = ["text"]


def text(files: Mapping[str, bytes]) -> Converted:
    """Take table and tokenizer; the start token isn't added, as in wordllama's own embedding."""
    by = {name.rpartition(".")[2]: data for name, data in files.items()}
    tokenizer = json.loads(by["json"])
    tokenizer["post_processor"] = None
    return table(tensors(by["safetensors"])["embedding.weight"], tokenizer)
