"""Source models of text: converted with their tokenizer, proved by two reference sentences."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from headstart import registry
from headstart.sources.store import CONFIG, TOKENIZER, Converted
from headstart.sources.text import TextSource

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = ["REFERENCE", "built", "converted", "outputs"]

REFERENCE = (
    "The quick brown fox jumps over the lazy dog.",
    "How many of these 12 films weren't worth seeing?",
)
"""Of different lengths, so that the padding is proved too; with a number and a contraction."""
PARTS = 4


def converted(source: TextSource, files: dict[str, bytes]) -> Converted:
    """The package's tensors under transformers' names, with configuration and tokenizer."""
    assert source.distribution
    layout = registry.load("sources.convert", source.distribution.convert)
    made: Converted = layout.text(files)
    return made


def built(source: TextSource, made: Converted) -> TextSource:
    """The source model as it will be read back from the cache."""
    return replace(
        source,
        settings=lambda: json.loads(made.files[CONFIG]),
        vocabulary=lambda: made.files[TOKENIZER],
        weights=lambda: made.state,
    )


def outputs(source: TextSource, made: Converted) -> Array:
    """Means of four equal parts of each reference sentence's features, from one padded batch."""
    import torch

    ready = built(source, made)
    rows = ready.tokenizer()(REFERENCE)
    ids = torch.zeros((len(rows), max(map(len, rows))), dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for number, row in enumerate(rows):
        ids[number, : len(row)], mask[number, : len(row)] = torch.tensor(row), 1
    with torch.no_grad():
        features = ready.build()(ids, mask).double().numpy()
    out: Array = np.array(
        [part.mean() for vector in features for part in np.array_split(vector, PARTS)]
    )
    return out
