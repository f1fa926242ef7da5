"""The ledger of label reads, and labels whose test part stays sealed until the verdict."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.errors import RunError
from headstart.files import append_line

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = ["Labels", "Ledger"]


class Ledger:
    """Every read of labels, in order, one JSON line each.

    Args:
        path: the run's ``ledger.jsonl``; None keeps it in memory. Lines already there are kept.
    """

    def __init__(self, path: Path | None = None) -> None:
        import json

        self.path = path
        self.entries: list[dict[str, Any]] = []
        if path and path.exists():
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    self.entries.append(json.loads(line))
                except ValueError:  # the last line of a killed run may be cut short
                    continue

    def record(self, part: str, rows: int, by: str, why: str) -> None:
        """Write one read."""
        entry = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S"),
            "part": part,
            "rows": rows,
            "by": by,
            "why": why,
        }
        self.entries.append(entry)
        if self.path:
            append_line(self.path, entry)

    def recorded(self, part: str, by: str) -> bool:
        """Whether such a read is in the ledger."""
        return any(entry["part"] == part and entry["by"] == by for entry in self.entries)


class Labels:
    """Targets of every row, of which those of the test part are sealed.

    Args:
        targets: (rows,) class indices or numbers, or (rows, labels).
        test: the rows of the test part.
        ledger: where reads are written.
    """

    def __init__(self, targets: Array, test: Sequence[int], ledger: Ledger) -> None:
        self._targets = np.asarray(targets)
        self._test = np.asarray(test, dtype=np.int64)
        self._sealed = np.zeros(len(targets), bool)
        self._sealed[self._test] = True
        self._opened = False
        self.ledger = ledger

    def open(self, by: str, why: str) -> Array:
        """The labels of all rows that aren't sealed; sealed rows hold -1, or NaN among floats."""
        visible = self._targets.copy()
        visible[self._sealed] = np.nan if visible.dtype.kind == "f" else -1
        if not self.ledger.recorded("train", by):
            self.ledger.record("train", int((~self._sealed).sum()), by, why)
        return visible

    def unseal(self, by: str, why: str) -> Array:
        """The labels of the test rows, once.

        Raises:
            RunError: they were read before in this session.
        """
        if self._opened:
            raise RunError("The test labels were already read; they are read once, by the verdict.")
        self._opened = True
        again = self.ledger.recorded("test", by)
        note = f"{why} (again, after an interruption)" if again else why
        self.ledger.record("test", len(self._test), by, note)
        opened: Array = self._targets[self._test]
        return opened
