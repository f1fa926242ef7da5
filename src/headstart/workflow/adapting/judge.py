"""What the target's labels say, when the user asks for it and everything else is done."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.evaluate.verdict import judge as judged
from headstart.export import bundle
from headstart.methods.domains import Head
from headstart.types import Finding
from headstart.workflow.adapting.candidates import SOURCE_ONLY
from headstart.workflow.report import write_report

if TYPE_CHECKING:
    from headstart.workflow.adapting.work import Work

__all__ = ["FEWEST", "conclude"]

FEWEST = 10
"""Target rows that are held out for a verdict, at least."""
UNKNOWN = -2


def conclude(work: Work, head: Head) -> dict[str, Any]:
    """Write the result and the report; open the held-out labels first where that was asked for."""
    summary = work.summary()
    sentence = ""
    if work.plan.evaluate:
        summary["test"] = _opened(work, head)
        sentence = _sentence(summary["test"])
        summary["findings"] = [vars(finding) for finding in work.findings]
    bundle.describe(work.run.folder / "model", {"sentence": sentence} if sentence else {})
    summary["seconds"] = round(time.monotonic() - work.begun, 2)
    summary["ledger"] = work.run.ledger.entries
    evidence = {"summary": summary, "shares": _shares(work, head), "verb": "adapt"}
    evidence["finished"] = time.strftime("%Y-%m-%d %H:%M")
    work.run.remember("evidence.json", evidence)
    write_report(work.run.folder)
    work.run.remember("result.json", summary)
    return summary


def _shares(work: Work, head: Head) -> dict[str, Any]:
    """The shares of the classes: in the source's labels, and in the answers on the target."""
    classes = len(work.classes)
    seen = work.target.features[work.learn]
    counted = {
        "source": work.evidence.whole.labels,
        "source_only": work.evidence.place(work.evidence.whole.source_only).predict(seen),
        "returned": head.predict(work.features_of(work.returned, work.learn)),
    }
    return {
        name: (np.bincount(own, minlength=classes) / max(len(own), 1)).tolist()
        for name, own in counted.items()
    }


def _opened(work: Work, head: Head) -> dict[str, Any]:
    """Compare the returned head and every candidate with source-only on the held-out rows."""
    targets = work.labels.unseal("verdict", "compare with source-only, as --evaluate asks")
    known = targets != UNKNOWN
    _sets(work, targets)
    rows, targets = work.test[known], targets[known]
    features = work.target.features[rows]
    read = _read(work, [*work.heads, work.returned], rows)
    others = {name: one.predict(read[name]) for name, one in work.heads.items()}
    alone = work.evidence.place(work.evidence.whole.source_only).predict(features)
    ours = head.predict(read[work.returned])
    found = judged(
        "accuracy", targets, ours, {SOURCE_ONLY: alone}, others, len(work.classes), work.plan.seed
    )
    main = found.comparisons[0]
    return {
        "n": len(targets),
        "unknown": int((~known).sum()),
        "score": found.test.value,
        "interval": [found.test.low, found.test.high],
        "source_only": main.score,
        "gain": {
            "value": main.gain.value,
            "interval": [main.gain.low, main.gain.high],
            "p": main.p,
        },
        "verdict": main.says if work.choice.method else "source-only was returned",
        "candidates": {one.control: one.score for one in found.comparisons[1:]},
    }


def _read(work: Work, names: list[str], rows: Any) -> dict[str, Any]:
    """What each candidate's head reads of some rows; a network runs once for all that share it."""
    networks = {name: work.network_of(name) for name in names}
    firsts = {id(network): name for name, network in reversed(networks.items())}
    found = {key: work.features_of(name, rows) for key, name in firsts.items()}
    return {name: found[id(network)] for name, network in networks.items()}


def _sets(work: Work, targets: Any) -> None:
    """Say how the label sets of the two domains lie to each other: closed, partial or open."""
    unknown = int((targets == UNKNOWN).sum())
    there = {work.classes[n] for n in targets if n >= 0}
    lacking = sorted(set(work.classes) - there)
    if unknown:
        text = (
            f"The label set is open: {unknown} of {len(targets)} held-out target rows have a class that "
            "the source lacks. Any answer to them is wrong; they are not in the figures."
        )
        work.findings.append(Finding("open-set", "warning", text))
    if lacking:
        text = f"The label set is partial: no held-out target row has the class {', '.join(lacking[:8])}."
        work.findings.append(Finding("partial-set", "note", text))


def _sentence(test: dict[str, Any]) -> str:
    low, high = test["interval"]
    return (
        f"On {test['n']} held-out target rows whose labels were opened last it scores "
        f"{100 * test['score']:.1f} % ({100 * low:.1f} to {100 * high:.1f}), source-only "
        f"{100 * test['source_only']:.1f} %."
    )
