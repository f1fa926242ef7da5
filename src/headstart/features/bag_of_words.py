"""A bag of words: what a text says without any source model, the control of text rankings."""

from __future__ import annotations

import itertools
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = ["bag_of_words"]

WIDTH = 4096
_WORD = re.compile(r"\w+|[^\w\s]")


def bag_of_words(texts: Sequence[str], width: int = WIDTH) -> Array:
    """Hashed words and pairs of words, weighted by rarity, float32 (n, at most ``width``).

    Counts are damped as 1 + log, weighted by the smoothed inverse document frequency, and each row
    has length 1 (Salton and Buckley 1988, table 1, ``ltc``). Columns that stay empty are left out.

    >>> a, b, c = bag_of_words(["What is a comet?", "what is a COMET ?", "Who wrote it?"])
    >>> bool(np.allclose(a, b)), bool(a @ b > a @ c)
    (True, True)
    """
    counts = np.zeros((len(texts), width), np.float32)
    for row, text in enumerate(texts):
        words = _WORD.findall(text.casefold())
        pairs = [f"{first} {second}" for first, second in itertools.pairwise(words)]
        for term, count in Counter([*words, *pairs]).items():
            counts[row, zlib.crc32(term.encode()) % width] += count
    frequency = (counts > 0).sum(axis=0)
    counts, frequency = counts[:, frequency > 0], frequency[frequency > 0]
    damped = np.where(counts > 0, 1 + np.log(np.maximum(counts, 1)), 0)
    weighted = damped * (np.log((1 + len(texts)) / (1 + frequency)) + 1)
    lengths = np.linalg.norm(weighted, axis=1, keepdims=True)
    out: Array = (weighted / np.maximum(lengths, 1e-12)).astype(np.float32)
    return out
