"""``fit`` against five other ways to use the same source model, over sets, sizes and one equal budget.

    python benchmarks/finetune_grid.py SETS --rivals PYTHON [--budget 120] [--only hymenoptera] [--size 10]
    python benchmarks/finetune_grid.py SETS --plot

SETS is a folder with hymenoptera, imagenette_subset, cifar10_subset and pacs_subset, unpacked; the
solar cells come with ``pip install 'headstart[samples]'``. A cell of the grid is one set with 10, 50 or
all pictures of each class to learn from, drawn with a seed, and the same test pictures for everyone.
The source model is the packaged EfficientNet-Lite0. The contestants, each a process of its own with
the same seconds: headstart as it comes, its linear probe alone (read from the same run, whose first
trial it is), its full fine-tuning alone (full_alone.py: no folds, no controls), fastai's
``fine_tune``, Hugging Face's ``Trainer`` and a plain timm loop (see rivals/README.md). They run one
after another. Every result is written as soon as it is known, and a second call goes on from there.
Pinned to one core (``taskset -c 0``) they can run beside other work; the result file says how many
cores they had. The budget counts from the start of a process; the rivals' scoring of the test
pictures comes on top, headstart's is part of it. Where no class has more than 50 pictures, the
cell with 50 would be the one with all again, and is left out.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata

from harness import RESULTS, fit, machine, rival
from headstart.files import atomic
from ranking import drawn, few, sets

FILE = RESULTS / "finetune-grid.json"
SETS = ("hymenoptera", "imagenette", "cifar10", "solar", "pacs-photo", "pacs-sketch")
SIZES = (10, 50, 0)
"""Pictures of each class; 0 takes all."""
OURS = ("headstart", "probe", "full")
RIVALS = {"fastai": "fastai_finetune.py", "trainer": "hf_trainer.py", "timm": "timm_loop.py"}


def folder(given: Any, part: str | None, size: int, tests: int, seed: int) -> Path | None:
    """One cell's pictures as links, train/CLASS/* and val/CLASS/*; None where ``size`` takes all."""
    rows = drawn(given, part, 10**9, tests, seed)
    random = np.random.default_rng((seed, 11))
    learn = [row for row in rows if row.part == "train"]
    if size:
        classes, whole = {row.label for row in learn}, len(learn)
        learn = few(learn, size * len(classes), random)
        if len(learn) == whole:
            return None
    root = Path(tempfile.mkdtemp(prefix="headstart-grid-"))
    for name, chosen in (("train", learn), ("val", [row for row in rows if row.part == "test"])):
        for number, row in enumerate(chosen):
            place = root / name / str(row.label)
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{number:05d}{Path(row.origin).suffix}").symlink_to(
                Path(row.origin).resolve()
            )
    return root


def run(name: str, data: str, budget: float, python: str) -> dict[str, Any]:
    """One contestant on one cell."""
    seconds = f"{budget:g}"
    if name in RIVALS:
        options = ("--out", tempfile.mkdtemp(), "--budget", seconds, "--workers", "0")
        found = rival(python, RIVALS[name], data, *options)
        keys = ("accuracy", "epochs", "note", "wall_seconds")
        out = {key: found[key] for key in keys}
        return {**out, "correct": "".join(map(str, found["correct"]))}
    if name == "full":
        return rival(sys.executable, "../full_alone.py", data, "--budget", seconds)
    found = fit(data, "--budget", f"{seconds}s")
    return {
        "accuracy": found["test"]["score"],
        "method": found["chosen"]["method"],
        "verdict": found["verdict"],
        "controls": found["controls"],
        "tried": {trial["method"]: trial["score"] for trial in found["tried"]},
        "skipped": {one["method"]: one["why"] for one in found["skipped"]},
        "references": found["references"],
        "gain": found["gain"],
        "seconds_to_model": found["seconds_to_model"],
        "wall_seconds": found["wall_seconds"],
    }


def probe(found: dict[str, Any]) -> dict[str, Any]:
    """The linear probe alone: the first trial of headstart's own run, on the same test pictures."""
    scores = {**found.get("references", {}), found.get("method"): found["accuracy"]}
    return {"accuracy": scores.get("linear_probe", 0.0), "from": "headstart's own run"}


def known() -> dict[str, Any]:
    """What was measured before."""
    return json.loads(FILE.read_text()) if FILE.exists() else {"cells": {}}


def judged(cells: dict[str, Any]) -> dict[str, Any]:
    """Mean ranks, and how far headstart is under the best of the others, over the whole cells."""
    names = [*OURS, *RIVALS]
    whole = {
        key: {name: cell[name]["accuracy"] for name in names}
        for key, cell in cells.items()
        if all(name in cell for name in names)
    }
    if not whole:
        return {"cells": 0}
    table = np.array([[row[name] for name in names] for row in whole.values()])
    ranks = np.array([rankdata(-row) for row in table]).mean(axis=0)
    behind = 100 * (table[:, 1:].max(axis=1) - table[:, 0])
    return {
        "cells": len(whole),
        "mean_rank": dict(zip(names, ranks.round(2).tolist(), strict=True)),
        "mean_accuracy": dict(zip(names, table.mean(axis=0).round(4).tolist(), strict=True)),
        "worst_behind": float(behind.max()),
        "more_than_a_point_behind": {
            key: round(float(lag), 2) for key, lag in zip(whole, behind, strict=True) if lag > 1
        },
        "guard": guard({key: cells[key]["headstart"] for key in whole}),
        "budget_kept": budget_kept([cells[key]["headstart"]["wall_seconds"] for key in whole]),
    }


def guard(runs: dict[str, Any]) -> dict[str, Any]:
    """Runs whose model is significantly worse, by the paired interval on the test rows."""
    worse: dict[str, list[str]] = {"from_scratch": [], "linear_probe": []}
    for key, found in runs.items():
        for control, lost in worse.items():
            gain = found.get("gain", {}).get(control)
            if gain and gain["interval"][1] < 0:
                lost.append(key)
    return {"runs": len(runs), "worse_than": worse}


def budget_kept(walls: list[float]) -> dict[str, Any]:
    """Wall seconds of headstart's whole processes."""
    return {
        "runs": len(walls),
        "longest": round(max(walls), 1),
        "mean": round(sum(walls) / len(walls), 1),
    }


def keep(key: str, name: str, found: dict[str, Any], settings: dict[str, Any]) -> None:
    """Add one result to what is known by now, which another process may have added to."""
    cells = known().get("cells_measured", {})
    cells.setdefault(key, {})[name] = found
    words = "python benchmarks/finetune_grid.py SETS --rivals PYTHON"
    for option in ("budget", "tests", "seed"):
        words += f" --{option} {settings[option]:g}"
    whole = {"command": words, "machine": machine(), **judged(cells), "cells_measured": cells}
    with atomic(FILE) as temporary:
        temporary.write_text(json.dumps({**whole, "settings": settings}, indent=1) + "\n")


def plot(cells: dict[str, Any]) -> None:
    """A panel for each set: accuracy against pictures per class, a line for each contestant."""
    from matplotlib.figure import Figure

    names = [*OURS, *RIVALS]
    shades = dict(
        zip(names, ("#c8553d", "#3b6ea5", "#5b8c5a", "#b8860b", "#7d5ba6", "#808080"), strict=True)
    )
    figure = Figure(figsize=(9, 5.4), layout="constrained")
    for axes, chosen in zip(figure.subplots(2, 3).flat, SETS, strict=True):
        for name in names:
            found = [
                (spot, 100 * cells[f"{chosen}-{size or 'all'}"][name]["accuracy"])
                for spot, size in enumerate(SIZES)
                if name in cells.get(f"{chosen}-{size or 'all'}", {})
            ]
            if found:
                bold: dict[str, Any] = {"lw": 4, "alpha": 0.55} if name == "headstart" else {}
                bold |= {"ls": "--"} if name == "probe" else {}  # often the same line
                axes.plot(
                    *zip(*found, strict=True),
                    marker="o",
                    ms=4,
                    color=shades[name],
                    label=name,
                    **bold,
                )
        axes.set_title(chosen, fontsize=10)
        axes.set_xticks(range(len(SIZES)), [str(size or "all") for size in SIZES])
        axes.grid(alpha=0.25)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6, frameon=False)
    figure.supylabel("test accuracy, %", fontsize=10)
    for axes in figure.axes[3:]:
        axes.set_xlabel("pictures of each class to learn from", fontsize=9)
    figure.savefig(RESULTS / "finetune-grid.png", dpi=110)


def table(cells: dict[str, Any]) -> None:
    """Print the cells as Markdown, the best of each in bold."""
    names = [*OURS, *RIVALS]
    print("| set | per class |", " | ".join(names), "| headstart took |")
    print("|---|---|" + "---|" * (len(names) + 1))
    for chosen in SETS:
        for size in SIZES:
            cell = cells.get(f"{chosen}-{size or 'all'}")
            if not cell or any(name not in cell for name in names):
                continue
            best = max(cell[name]["accuracy"] for name in names)
            words = [
                f"**{100 * best:.1f}**"
                if cell[name]["accuracy"] == best
                else f"{100 * cell[name]['accuracy']:.1f}"
                for name in names
            ]
            print(
                f"| {chosen} | {size or 'all'} |",
                " | ".join(words),
                f"| {cell['headstart']['method']} |",
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", type=Path)
    parser.add_argument("--rivals", default="")
    parser.add_argument("--budget", type=float, default=120)
    parser.add_argument("--tests", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", choices=SETS)
    parser.add_argument("--size", action="append", type=int, choices=SIZES)
    parser.add_argument("--of", action="append", choices=(*OURS, *RIVALS), help="contestants")
    parser.add_argument("--plot", action="store_true")
    parser.add_argument("--table", action="store_true", help="print a table for the docs")
    given = parser.parse_args()
    if given.table:
        table(known()["cells_measured"])
        return
    settings = {"budget": given.budget, "tests": given.tests, "seed": given.seed}
    before = known()
    cells = before.get("cells_measured", {}) if before.get("settings", settings) == settings else {}
    if given.plot:
        plot(cells)
        return
    if not given.rivals:
        parser.error("--rivals PYTHON: the interpreter of the rivals' environment")
    found = sets(given.sets)
    for size in given.size or SIZES:
        for name in given.only or SETS:
            key = f"{name}-{size or 'all'}"
            cell = cells.get(key, {})
            missing = [one for one in given.of or (*OURS, *RIVALS) if one not in cell]
            missing = [one for one in missing if one != "probe"]  # from headstart's run
            data = folder(*found[name], size, given.tests, given.seed) if missing else None
            for one in missing if data else ():
                try:
                    result = run(one, str(data), given.budget, given.rivals)
                except SystemExit as error:  # no model in the time given: the last place
                    result = {"accuracy": 0.0, "failed": str(error)[-300:]}
                keep(key, one, result, settings)
                if one == "headstart":
                    keep(key, "probe", probe(result), settings)
                print(name, size, one, round(result["accuracy"], 4), flush=True)


if __name__ == "__main__":
    main()
