"""Several source domains to one: all rows alike, sources weighed, sources combined, and the pooled consensus.

    python benchmarks/adaptation/several.py FEATURES [--seeds 3]

FEATURES is the folder that ``sets.py`` wrote. In each family of three domains or more every domain is the target
once and all others are its sources, with at most 600 rows each. Half of the target's rows are the test, which
nothing but the accuracy sees; the other half gives its features.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness import save
from headstart.data.columns import Encoder
from headstart.data.split import assign
from headstart.methods.align import combine_sources, weight_sources
from headstart.workflow.adapting import candidates

MOST = 600
MANY = ("digits", "pacs", "surf")
"""Families of more than two classes."""


def drawn(count: int, seed: int) -> Any:
    """Indices of at most so many rows."""
    return np.sort(np.random.default_rng((seed, 3)).permutation(count)[:MOST])


def one(held: Any, family: str, target: str, seed: int) -> dict[str, float]:
    """Accuracies on one target."""
    import pandas as pd

    names = sorted(key[2:] for key in held if key[0] == "X" and key[2:] != target)
    rows = [drawn(len(held[f"y_{name}"]), seed) for name in names]
    x = np.concatenate([held[f"X_{name}"][own] for name, own in zip(names, rows, strict=True)])
    y = np.concatenate([held[f"y_{name}"][own] for name, own in zip(names, rows, strict=True)])
    g = np.concatenate([held[f"g_{name}"][own] for name, own in zip(names, rows, strict=True)])
    origins = np.repeat(np.arange(len(names)), [len(own) for own in rows])
    linked = np.unique(np.stack([origins, g]), axis=1, return_inverse=True)[1].reshape(-1)
    aim, truth, groups = held[f"X_{target}"], held[f"y_{target}"], held[f"g_{target}"]
    side = assign(np.zeros(len(truth), np.int64), groups, [0.5, 0.5], seed)
    learn, test = np.flatnonzero(side == 0), np.flatnonzero(side == 1)
    learn = learn[drawn(len(learn), seed)]
    if family == "heart":
        columns = [f"c{n}" for n in range(x.shape[1])]
        tables = [pd.DataFrame(part, columns=columns) for part in (x, aim[learn], aim)]
        encoder = Encoder.of(tables[:2])
        x, aim = encoder.transform(tables[0]), encoder.transform(tables[2])
    classes = int(max(y.max(), truth.max())) + 1
    ready = candidates.prepare(x, y, aim[learn], classes, linked=linked, origins=origins, seed=seed)
    heads = {
        "alike": ready.whole.source_only,
        "weighed": weight_sources.Method().align(ready.whole),
        "combined": combine_sources.Method().align(ready.whole),
        "consensus": candidates.fitted("consensus", ready.whole),
    }
    return {
        name: float((ready.place(head).predict(aim[test]) == truth[test]).mean())
        for name, head in heads.items()
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("features", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    rows: dict[str, dict[str, float]] = {}
    for path in sorted(given.features.glob("*.npz")):
        held = dict(np.load(path))
        domains = sorted(key[2:] for key in held if key[0] == "X")
        for target in domains if len(domains) > 2 else []:
            found = [one(held, path.stem, target, seed) for seed in range(given.seeds)]
            mean = {name: round(float(np.mean([f[name] for f in found])), 4) for name in found[0]}
            rows[f"{path.stem}/{target}"] = mean
            print(f"{path.stem}/{target}", json.dumps(mean), file=sys.stderr, flush=True)
    told: dict[str, Any] = {"targets": len(rows)}
    for way in ("weighed", "combined", "consensus"):
        for kind, many in (("two classes", False), ("more classes", True)):
            own = [r for name, r in rows.items() if (name.split("/")[0] in MANY) == many]
            gains = np.array([row[way] - row["alike"] for row in own])
            told[f"{way}, {kind}"] = {
                "targets": len(own),
                "mean_gain": round(float(gains.mean()), 4),
                "harmed": int((gains < -0.01).sum()),
            }
    save("several-sources", {**told, "rows": rows})


if __name__ == "__main__":
    main()
