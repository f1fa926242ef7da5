"""Every adaptation method on every ordered pair of domains, with all that may be known without labels.

    python benchmarks/adaptation/tasks.py FEATURES OUT.jsonl [--only amazon] [--seeds 3] [--part 0/2]

FEATURES is the folder that ``sets.py`` wrote. Half of the target's rows are the test, drawn with the seed,
and no method or validator sees them, with labels or without; of the other half they see the features. The
target's labels are read at the end, for the truth: source-only's, every candidate's and a probe's that was
trained on the target's other half with its labels. One line of JSON for each pair and seed; what is there
already is not computed again.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from headstart.data.columns import Encoder
from headstart.data.split import assign, folds
from headstart.methods.finetune.linear_probe import Method as Probe
from headstart.selection.judged import facts_of, seen_by
from headstart.workflow.adapting import candidates

MOST = 1500
"""Rows of a domain that are adapted with; more are drawn with the seed."""
SLOW = frozenset({"circular"})


def drawn(count: int, most: int, seed: int) -> Any:
    """Sorted indices of at most ``most`` rows."""
    rows = np.random.default_rng((seed, 3)).permutation(count)[:most]
    return np.sort(rows)


def table(x: Any, names: list[str]) -> Any:
    """An array as a table, for the encoder."""
    import pandas as pd

    return pd.DataFrame(x, columns=names)


def is_table(family: str) -> bool:
    """Whether a family's features are columns as they stand."""
    return family == "heart" or family.startswith("table_")


def loaded(held: Any, family: str, source: str, target: str, seed: int, most: int) -> Any:
    """Source features, labels, groups; target features, labels, and the sides of its split."""
    x, y, g = held[f"X_{source}"], held[f"y_{source}"], held[f"g_{source}"]
    tx, ty, tg = held[f"X_{target}"], held[f"y_{target}"], held[f"g_{target}"]
    side = assign(np.zeros(len(ty), np.int64), tg, [0.5, 0.5], seed)
    if is_table(family):
        names = [f"c{n}" for n in range(x.shape[1])]
        encoder = Encoder.of([table(x, names), table(tx[side == 0], names)])
        x, tx = encoder.transform(table(x, names)), encoder.transform(table(tx, names))
    rows = drawn(len(y), most, seed)
    learn, test = np.flatnonzero(side == 0), np.flatnonzero(side == 1)
    learn = learn[drawn(len(learn), most, seed)]
    return x[rows], y[rows], g[rows], tx, ty, learn, test


def one(held: Any, family: str, source: str, target: str, seed: int, most: int) -> dict[str, Any]:
    """One pair with one seed."""
    begun = time.perf_counter()
    x, y, g, tx, ty, learn, test = loaded(held, family, source, target, seed, most)
    classes = int(max(y.max(), ty.max())) + 1
    ready = candidates.prepare(x, y, tx[learn], classes, linked=g, seed=seed)
    domains = ready.domains
    auroc, _, weights = candidates.apart(ready)
    found = candidates.fit_all(ready, candidates.names("array"))
    score = partial(
        seen_by, reference=ready.reference, domains=domains, held=ready.held,
        held_labels=ready.held_labels, ratios=weights, skip=SLOW,
    )  # fmt: skip
    out: dict[str, Any] = {
        "family": family, "source": source, "target": target, "seed": seed,
        "rows": [len(x), len(learn), len(test)], "classes": classes,
        "facts": facts_of(domains, ready.reference, ready.accuracy, auroc, is_table(family)),
        "candidates": {candidates.SOURCE_ONLY: {"seen": score(ready.reference, again=lambda d: d.source_only)}},
        "failed": {c.name: c.failed for c in found if c.head is None},
    }  # fmt: skip
    heads = {candidates.SOURCE_ONLY: ready.reference}
    for candidate in found:
        if candidate.head is None:
            continue
        heads[candidate.name] = candidate.head
        began = time.perf_counter()
        again = partial(candidates.fitted, candidate.name)
        out["candidates"][candidate.name] = {
            "seen": score(candidate.head, again=again), "seconds": round(candidate.seconds, 3),
            "judged": round(time.perf_counter() - began, 3),
        }  # fmt: skip
    placed = {name: ready.place(head) for name, head in heads.items()}
    truth(out, placed, tx, ty, learn, test, seed)
    out["seconds"] = round(time.perf_counter() - begun, 1)
    return out


def truth(
    out: dict[str, Any], heads: Any, tx: Any, ty: Any, learn: Any, test: Any, seed: int
) -> None:
    """Read the target's labels, after everything else."""
    for name, head in heads.items():
        out["candidates"][name]["truth"] = float((head.predict(tx[test]) == ty[test]).mean())
    order = {label: n for n, label in enumerate(sorted(set(ty[learn].tolist())))}
    own = np.array([order[label] for label in ty[learn].tolist()])
    masks = folds(own, np.arange(len(own)), seed)
    probe = Probe().solve(tx[learn].astype(float), own, masks, np.ones(len(own), bool))
    said = (tx[test] @ probe.weight.T + probe.bias).argmax(axis=1)
    back = np.array(sorted(order))
    out["supervised"] = float((back[said] == ty[test]).mean())


def main() -> None:
    """Every pair that isn't there yet."""
    parser = argparse.ArgumentParser()
    parser.add_argument("features", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", action="append")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--most", type=int, default=MOST)
    parser.add_argument("--part", default="0/1", help="K/N: every Nth task from the Kth")
    given = parser.parse_args()
    warnings.filterwarnings("ignore")
    there = set()
    if given.out.exists():
        rows = [json.loads(line) for line in given.out.read_text().splitlines()]
        there = {(r["family"], r["source"], r["target"], r["seed"]) for r in rows}
    todo = []
    for seed in range(given.seeds):
        for path in sorted(given.features.glob("*.npz")):
            if given.only and path.stem not in given.only:
                continue
            domains = sorted(key[2:] for key in np.load(path).files if key[0] == "X")
            todo += [(path, s, t, seed) for s in domains for t in domains if s != t]
    part, parts = map(int, given.part.split("/"))
    for path, source, target, seed in todo[part::parts]:
        if (path.stem, source, target, seed) in there:
            continue
        line = one(dict(np.load(path)), path.stem, source, target, seed, given.most)
        with given.out.open("a") as file:
            file.write(json.dumps(line) + "\n")
        best = max(line["candidates"].items(), key=lambda item: item[1]["truth"])
        base = line["candidates"]["source_only"]["truth"]
        print(
            path.stem, source, target, seed, f"{line['seconds']} s", f"source-only {base:.3f}",
            f"supervised {line['supervised']:.3f}", f"best {best[0]} {best[1]['truth']:.3f}", flush=True,
        )  # fmt: skip


if __name__ == "__main__":
    main()
