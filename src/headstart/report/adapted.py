"""The page of an adaptation: what was decided, every candidate beside source-only, and the classes' shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.report.svg import ACCENT, BAD, GOOD, INK, MUTED, OPEN, STYLE, empty, markup
from headstart.report.words import candidate, clip, count, percent, sentence

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Adapted", "Row", "adapted", "draw"]

MOST_CLASSES = 20


@dataclass(frozen=True)
class Row:
    """One candidate.

    Attributes:
        name: for people.
        gain: expected over source-only, a share; None where there is no head.
        test: accuracy on the held-out rows; None without ``--evaluate``.
        over: that minus source-only's.
        chosen: whether it is what is returned.
        note: alarms, or why there is none.
        seconds: of the fit.
    """

    name: str
    gain: float | None
    test: float | None
    over: float | None
    chosen: bool
    note: str
    seconds: float


@dataclass(frozen=True)
class Adapted:
    """What the page shows."""

    name: str
    date: str
    decided: bool
    headline: str
    why: str
    accuracy: float
    low: float
    high: float
    alone: float
    source_accuracy: float
    margin: float
    test: dict[str, Any] | None
    rows: tuple[Row, ...]
    classes: tuple[str, ...]
    shares: dict[str, list[float]]
    facts: tuple[tuple[str, str], ...]
    findings: tuple[dict[str, Any], ...]
    left_out: tuple[dict[str, Any], ...]
    ledger: tuple[dict[str, Any], ...]
    command: str
    predict: str


def adapted(evidence: dict[str, Any]) -> Adapted:
    """What the page shows, from a run's evidence."""
    told = evidence["summary"]
    test = told.get("test")
    chosen = told["estimate"]
    names = ", ".join(one["name"] for one in told["sources"])
    return Adapted(
        name=f"{names} → {told['target']['name']}",
        date=str(evidence.get("finished", "")),
        decided=told["decision"] == "adapted",
        headline=_headline(told),
        why=sentence(str(told["why"])),
        accuracy=chosen["accuracy"],
        low=chosen["interval"][0],
        high=chosen["interval"][1],
        alone=told["source_only"]["estimate"]["accuracy"],
        source_accuracy=told["source_accuracy"],
        margin=told["margin"],
        test=test,
        rows=_rows(told, test),
        classes=tuple(told["classes"]),
        shares=evidence["shares"],
        facts=_facts(told),
        findings=tuple(told["findings"]),
        left_out=tuple(told["left_out"][:50]),
        ledger=tuple(told.get("ledger", ())),
        command=str(told["command"]),
        predict=f"headstart predict {told['run']} NEW",
    )


def _headline(told: dict[str, Any]) -> str:
    if told["decision"] == "adapted":
        return f"Adapted by {candidate(told['method'])}"
    return "Source-only is returned: no adaptation is clearly better"


def _rows(told: dict[str, Any], test: dict[str, Any] | None) -> tuple[Row, ...]:
    """The candidates by what they are expected to gain, those that failed last."""
    out = []
    for one in told["candidates"]:
        true = (test or {}).get("candidates", {}).get(one["method"])
        note = one["failed"] or " ".join(one["alarms"])
        over = None if true is None or test is None else true - test["source_only"]
        chosen = one["method"] == told["method"]
        name = candidate(one["method"])
        out.append(Row(name, one["expected_gain"], true, over, chosen, note, one["seconds"]))
    return tuple(sorted(out, key=lambda row: (row.gain is None, -(row.gain or 0.0), row.name)))


def _facts(told: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    facts = told["facts"]
    found = [
        ("Source rows", ", ".join(f"{s['name']}: {count(s['rows'])}" for s in told["sources"])),
        ("Target rows", count(told["target"]["rows"])),
        (
            "Adapted with",
            f"{count(told['used']['source'])} and {count(told['used']['target'])} rows",
        ),
        ("Telling the domains apart (AUROC)", f"{facts['auroc']:.2f}"),
        ("Source-only on the source, cross-validated", percent(told["source_accuracy"])),
        ("Source-only's mean confidence on the target", percent(facts["confidence"])),
    ]
    if told["source_model"]:
        found.append(("Source model", told["source_model"]))
    return tuple(found)


def draw(page: Adapted) -> dict[str, str]:
    """The plots: expected gains with, where known, the true ones; and the classes' shares."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        plots = {"shares": markup(_shares(page), "shares")}
        if any(row.gain is not None for row in page.rows):
            plots["gains"] = markup(_gains(page), "gains")
    return plots


def _gains(page: Adapted) -> Figure:
    rows = [row for row in page.rows if row.gain is not None][::-1]
    figure = empty(640, 60 + 22 * len(rows), left=205, bottom=44)
    axes = figure.add_subplot()
    places = np.arange(len(rows))
    axes.axvline(0, color=INK, linewidth=1)
    if page.margin < 1:
        axes.axvline(100 * page.margin, color=OPEN, linewidth=1, linestyle=(0, (3, 3)))
    for place, row in zip(places, rows, strict=True):
        if row.over is not None:
            colour = GOOD if row.over > 0 else BAD if row.over < 0 else MUTED
            axes.plot([100 * row.over], [place], "D", color=colour, markersize=5, zorder=3)
        gain = 100 * (row.gain or 0.0)
        axes.plot([0, gain], [place, place], color=ACCENT, linewidth=2, alpha=0.5)
        face = ACCENT if row.chosen else "none"
        axes.plot([gain], [place], "o", color=ACCENT, markerfacecolor=face, zorder=4)
    axes.set_yticks(places, [row.name for row in rows])
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("points over source-only, on the target")
    axes.set_ylim(-0.8, len(rows) - 0.2)
    return figure


def _shares(page: Adapted) -> Figure:
    order = np.argsort(page.shares["source"])[::-1][:MOST_CLASSES][::-1]
    figure = empty(620, 70 + 30 * len(order), left=170, bottom=44, top=26)
    axes = figure.add_subplot()
    shown = [("source", "source labels", MUTED), ("source_only", "source-only's answers", INK)]
    shown += [("returned", "returned answers", ACCENT)] if page.decided else []
    for place, (key, words, colour) in enumerate(shown):
        heights = 100 * np.asarray(page.shares[key])[order]
        offset = (len(shown) - 1) / 2 - place
        axes.barh(np.arange(len(order)) + 0.24 * offset, heights, 0.2, color=colour, label=words)
    axes.set_yticks(np.arange(len(order)), [clip(page.classes[n], 22) for n in order])
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("share of rows, %")
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2, columnspacing=1.2
    )
    return figure
