"""The gradient of many logistic regressions at once: a few rows at a time, a few threads at a time."""

from __future__ import annotations

import functools
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = ["Gradient"]

AT_ONCE = 1 << 18
"""Logits that a thread holds at once: they stay in its core's own cache from product to product."""
PARTS = 16
"""Rows are added up in so many parts at most, whatever the number of threads: the same sums always."""


class Gradient:
    """Gradients of the mean cross-entropy, for problems that share rows and targets.

    While it is open, the linear algebra library runs on one thread in each of ours: its own
    threads wait for each other by spinning, and on a busy machine that takes ten times as long.

    Args:
        rotated: (n, r) float32.
        targets: (n, c), one-hot or shares that sum to 1.
        problems: how many there are at most.
    """

    def __init__(self, rotated: Array, targets: Array, problems: int) -> None:
        self._z = np.ascontiguousarray(rotated, np.float32)
        self._y = np.ascontiguousarray(targets.T, np.float32)
        n, columns = len(self._z), max(1, problems * len(self._y))
        self._each = min(max(AT_ONCE // columns, 64), n)
        blocks = -(-n // self._each)
        edges = np.linspace(0, blocks, min(blocks, PARTS) + 1).astype(int) * self._each
        self._parts = list(zip(edges[:-1].tolist(), np.minimum(edges[1:], n).tolist(), strict=True))

    def __enter__(self) -> Gradient:
        self._limit: Any = _libraries().limit(limits=1, user_api="blas")
        self._limit.__enter__()
        threads = min(_cores(), len(self._parts))
        self._pool = ThreadPoolExecutor(threads, "solve") if threads > 1 else None
        return self

    def __exit__(self, *raised: object) -> None:
        if self._pool:
            self._pool.shutdown()
        self._limit.__exit__(*raised)

    def at(self, weight: Array, bias: Array, share: Array) -> tuple[Array, Array]:
        """The gradients at some weights.

        Args:
            weight: (p, c, r).
            bias: (p, c).
            share: (p, n), how much each row counts in each problem; sums to 1 over the rows.

        Returns:
            by the weights (p, c, r), and by the biases (p, c).
        """
        run = self._pool.map if self._pool else map
        sums = list(run(lambda part: self._part(weight, bias, share, *part), self._parts))
        slope, offset = sums[0]
        for other, another in sums[1:]:
            slope += other
            offset += another
        return slope.reshape(weight.shape), offset

    def _part(
        self, weight: Array, bias: Array, share: Array, start: int, stop: int
    ) -> tuple[Array, Array]:
        """The rows from ``start`` to ``stop``, so many at a time as stay in the cache."""
        p, c, r = weight.shape
        flat = weight.reshape(p * c, r)
        slope, offset = np.zeros((p * c, r), np.float32), np.zeros((p, c), np.float32)
        for first in range(start, stop, self._each):
            rows = slice(first, min(first + self._each, stop))
            z, counts = self._z[rows], share[:, None, rows]
            errors = (flat @ z.T).reshape(p, c, -1)
            errors += bias[:, :, None]
            errors -= errors.max(axis=1, keepdims=True)
            np.exp(errors, out=errors)
            errors *= counts / errors.sum(axis=1, keepdims=True)
            errors -= self._y[:, rows] * counts
            slope += errors.reshape(p * c, -1) @ z
            offset += errors.sum(axis=2)
        return slope, offset


@functools.cache
def _libraries() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
