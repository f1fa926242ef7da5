"""Whether ``fit --budget`` keeps to its time: the seconds of the whole process against the budget.

    python benchmarks/budget_kept.py SETS [--budget 60] [--only solar] [--size 50] [--grid FILE]

SETS is a folder as for ranking.py. Each run is a process of its own with an empty cache: start-up,
reading, training, controls, the test and the report all count. A run may end earlier than its budget,
where nothing more is expected to pay. Every result is written as soon as it is known, and a second
call goes on from there. ``--grid`` counts in the runs of headstart that finetune_grid.py measured.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from finetune_grid import SETS, SIZES
from finetune_grid import folder as cell
from harness import RESULTS, fit, machine
from headstart.files import atomic
from headstart.workflow.plan import parse_budget
from ranking import sets

FILE = RESULTS / "budget-kept.json"
WITHIN = 1.10
TESTS = 600


def entry(budget: float, wall: float) -> dict[str, float]:
    """One run's figures."""
    return {
        "budget": budget,
        "wall_seconds": round(wall, 1),
        "ratio": round(wall / budget, 3),
    }


def measured(
    data: Path, budget: float, options: list[str]
) -> tuple[dict[str, Any], dict[str, float]]:
    """One run, and where its time went."""
    found = fit(str(data), "--budget", f"{budget:g}s", *options)
    shutil.rmtree(found["folder"], ignore_errors=True)
    facts = {
        **entry(budget, found["wall_seconds"]),
        "method": found["chosen"]["method"],
        "source": found["chosen"]["source"],
        "seconds": found["seconds"],
        "seconds_to_model": found["seconds_to_model"],
        "tried": [trial["method"] for trial in found["tried"]],
    }
    return facts, {trial["method"]: trial["seconds"] for trial in found["tried"]}


def of_grid(path: Path | None) -> dict[str, Any]:
    """Runs that the grid's benchmark made, by ``grid CELL``."""
    if path is None or not path.exists():
        return {}
    grid = json.loads(path.read_text())
    return {
        f"grid {key}": entry(grid["settings"]["budget"], row["headstart"]["wall_seconds"])
        for key, row in grid["cells_measured"].items()
        if "wall_seconds" in row.get("headstart", {})
    }


def keep(runs: dict[str, Any]) -> None:
    """Write what is known."""
    ratios = [run["ratio"] for run in runs.values()]
    facts = {
        "command": "python benchmarks/budget_kept.py SETS --budget SECONDS --only SET --size N",
        "machine": machine(),
        "runs": len(runs),
        "within_10_percent": sum(ratio <= WITHIN for ratio in ratios),
        "share_within": round(sum(ratio <= WITHIN for ratio in ratios) / max(len(ratios), 1), 3),
        "largest_ratio": max(ratios, default=0.0),
        "over": [key for key, run in runs.items() if run["ratio"] > WITHIN],
        "measured": runs,
    }
    with atomic(FILE) as temporary:
        temporary.write_text(json.dumps(facts, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", type=Path)
    parser.add_argument("--budget", action="append", help="60, 5m; 60 by default")
    parser.add_argument("--only", action="append", choices=SETS)
    parser.add_argument("--size", action="append", type=int, choices=SIZES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--source", default="")
    parser.add_argument("--grid", type=Path, help="a result file of finetune_grid.py")
    parser.add_argument("--again", action="store_true", help="measure what is known, too")
    given = parser.parse_args()
    runs: dict[str, Any] = json.loads(FILE.read_text())["measured"] if FILE.exists() else {}
    runs |= of_grid(given.grid)
    if given.grid:
        keep(runs)
    found = sets(given.sets)
    for text in given.budget or ([] if given.grid else ["60"]):
        budget = parse_budget(text)
        assert budget is not None
        for name in given.only or SETS:
            for size in given.size or SIZES:
                key = f"{name}-{size or 'all'} {budget:g}s {given.source}".strip()
                if key in runs and not given.again:
                    continue
                data = cell(*found[name], size, TESTS, given.seed)
                if data is None:
                    continue
                options = ["--source", given.source] if given.source else []
                runs[key], spent = measured(data, budget, options)
                shutil.rmtree(data, ignore_errors=True)
                keep(runs)
                trials = ", ".join(f"{one} {seconds:.0f} s" for one, seconds in spent.items())
                print(key, runs[key]["wall_seconds"], runs[key]["ratio"], trials, flush=True)


if __name__ == "__main__":
    main()
