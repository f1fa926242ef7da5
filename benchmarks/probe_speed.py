"""How long the linear probe takes on scikit-learn's digits, alone and where cores are short.

    python benchmarks/probe_speed.py --out benchmarks/results/probe_speed.json

`crowded`: the linear algebra library was told to use one thread more than there are cores, as it
comes to pass when other processes are at work; the best of three or two solvings. It runs on any
commit, so that two can be compared: `--beside FILE` keeps another commit's figures in the file.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

from headstart.data.split import folds
from headstart.methods.finetune.linear_probe import Method


def solved(times: int) -> dict[str, object]:
    """Seconds of the fastest solving, and what it found."""
    features, targets = load_digits(return_X_y=True)
    spread = np.where(features.std(axis=0) > 0, features.std(axis=0), 1.0)
    scaled = (features - features.mean(axis=0)) / spread
    masks = folds(targets, np.arange(len(targets)), 0)
    best = float("inf")
    for _ in range(times):
        begun = time.perf_counter()
        probe = Method().solve(scaled, targets, masks, np.ones(len(targets), bool))
        best = min(best, time.perf_counter() - begun)
    return {
        "seconds": round(best, 3),
        "iterations": probe.iterations,
        "penalty": float(probe.penalties[probe.chosen]),
        "loss": float(probe.losses[probe.chosen]),
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--beside", type=Path)
    given = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    found = {
        "command": f"python benchmarks/probe_speed.py --out {given.out}",
        "rows": 1797,
        "cores": cores,
        "alone": solved(3),
    }
    with threadpool_limits(cores + 1):
        found["crowded"] = solved(2)
    if given.beside:
        found["before"] = json.loads(given.beside.read_text())
    given.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
