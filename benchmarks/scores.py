"""Each transferability score against the loops that reference implementations run, in one process.

    python benchmarks/scores.py [NAME ...] [--rows 10000] [--width 2048] [--classes 100]

The loops are in ``score_loops.py``. Where one would take hours, a part of it is timed and multiplied:
``measured_share`` says how much. Named scores are measured anew and the others in the result file
are kept, so each entry holds its own command, its time and the machine's load before it.

What bounds the ratios that stay below 10 (figures in the result file):

* LEEP: 40 MB of probabilities are read from memory twice on either side; the loop's extra work is a
  copy in float64 and a product for all classes where each row needs its own.
* SFDA: two products of d x n x d and two Cholesky factors are left of two eigenproblems and 200 covariances.
* NLEEP with a diagonal covariance: two float64 products of n x 2p x 5c a step on either side. Against the
  full covariance that public code takes it is far faster.
* probe: two products of n x d x c for each gradient on either side, in float32 here, and scikit-learn stops
  at a looser point (its score is 0.024 below ours); what is left is the number of gradients.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "2"
os.environ["OMP_NUM_THREADS"] = "2"

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from harness import RESULTS, save
from headstart import registry
from headstart.selection.transferability import nce
from score_loops import (
    PARTS,
    ROWS_TIMED,
    SOURCE,
    components_of,
    gbc,
    gbc_randomised,
    h_score,
    leep,
    logistic,
    logme_fixed_point,
    logme_icml,
    nce_loop,
    neighbours,
    neighbours_sklearn,
    nleep_diagonal,
    nleep_full,
    sfda,
    transrate,
)


def problem(rows: int, width: int, classes: int) -> tuple[Any, Any, Any]:
    """Features like a network's (rectified, a decaying spectrum), labels, a source head's output."""
    random = np.random.default_rng(0)
    rank = width // 4
    labels = np.arange(rows) % classes
    centres = 0.25 * random.standard_normal((classes, rank))  # so that classes overlap
    hidden = random.standard_normal((rows, rank)) + centres[labels]
    hidden *= np.geomspace(1.0, 0.05, rank)
    features = hidden @ random.standard_normal((rank, width)) / np.sqrt(rank)
    features = np.maximum(features + 0.1 * random.standard_normal((rows, width)), 0)
    logits = features @ random.standard_normal((width, SOURCE)) * (8 / np.sqrt(width))
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances = raised / raised.sum(axis=1, keepdims=True)
    return features.astype(np.float32), labels, chances.astype(np.float32)


@dataclass(frozen=True)
class Reference:
    """A loop, how much of the whole work it does, and what it is given."""

    loop: Callable[..., float]
    share: float | None = 1.0  # None: of the rows
    prepare: Callable[..., Any] | None = None  # not timed
    comparable: bool = True  # computes what ours computes


REFERENCES: dict[str, list[Reference]] = {
    "logme": [Reference(logme_icml), Reference(logme_fixed_point)],
    "h_score": [Reference(h_score)],
    "leep": [Reference(leep)],
    "nce": [],
    "transrate": [Reference(transrate)],
    "gbc": [Reference(gbc), Reference(gbc_randomised, comparable=False)],
    "sfda": [Reference(sfda)],
    "nearest_neighbour": [
        Reference(neighbours, None, comparable=False),
        Reference(neighbours_sklearn),
    ],
    "nleep": [
        Reference(nleep_full, 1 / PARTS, components_of, comparable=False),
        Reference(nleep_diagonal, comparable=False),
    ],
    "probe": [Reference(logistic)],
}


def clock(work: Callable[[], float]) -> tuple[float, float]:
    """The value, and the median seconds of three to five runs (of one where that takes over 15 s)."""
    seconds: list[float] = []
    value = 0.0
    while len(seconds) < 5 and sum(seconds) < (15 if len(seconds) < 3 else 5):
        begun = time.perf_counter()
        value = work()
        seconds.append(time.perf_counter() - begun)
    return value, float(np.median(seconds))


def measure(name: str, given: tuple[Any, Any, Any]) -> dict[str, Any]:
    """Our seconds and value, and each reference's."""
    load = round(os.getloadavg()[0], 1)
    if name == "nce":  # both from hard predictions: the argmax is the same work
        source, labels = given[2].argmax(axis=1), given[1]
        ours = clock(lambda: -nce.conditional_entropy(source, labels))
        theirs = [(Reference(nce_loop), 1.0, clock(lambda: nce_loop(source, labels)))]
    else:
        module = registry.load("selection.transferability", name)
        module.score(*(array[:500] for array in given))  # libraries are imported, buffers warm
        ours = clock(lambda: module.score(*given))
        theirs = []
        for reference in REFERENCES[name]:
            share = reference.share or min(ROWS_TIMED / len(given[0]), 1.0)
            inputs = reference.prepare(*given) if reference.prepare else given
            run = reference.loop
            theirs.append((reference, share, clock(lambda run=run, inputs=inputs: run(*inputs))))
    found: dict[str, Any] = {
        "command": " ".join(["python", "benchmarks/scores.py", *sys.argv[1:]]),
        "when": datetime.now(UTC).isoformat(timespec="minutes"),
        "load_before": load,
        "seconds": round(ours[1], 5),
        "value": ours[0],
        "references": {},
    }
    for reference, share, (value, seconds) in theirs:
        found["references"][reference.loop.__name__] = {
            "seconds": round(seconds / share, 5),
            "value": value if share == 1 else None,
            "difference": abs(value - ours[0]) if reference.comparable else None,
            "measured_share": round(share, 4),
            "times_faster": round(seconds / share / ours[1], 2),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--classes", type=int, default=100)
    arguments = parser.parse_args()
    shape = {key: getattr(arguments, key) for key in ("rows", "width", "classes")}
    before, path = {}, RESULTS / "scores.json"
    if path.exists():
        old = json.loads(path.read_text())
        before = old["scores"] if old["shape"] == shape else {}
    given = problem(**shape)
    command = "python benchmarks/scores.py [NAME ...]; each score names the run that measured it"
    for name in arguments.names or REFERENCES:
        before[name] = measure(name, given)  # saved one by one: a run may be ended at any time
        scores = {key: before[key] for key in REFERENCES if key in before}
        save("scores", {"command": command, "shape": shape, "threads": 2, "scores": scores})


if __name__ == "__main__":
    main()
