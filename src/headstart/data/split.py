"""Splitting rows into parts and folds: stratified by class, with linked rows on one side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from headstart.errors import DataError

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = ["SMALL", "Split", "assign", "folds", "iterative"]

SMALL = 200
"""Training rows under which selection repeats its cross-validation."""


@dataclass(frozen=True)
class Split:
    """Row indices of each part, ascending. ``val`` is empty where validation is by folds."""

    train: tuple[int, ...]
    val: tuple[int, ...]
    test: tuple[int, ...]
    how: str

    @property
    def learn(self) -> tuple[int, ...]:
        """Training and validation rows together, ascending."""
        return tuple(sorted((*self.train, *self.val)))


def assign(targets: Array, linked: Array, shares: Sequence[float], seed: int) -> Array:
    """Give every row to a part so that each part has its share of every class.

    Sets of linked rows go whole, the largest first, each to the part that lacks most of its
    classes; single rows follow in random order.

    Args:
        targets: (n,) class indices; or (n, labels), 1 where a row has a label, see
            :func:`iterative`.
        linked: (n,) set numbers; rows with the same number stay together.
        shares: of each part; they sum to 1.
        seed: of the order.

    Returns:
        (n,) part numbers.
    """
    targets, linked = np.asarray(targets), np.asarray(linked)
    if targets.ndim == 2:
        return iterative(targets, linked, shares, seed)
    random = np.random.default_rng((seed, 11))
    classes = int(targets.max()) + 1
    share = np.asarray(shares, float)
    sizes = np.bincount(linked)
    counts = np.zeros((len(sizes), classes))
    np.add.at(counts, (linked, targets), 1)
    totals = np.bincount(targets, minlength=classes).astype(float)
    weight = 1.0 / np.maximum(totals, 1)
    lacking = share[:, None] * totals[None]
    order = random.permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    chosen = np.zeros(len(sizes), np.int64)
    for number in order:
        if not sizes[number]:
            continue
        need = ((lacking / np.maximum(share[:, None], 1e-9)) * (counts[number] * weight)).sum(
            axis=1
        )
        best = np.flatnonzero(need >= need.max() - 1e-12)
        part = int(best[0] if len(best) == 1 else random.choice(best))
        chosen[number] = part
        lacking[part] -= counts[number]
    out: Array = chosen[linked]
    return out


def iterative(targets: Array, linked: Array, shares: Sequence[float], seed: int) -> Array:
    """Give rows with several labels to parts so that each part has its share of every label.

    Sechidis, Tsoumakas and Vlahavas 2011, algorithm 1: the label with the fewest rows left goes
    first, each of its rows to the part that lacks most of it, then to the part that lacks most rows.
    Two changes: sets of linked rows go whole, and what a part lacks is taken relative to its share,
    so that a label with two rows has one on either side of a 75/25 split.

    Args:
        targets: (n, labels), 1 where a row has a label, otherwise 0.
        linked: (n,) set numbers.
        shares: of each part; they sum to 1.
        seed: of the order, and of ties.

    Returns:
        (n,) part numbers.
    """
    random = np.random.default_rng((seed, 13))
    share = np.maximum(np.asarray(shares, float), 1e-9)
    sizes = np.bincount(linked).astype(float)
    counts = np.zeros((len(sizes), targets.shape[1]))
    np.add.at(counts, linked, targets)
    lacking = share[:, None] * counts.sum(axis=0)[None]
    room = share * sizes.sum()
    chosen = np.full(len(sizes), -1, np.int64)

    def give(number: int, need: Array) -> None:
        best = np.flatnonzero(need >= need.max() - 1e-9)
        left = (room / share)[best]
        best = best[left >= left.max() - 1e-9]
        part = int(best[0] if len(best) == 1 else random.choice(best))
        chosen[number] = part
        lacking[part] -= counts[number]
        room[part] -= sizes[number]

    waiting = random.permutation(np.flatnonzero(sizes))
    while len(waiting):
        left = counts[waiting].sum(axis=0)
        if not (left > 0).any():
            break
        label = int(np.argmin(np.where(left > 0, left, np.inf)))
        own = waiting[counts[waiting, label] > 0]
        for number in own[np.argsort(-counts[own, label], kind="stable")]:
            give(int(number), lacking[:, label] / share)
        waiting = waiting[chosen[waiting] < 0]
    for number in waiting[np.argsort(-sizes[waiting], kind="stable")]:
        give(int(number), np.zeros(len(share)))
    out: Array = chosen[linked]
    return out


def folds(targets: Array, linked: Array, seed: int) -> Array:
    """Training masks for cross-validation: 5 folds, 4 times over on small sets.

    Args:
        targets: (n,) class indices of the training rows, or (n, labels), 1 where a row has a label.
        linked: (n,) set numbers.
        seed: of the folds.

    Returns:
        (folds × repeats, n) bool, True where a row trains.

    Raises:
        DataError: all rows are linked, so none can be held out.
    """
    targets = np.asarray(targets)
    sets = len(np.unique(linked))
    if sets < 2:
        raise DataError(
            f"The {len(targets)} training rows are all linked (one group, or copies of one picture): "
            "none can be held out to validate on.",
            "Give finer groups (--group), add pictures, or mark rows as val (--split).",
        )
    smallest = 5  # a rare label must not cost all others their folds
    if targets.ndim == 1:
        smallest = np.bincount(targets)[np.bincount(targets) > 0].min()
    count = int(max(2, min(5, sets, smallest)))
    repeats = 4 if len(targets) < SMALL else 1
    _, numbered = np.unique(linked, return_inverse=True)
    masks = []
    for repeat in range(repeats):
        part = assign(targets, numbered, [1 / count] * count, seed * 101 + repeat)
        masks += [
            part != fold for fold in range(count) if (part == fold).any() and (part != fold).any()
        ]
    return np.stack(masks)
