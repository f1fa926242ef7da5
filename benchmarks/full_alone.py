"""Full fine-tuning alone: headstart's own training, all of the budget, no folds and no controls.

    python benchmarks/full_alone.py DATA --budget SECONDS

DATA holds train/CLASS/* and val/CLASS/*. The recipe is that of the method ``full`` (LP-FT: the head
starts from the probe), with as many of its epochs as fit after a few timed steps. As with the rivals,
scoring the test pictures comes on top of the budget. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from headstart.data.dataset import Columns
from headstart.features.cache import Cache
from headstart.methods.base import configure
from headstart.progress import Silent
from headstart.train.loop import seconds_per_row
from headstart.workflow.admit import admit
from headstart.workflow.bench import Bench
from headstart.workflow.pictures import prepare
from headstart.workflow.plan import Plan, Run
from headstart.workflow.prepare import read_given
from headstart.workflow.trials import _one

sys.path.insert(0, str(Path(__file__).parent / "rivals"))
from common import elapsed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--budget", type=float, required=True)
    given = parser.parse_args()
    folder, silent = Path(tempfile.mkdtemp()), Silent()
    run = Run.create(Plan(given.data, methods=("full",), budget=given.budget), folder / "run")
    source, cache = admit(run.plan.source), Cache(folder / "cache")
    data = prepare(run, read_given(given.data, Columns()), source, cache, silent)
    bench = Bench(run, data, source, cache, silent)
    recipe = configure("finetune", "full").recipe(bench.situation())
    mask, rows = bench.fit_rows, bench.learn[bench.fit_rows].tolist()
    pixel = bench.pixels(recipe)
    tail = bench.tail(bench.network(recipe, mask), recipe, pixel)
    each = seconds_per_row(tail, pixel, rows, recipe, targets=bench.all_targets) * len(rows)
    epochs = min(recipe.epochs, int((given.budget - elapsed()) / (1.05 * each)))
    recipe = replace(recipe, epochs=max(epochs, 1))
    began = time.perf_counter()
    network, _ = _one(bench, folder / "full", recipe, mask, pixel, pixel, -1.0, "full")
    trained = time.perf_counter() - began
    wall = elapsed()
    test = list(data.split.test)
    shares = bench.answers(bench.tail(network, recipe, pixel), pixel, test, recipe)
    targets = data.labels.unseal("verdict", "score full fine-tuning alone")
    found = {
        "accuracy": float((shares.argmax(axis=1) == targets).mean()),
        "epochs": recipe.epochs,
        "of_its_own": configure("finetune", "full").recipe(bench.situation()).epochs,
        "rows": len(rows),
        "seconds_train": round(trained, 1),
        "trained_after": round(wall, 1),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
