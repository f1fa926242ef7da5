"""Training the source model's last block, and pretraining it further, beside adapting on frozen features.

    python benchmarks/adaptation/unfrozen.py DATA WORK [--only pacs solar snippets] [--seed 0]

DATA is the folder of benchmark sets (PACS unpacked in WORK/pacs). Each ordered pair goes through
``headstart.adapt(..., evaluate=True)`` with half of the target held out: pictures with ``--unfreeze auto``
(``mcc`` on the last block) and, one run each, with other methods that train; texts with ``mcc`` on the last
layer, ``dapt`` and ``dapt+consensus``. The held-out labels are opened at the end of a run. One
entry of the result for each pair; what is there already is not computed again.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import sets

import headstart as hs
from harness import RESULTS, machine

OUT = RESULTS / "unfrozen.json"
NAMED = ("cdan", "dann", "consistency")
"""Tried with ``--unfreeze`` by their names on :data:`SOME` pairs of pictures."""
SOME = (("photo", "sketch"), ("sketch", "photo"), ("cartoon", "art_painting"))
TEXTS = (
    ("movies", "amazon"),
    ("amazon", "movies"),
    ("nyt", "tweets"),
    ("tweets", "nyt"),
    ("movies", "tweets"),
    ("amazon", "nyt"),
)
ROWS = 1500
"""Texts of a domain, drawn with a fixed seed."""


def told(run: Any) -> dict[str, Any]:
    """What a run gave: accuracies in per cent, of source-only and of each candidate, with the expected gains."""
    test, summary = run.summary["test"], run.summary
    base = test["source_only"]
    rows = {
        one["method"]: {
            "gain": round(100 * (test["candidates"][one["method"]] - base), 2),
            "expected": None
            if one["expected_gain"] is None  # an alarm: nothing is expected of it
            else round(100 * one["expected_gain"], 2),
            "seconds": one["seconds"],
            "alarms": len(one["alarms"]),
        }
        for one in summary["candidates"]
        if one["method"] in test["candidates"]
    }
    failed = {one["method"]: one["failed"] for one in summary["candidates"] if one["failed"]}
    best = max(rows, key=lambda name: rows[name]["gain"], default="")
    kept = {
        n: r
        for n, r in rows.items()
        if "@" in n or n.startswith(("dapt", "consensus")) or n in (best, "mcc")
    }
    return {
        "rows": test["n"],
        "source_only": round(100 * base, 2),
        "returned": summary["method"],
        "gain": round(100 * test["gain"]["value"], 2),
        "estimate": summary["estimate"],
        "score": round(100 * test["score"], 2),
        "candidates": kept,
        "failed": {n: why for n, why in failed.items() if "@" in n or n.startswith("dapt")},
        "seconds": summary["seconds"],
    }


def once(source: Any, target: Any, seed: int, **more: Any) -> dict[str, Any]:
    """One run, whose folder goes away."""
    with tempfile.TemporaryDirectory() as folder:
        given = {"evaluate": True, "test_share": 0.5, "seed": seed, "out": Path(folder) / "run"}
        return told(hs.adapt(source, target, **given, **more))


def pictures(work: Path, family: str) -> dict[str, Any]:
    """Name → what ``adapt`` reads."""
    if family == "pacs":
        return {path.name: str(path) for path in sorted((work / "pacs").iterdir()) if path.is_dir()}
    out = {}
    for kind in ("mono", "poly"):
        files, defective = sets.cells(kind)
        out[kind] = work / f"{kind}.csv"
        labels = ["defect" if one else "sound" for one in defective]
        frame = pd.DataFrame({"image": [str(file) for file in files], "label": labels})
        frame.to_csv(out[kind], index=False)
    return {name: str(path) for name, path in out.items()}


def texts(data: Path, work: Path) -> dict[str, str]:
    """The sentiment snippets of four domains as tables."""
    out = {}
    for name in ("movies", "amazon", "nyt", "tweets"):
        rows = sets.snippet_rows(data, name, ROWS)
        out[name] = str(work / f"{name}.csv")
        good = ["good" if float(row["score"]) > 0 else "bad" for row in rows]
        frame = pd.DataFrame({"text": [row["text"] for row in rows], "label": good})
        frame.to_csv(out[name], index=False)
    return out


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--only", nargs="+", default=["pacs", "solar", "snippets"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    jobs: list[tuple[str, Any, Any, dict[str, Any]]] = []
    for family in given.only:
        if family == "snippets":
            found: dict[str, Any] = texts(given.data, given.work)
            more: dict[str, Any] = {"text": "text", "label": "label", "unfreeze": "auto"}
            more["methods"] = ["consensus", "self_training", "mcc", "dapt", "dapt+consensus"]
            pairs = list(TEXTS)
        else:
            found = pictures(given.work, family)
            more = {"unfreeze": "auto"}
            more |= {"image": "image", "label": "label"} if family == "solar" else {}
            pairs = list(itertools.permutations(found, 2))
        for pair in pairs:
            ends = (found[pair[0]], found[pair[1]])
            jobs.append((f"{family}:{pair[0]}-{pair[1]}:{given.seed}", *ends, more))
            if family == "pacs" and pair in SOME:
                named = {**more, "methods": ["consensus", "self_training", *NAMED]}
                jobs.append((f"named:{pair[0]}-{pair[1]}:{given.seed}", *ends, named))
    kept = json.loads(given.out.read_text()) if given.out.exists() else {"runs": {}}
    for key, source, target, more in jobs:
        if key in kept["runs"]:
            continue
        kept["runs"][key] = once(source, target, given.seed, **more)
        kept["machine"] = machine()
        given.out.write_text(json.dumps(kept, indent=1) + "\n")
        one = kept["runs"][key]
        shown = {n: c["gain"] for n, c in one["candidates"].items()}
        print(key, one["source_only"], one["returned"], shown, one["failed"], flush=True)


if __name__ == "__main__":
    main()
