"""Features of 10,000 sentences from a CSV, against sentence-transformers' ``encode``.

    python benchmarks/embeddings.py TEXTS --rivals PYTHON --model FOLDER [--rounds 3]

TEXTS holds JSON lines {text, label}: ``sst2_train``, ``trec_train`` and ``mr_all`` (``.jsonl.gz``).
10,000 distinct sentences of them are drawn and written as a CSV, which headstart (``minilm_l6``, an
empty cache but for the source's weights) and sentence-transformers (the same weights in FOLDER, see
``rivals/README.md``) read, each in processes of its own, in turns. ``seconds_from_csv`` is from
the CSV to the matrix, the loading of the model included; ``seconds_total`` is the whole process.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from harness import fresh, rival, save

BEGUN = time.perf_counter()
FILES = ("sst2_train", "trec_train", "mr_all")
COUNT = 10_000
SOURCE = "minilm_l6"


def sentences(folder: Path, seed: int) -> list[str]:
    """Distinct sentences, in random order."""
    import numpy as np

    from headstart.data.texts import normalised

    found: dict[str, str] = {}
    for name in FILES:
        with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            for line in lines:
                text = json.loads(line)["text"]
                found.setdefault(normalised(text), text)
    texts = list(found.values())
    return [texts[i] for i in np.random.default_rng((seed, 79)).permutation(len(texts))[:COUNT]]


def one(table: Path, out: Path) -> None:
    """headstart's features of a CSV, in this process."""
    import numpy as np

    from headstart.data.dataset import Columns
    from headstart.data.readers import manifest
    from headstart.features.cache import Cache
    from headstart.features.texts import sweep_texts
    from headstart.progress import Silent
    from headstart.workflow.texts import find

    begun = time.perf_counter()
    rows = manifest.read(table, Columns(label="label", text="text")).rows
    read = time.perf_counter()
    swept = sweep_texts(rows, find(SOURCE), None, Cache(), Silent())
    features = swept.matrix(range(len(rows)))
    done = time.perf_counter()
    np.save(out, features)
    found = {
        "texts": len(features),
        "seconds_read": round(read - begun, 2),
        "seconds_from_csv": round(done - begun, 2),
        "seconds_total": round(done - BEGUN, 2),
        "engine": swept.check.as_dict(),
    }
    print(json.dumps(found))


def ours(table: Path, out: Path) -> dict[str, Any]:
    """The same in a process of its own, with an empty cache."""
    environment = {**os.environ, "HEADSTART_CACHE": str(fresh())}
    command = [sys.executable, __file__, str(table), "--one", str(out)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--rivals", help="the Python of the rivals' environment")
    parser.add_argument("--model", help="the folder of the published model")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--name", default="embeddings")
    args = parser.parse_args()
    if args.one:
        one(args.folder, args.one)
        return
    import numpy as np

    from headstart.features.engine import cosine

    work = Path(tempfile.mkdtemp(prefix="headstart-bench-"))
    table = work / "texts.csv"
    with table.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["text", "label"])
        writer.writerows(
            [text, number % 2] for number, text in enumerate(sentences(args.folder, args.seed))
        )
    runs: dict[str, list[dict[str, Any]]] = {"headstart": [], "sentence-transformers": []}
    for _ in range(args.rounds):
        runs["headstart"].append(ours(table, work / "ours.npy"))
        theirs = [str(table), "--model", args.model, "--out", str(work / "theirs.npy")]
        runs["sentence-transformers"].append(rival(args.rivals, "st_encode.py", *theirs))
    mine, other = (np.load(work / name) for name in ("ours.npy", "theirs.npy"))
    agreement = cosine(other, mine)
    medians = {
        name: {
            key: statistics.median(run[key] for run in found)
            for key in ("seconds_from_csv", "seconds_total")
        }
        for name, found in runs.items()
    }
    a, b = medians["headstart"], medians["sentence-transformers"]
    encode = statistics.median(run["seconds_encode"] for run in runs["sentence-transformers"])
    save(
        args.name,
        {
            "texts": len(mine),
            "texts_per_second": {
                "headstart, from the CSV": round(len(mine) / a["seconds_from_csv"], 1),
                "sentence-transformers, from the CSV": round(len(mine) / b["seconds_from_csv"], 1),
                "sentence-transformers, encode alone": round(len(mine) / encode, 1),
            },
            "ratio": {
                "from the CSV": round(b["seconds_from_csv"] / a["seconds_from_csv"], 2),
                "whole process": round(b["seconds_total"] / a["seconds_total"], 2),
                "ours from the CSV against encode alone": round(encode / a["seconds_from_csv"], 2),
            },
            "cosine": {"least": float(agreement.min()), "mean": float(agreement.mean())},
            "runs": runs,
        },
    )


if __name__ == "__main__":
    main()
