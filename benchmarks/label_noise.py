"""What the diagnosis of label noise says of data as they are, and with a tenth of the labels flipped.

    python benchmarks/label_noise.py DATA [DATA ...] [--source efficientnet_lite0] [--rows 1500] [--seeds 3]

Only rows to learn from are used: the probe of ``fit`` gives their out-of-fold probabilities.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from harness import save
from headstart.data.dataset import Columns
from headstart.data.split import folds
from headstart.evaluate.diagnose import label_noise
from headstart.evaluate.diagnose.base import Facts
from headstart.features.cache import Cache
from headstart.methods.finetune.linear_probe import Method
from headstart.progress import Silent
from headstart.workflow.admit import admit
from headstart.workflow.bench import Bench
from headstart.workflow.pictures import prepare
from headstart.workflow.plan import Plan, Run
from headstart.workflow.prepare import read_given


def learn_rows(given: str, source: str, most: int) -> tuple[Any, Any]:
    """Frozen features and labels of at most so many rows to learn from."""
    dataset, cache, reporter = read_given(given, Columns()), Cache(), Silent()
    run = Run.create(Plan(data=given), Path(tempfile.mkdtemp()) / "run")
    model = admit(source)
    bench = Bench(run, prepare(run, dataset, model, cache, reporter), model, cache, reporter)
    rows = np.random.default_rng(1).permutation(len(bench.learn))[:most]
    return bench.features()[rows], bench.targets[rows]


def flip(targets: Any, share: float, seed: int) -> tuple[Any, Any]:
    """Labels of which a share was changed to another class at random, and which."""
    random, classes = np.random.default_rng(seed), int(targets.max()) + 1
    wrong = np.zeros(len(targets), bool)
    wrong[random.choice(len(targets), round(share * len(targets)), replace=False)] = True
    moved = (targets + random.integers(1, classes, len(targets))) % classes
    return np.where(wrong, moved, targets), wrong


def judged(features: Any, given: Any, wrong: Any, seed: int) -> dict[str, Any]:
    """The diagnosis beside the truth."""
    masks = folds(given, np.arange(len(given)), seed)[:5]
    held = Method().solve(features, given, masks, np.ones(len(given), bool)).held_out
    begun = time.perf_counter()
    found = label_noise.find(given, held, seed)
    seconds = time.perf_counter() - begun
    facts = Facts(classes=held.shape[1], targets=given, held_out=held, seed=seed)
    return {
        "seed": seed,
        "flipped": int(wrong.sum()),
        "held_out_errors": float((held.argmax(axis=1) != given).mean()),
        "level": label_noise.diagnose(facts).level,
        "suspects": len(found.rows),
        "flipped_among_suspects": int(wrong[found.rows].sum()),
        "flipped_among_first_24": int(wrong[found.rows[:24]].sum()),
        "noise": [found.noise.value, found.noise.low, found.noise.high],
        "sureness": found.sureness,
        "seconds": seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--source", default="efficientnet_lite0")
    parser.add_argument("--rows", type=int, default=1500)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    results = []
    for given in options.data:
        features, targets = learn_rows(given, options.source, options.rows)
        for share in (0.0, 0.1):
            for seed in range(options.seeds if share else 1):
                entry = judged(features, *flip(targets, share, seed), seed)
                named = {"data": Path(given).name, "rows": len(targets), "share": share}
                results.append({**named, **entry})
                print(results[-1], flush=True)
    save("label_noise", {"source": options.source, "results": results})


if __name__ == "__main__":
    main()
