"""A table of token vectors as a text source: one tensor and its configuration."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from headstart.sources.store import CONFIG, TOKENIZER, Converted

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["table"]


def table(vectors: Tensor, tokenizer: dict[str, object]) -> Converted:
    """Token vectors (tokens, width) and their tokenizer."""
    rows, width = vectors.shape
    config = {"model_type": "static", "vocab_size": rows, "hidden_size": width}
    return Converted(
        {"weight": vectors},
        {
            CONFIG: json.dumps(config, indent=1),
            TOKENIZER: json.dumps(tokenizer, ensure_ascii=False),
        },
    )
