"""Whether the ranking's choice of a source model is right, and what it costs.

    python benchmarks/ranking.py SETS [--only hymenoptera] [--learn 400] [--tests 800]

SETS is a folder with hymenoptera, imagenette_subset, cifar10_subset and pacs_subset, unpacked; the
solar cells come with ``pip install 'headstart[samples]'``. The sources are those fetched before.

For each set a few hundred learn rows and separate test rows are drawn. The ranking sees the learn rows
alone, with an empty feature cache. The truth is what each candidate's transfer has right of the test
rows, and follows ``fit``: the cross-validated linear probe on all learn rows; where fit's own gate says
that a gain could show, partial fine-tuning too, which is kept if it surely beats the probe. Cheaper than
in ``fit``, it is trained once, on four fifths of the learn rows and with fewer views and epochs, and
validated on the last fifth; candidates of more than two billion multiply-adds (ResNet-50, Inception, VGG)
have the probe alone. Every result is written as soon as it is known, and a second call goes on
from there.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from harness import RESULTS, fresh, machine
from headstart import registry
from headstart.data.dataset import Columns, Dataset, Row, read
from headstart.data.split import assign
from headstart.features.cache import Cache
from headstart.files import atomic
from headstart.methods.base import configure
from headstart.progress import Silent
from headstart.selection.worth import prospect
from headstart.sources.base import available, find_image
from headstart.workflow.bench import JUDGED_ROWS, Bench
from headstart.workflow.forecast import forecast
from headstart.workflow.pictures import prepare
from headstart.workflow.plan import Plan, Run
from headstart.workflow.rank import _Contest, rank_prepared
from headstart.workflow.search import Clock, Search

FOLDER = RESULTS / "ranking"
DEAREST = 2e9
"""Multiply-adds of a picture above which a candidate is transferred by the probe alone: its partial
fine-tuning takes minutes for each set."""
PROBE = ("linear_probe",)
PACS = ("sketch", "art_painting", "cartoon", "photo")
VIEWS, EPOCHS = "2", "8"
"""Of partial fine-tuning: fewer than ``fit`` takes, so that seventy transfers can be afforded."""


def sets(root: Path) -> dict[str, tuple[Any, str | None]]:
    """Name → what to read, and the part that is the test."""
    found: dict[str, tuple[Any, str | None]] = {"hymenoptera": (root / "hymenoptera", "val")}
    found["solar"] = ("sample:solar", None)
    found["cifar10"] = (root / "cifar10_subset", "test")
    found |= {f"pacs-{name}": (root / "pacs_subset" / name, None) for name in PACS}
    found["imagenette"] = (root / "imagenette_subset", "val")
    return found


def drawn(given: Any, part: str | None, learn: int, tests: int, seed: int = 0) -> list[Row]:
    """Learn rows (part ``train``) and test rows (part ``test``), stratified."""
    if isinstance(given, str):
        dataset: Dataset = registry.load("data.samples", given.removeprefix("sample:")).load()
    else:
        dataset = read(given, Columns())
    rows = list(dataset.rows)
    random = np.random.default_rng((seed, 7))
    if part is None:
        targets = np.array([dataset.classes.index(str(row.label)) for row in rows])
        linked = np.arange(len(rows))
        side = assign(targets, linked, [0.5, 0.5], seed)
        parts = ["test" if one else "train" for one in side]
    else:
        parts = ["test" if row.part == part else "train" for row in rows]
    out: list[Row] = []
    for name, most in (("train", learn), ("test", tests)):
        pool = [
            replace(row, part=name) for row, own in zip(rows, parts, strict=True) if own == name
        ]
        out += few(pool, most, random)
    return out


def few(rows: list[Row], most: int, random: np.random.Generator) -> list[Row]:
    """At most so many rows, in equal shares of the classes as far as they reach."""
    if len(rows) <= most:
        return rows
    place = {}
    for label in sorted({str(row.label) for row in rows}):
        own = [i for i, row in enumerate(rows) if str(row.label) == label]
        for rank, index in enumerate(random.permutation(own)):
            place[int(index)] = (rank + random.random()) / len(own)
    kept = sorted(place, key=lambda index: place[index])[:most]
    return [rows[index] for index in sorted(kept)]


def keep(name: str, values: dict[str, Any]) -> None:
    """Write what is known of one set."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with atomic(FOLDER / f"{name}.json") as temporary:
        temporary.write_text(json.dumps(values, indent=1) + "\n")


def ranked(name: str, rows: list[Row], cache: Cache) -> dict[str, Any]:
    """The ranking, and what every candidate's probe has right on all learn rows."""
    dataset = Dataset(tuple(rows), name, "benchmark")
    sources = [find_image(one) for one in available()]
    run = Run.create(Plan(data=name, source="auto", name=name), tempfile.mkdtemp() + "/run")
    begun = time.perf_counter()
    data = prepare(run, dataset, sources[0], cache, Silent())
    ranking = rank_prepared(run, data, sources, cache, Silent()).as_dict()
    seconds = time.perf_counter() - begun
    for bulky in ("projection", "projected"):
        ranking.pop(bulky)
    contest = _Contest(run, data, cache, Silent())
    size = len(contest.order)
    hits, losses, scores = {}, {}, {}
    for source in sources:
        shares, targets = contest.held_out(source, size)
        hits[source.name] = "".join("01"[int(one)] for one in shares.argmax(axis=1) == targets)
        chance = shares[np.arange(len(targets)), targets]
        losses[source.name] = [round(float(one), 3) for one in -np.log(np.maximum(chance, 1e-7))]
        scores[source.name] = contest.scores(source, size)
    return {
        "learn": len(data.split.learn),
        "test": len(data.split.test),
        "classes": len(data.classes),
        "ranking": ranking,
        "ranking_seconds": seconds,
        "hits": hits,
        "losses": losses,
        "scores": scores,
        "macs": {source.name: source.macs for source in sources},
    }


class Brief(Bench):
    """A bench that trains a method once, and validates it on the first fold alone."""

    def folds_for(self, method: str) -> list[int]:
        return [0]

    def keeps_fold(self, method: str) -> bool:
        return True


def searched(run: Run, data: Any, model: Any, cache: Cache) -> tuple[Search, Bench]:
    """A search over the plan's methods, not begun."""
    bench = Brief(run, data, model, cache, Silent())
    return Search(run, bench, Clock(run), Silent()), bench


def truth(name: str, rows: list[Row], source: str, cache: Cache) -> dict[str, Any]:
    """One candidate transferred, and its share right of the test rows; no ranking reads this."""
    settings = {"partial": {"views": VIEWS, "epochs": EPOCHS}}
    plan = Plan(data=name, source=source, methods=PROBE, settings=settings, budget=7200, name=name)
    run = Run.create(plan, tempfile.mkdtemp() + "/run")
    begun = time.perf_counter()
    model = find_image(source)
    data = prepare(run, Dataset(tuple(rows), name, "benchmark"), model, cache, Silent())
    search, bench = searched(run, data, model, cache)
    probe = search.best()
    judged = min(probe.judged, JUDGED_ROWS["partial"])
    gain = configure("finetune", "partial", None).relative_gain
    gate = prospect("partial", probe.score, judged, gain, eager=False)
    go = gate.go and model.macs <= DEAREST
    if go:
        run.plan = replace(plan, methods=(*PROBE, "partial"))
        search, bench = searched(run, data, model, cache)
    chosen = search.best().method if go else probe.method
    seconds = time.perf_counter() - begun
    tests = list(data.split.test)
    targets = data.labels.unseal("verdict", "the truth that a ranking is judged by")
    full = {}
    if name == "hymenoptera":  # the seconds of one row are the same for every set
        recipe = configure("finetune", "full", None).recipe(bench.situation())
        _, each = forecast(bench, "full", recipe)
        full = {"epochs": recipe.epochs, "rows": len(bench.learn), "epoch_seconds": each}
    tried = {}
    for trial in search.tried:
        tried[trial.method] = {
            "validation": trial.score,
            "judged": trial.judged,
            **(right(bench, trial, tests, targets) if trial.method in (*PROBE, chosen) else {}),
            "seconds": trial.seconds,
            "epochs": trial.recipe.epochs if trial.recipe else 0,
            "note": trial.note,
        }
    return {
        "score": tried[chosen]["test"],
        "chosen": chosen,
        "gate": gate.why if go == gate.go else "too dear for this benchmark",
        "tried": tried,
        "seconds": seconds,
        "full": full,
    }


def right(bench: Bench, trial: Any, tests: list[int], targets: Any) -> dict[str, Any]:
    """A trial's share right of the test rows, and which they are."""
    hits = probabilities(bench, trial, tests).argmax(axis=1) == targets
    return {"test": float(hits.mean()), "right": "".join("01"[int(one)] for one in hits)}


def probabilities(bench: Bench, trial: Any, tests: list[int]) -> Any:
    """A trial's class shares of the test rows."""
    from safetensors.torch import load_file

    from headstart.methods.finetune.linear_probe import softmax
    from headstart.train.loop import logits

    if trial.head is not None:
        weight, bias = trial.head
        return softmax(bench.data.features(tests) @ weight.T + bias)
    recipe = replace(trial.recipe, point="input")
    network = bench.source.build(classes=bench.classes)
    network.model.load_state_dict(load_file(trial.state))
    pixel = bench.pixels(recipe)
    try:
        tail = bench.tail(network, recipe, pixel)
        return softmax(logits(tail, pixel, tests, averaged=trial.recipe.averaged))
    finally:
        pixel.close()


def measure(arguments: argparse.Namespace) -> None:
    root = Path(arguments.sets)
    for name, (given, part) in sets(root).items():
        if arguments.only and name not in arguments.only:
            continue
        path = FOLDER / f"{name}.json"
        known = json.loads(path.read_text()) if path.exists() else {}
        rows = drawn(given, part, arguments.learn, arguments.tests)
        cache = Cache(fresh())
        if "ranking" not in known or arguments.again:
            before = known.get("truth", {})
            known = {"machine": machine(), **ranked(name, rows, cache), "truth": before}
            keep(name, known)
        for source in known["hits"]:
            if source in known["truth"]:
                continue
            known["truth"][source] = truth(name, rows, source, cache)
            keep(name, known)
            print(name, source, json.dumps(known["truth"][source]), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="?")
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--learn", type=int, default=400)
    parser.add_argument("--tests", type=int, default=800)
    parser.add_argument("--again", action="store_true", help="rank again, keep the truth")
    arguments = parser.parse_args()
    measure(arguments)


if __name__ == "__main__":
    main()
