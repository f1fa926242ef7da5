"""A bag of words: what a text says without any source model, the control of text rankings."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = ["bag_of_words", "coordinates", "term_weights"]

_WORD = re.compile(r"\w+|[^\w\s]")


def bag_of_words(texts: Sequence[str], seed: int = 0) -> Array:
    """Features of texts by their words and pairs of words alone, float32 (n, n)."""
    weighted = term_weights(texts)
    return coordinates((weighted @ weighted.T).toarray(), seed)


def term_weights(texts: Sequence[str]) -> Any:
    """Words and pairs of words, weighted by rarity, as a sparse matrix (n, terms).

    Counts are damped as 1 + log, weighted by the smoothed inverse document frequency, and each row
    has length 1 (Salton and Buckley 1988, table 1, ``ltc``).

    >>> a, b, c = term_weights(["What is a comet?", "what is a COMET ?", "Who wrote it?"]).toarray()
    >>> bool(np.allclose(a, b)), bool(a @ b > a @ c)
    (True, True)
    """
    from scipy.sparse import csr_matrix

    columns: dict[str, int] = {}
    starts, terms, counts = [0], [], []
    for text in texts:
        words = _WORD.findall(text.casefold())
        pairs = (f"{first} {second}" for first, second in itertools.pairwise(words))
        for term, count in Counter([*words, *pairs]).items():
            terms.append(columns.setdefault(term, len(columns)))
            counts.append(count)
        starts.append(len(terms))
    damped = 1 + np.log(np.array(counts, float))
    places = np.array(terms, np.int64)
    frequency = np.bincount(places, minlength=len(columns))
    damped *= np.log((1 + len(texts)) / (1 + frequency[places])) + 1
    row = np.repeat(np.arange(len(texts)), np.diff(starts))
    lengths = np.sqrt(np.bincount(row, damped**2, minlength=len(texts)))
    shape = (len(texts), len(columns))
    return csr_matrix((damped / lengths[row], places, starts), shape=shape)


def coordinates(products: Array, seed: int = 0) -> Array:
    """Points in n dimensions that have given inner products, seen from a random angle.

    A probe that scales each feature to the same spread would make rare words as loud as telling
    ones; at a random angle all coordinates have about the same spread already.

    Args:
        products: (n, n), positive semidefinite.
        seed: of the angle.

    Returns:
        float32 (n, n).

    >>> points = coordinates(np.array([[1.0, 0.5], [0.5, 2.0]]))
    >>> np.round(points @ points.T, 3).tolist()
    [[1.0, 0.5], [0.5, 2.0]]
    """
    strength, axes = np.linalg.eigh(products)
    random = np.random.default_rng((seed, 61))
    angle, _ = np.linalg.qr(random.standard_normal(products.shape))
    out: Array = (axes * np.sqrt(np.maximum(strength, 0)) @ angle).astype(np.float32)
    return out
