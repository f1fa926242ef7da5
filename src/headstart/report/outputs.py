"""What the page shows of several labels and of numbers: a line for each label, predicted against true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.report.svg import ACCENT, MUTED, empty
from headstart.report.words import finite

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["LabelScore", "labels", "scatter"]

FIGURES = ("precision", "recall", "f1", "average_precision", "auroc")


@dataclass(frozen=True)
class LabelScore:
    """How well one of several labels is predicted; None where a figure has no value."""

    name: str
    rows: int
    predicted: int
    precision: float | None
    recall: float | None
    f1: float | None
    average_precision: float | None
    auroc: float | None


def labels(evidence: dict[str, Any]) -> tuple[LabelScore, ...]:
    """Scores of each label, the label with most test rows first."""
    found = []
    for item in evidence.get("labels") or []:
        precision, recall, f1, average_precision, auroc = (
            finite(item.get(name)) for name in FIGURES
        )
        name, rows, predicted = str(item["label"]), int(item["rows"]), int(item["predicted"])
        found.append(
            LabelScore(name, rows, predicted, precision, recall, f1, average_precision, auroc)
        )
    return tuple(sorted(found, key=lambda one: -one.rows))


def scatter(pairs: Sequence[tuple[float, float]]) -> Figure:
    """Predicted numbers against true ones, with the line on which they are equal."""
    figure = empty(420, 400, left=60)
    axes = figure.subplots()
    true, said = np.array(pairs, float).T
    low, high = float(min(true.min(), said.min())), float(max(true.max(), said.max()))
    room = 0.04 * (high - low or 1.0)
    ends = (low - room, high + room)
    axes.plot(ends, ends, color=MUTED, linewidth=1.2, linestyle=(0, (2, 3)))
    # Transparent dots show where many lie on each other.
    faint = float(np.clip(40 / len(true), 0.12, 0.6))
    axes.scatter(true, said, s=26, color=ACCENT, alpha=faint, linewidths=0, zorder=3)
    axes.set_xlim(*ends)
    axes.set_ylim(*ends)
    axes.set_xlabel("true")
    axes.set_ylabel("predicted")
    return figure
