"""Whether the ranking of text source models is right, and what it costs.

    python benchmarks/text_ranking.py FOLDER [--only trec] [--sources NAME,NAME] [--epochs 4]

FOLDER holds JSON lines {text, label}: ``trec_train.jsonl.gz`` and ``trec_test.jsonl.gz``, likewise
``sst2`` and ``banking77``, and ``subj_all.jsonl.gz``. Of each set a few hundred learn rows and at least
500 test rows are drawn, classes in their shares; the ranking (features cached for none) reads no test
label. Then every candidate is transferred as ``fit`` would: a cross-validated probe on frozen features,
or fine-tuning of the whole network with a fresh head, trained once on four fifths of the learn rows at
the usual learning rate, where it surely beats the probe on the last fifth; and judged on the test rows.
Candidates of more than --dearest multiply-adds for a token have the probe alone.
That gives the regret of the choice, the weighted Kendall τ
(Vigna 2015), the ranking's cost as a share of the transfers', and how often a candidate with a given
probability of being best was the best. Each result is saved at once, and a second call goes on.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from harness import RESULTS, fresh, headstart, save

SETS = {
    "trec": ("trec_train", "trec_test"),
    "sst2": ("sst2_train", "sst2_test"),
    "subj": ("subj_all", "subj_all"),
    "banking77": ("banking77_train", "banking77_test"),
}
RATES = {"network": (5e-5,), "vectors": (3e-3,)}
HEAD = 10.0
"""The fresh head learns so many times as fast as the rest."""
BATCH, WARM, DECAY, DROPOUT = 16, 0.1, 0.01, 0.1
EACH = 8
"""Fewest learn rows of a class, on average."""


def rows_of(path: Path) -> list[dict[str, str]]:
    """The rows of a file of JSON lines."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def stratified(labels: list[str], count: int, seed: int) -> list[int]:
    """Indices of ``count`` rows in which each class has about its share, and at least one row."""
    random = np.random.default_rng((seed, 71))
    shuffled = random.permutation(len(labels))
    place = np.empty(len(labels))
    for label in sorted(set(labels)):
        own = [i for i in shuffled if labels[i] == label]
        place[own] = (np.arange(len(own)) + random.random()) / len(own)
        place[own[0]] = -1
    return np.argsort(place, kind="stable")[:count].tolist()


def draw(folder: Path, name: str, learn: int, test: int, seed: int) -> list[dict[str, str]]:
    """Learn and test rows with their part in ``split``; no test text is a copy of a learn text."""
    from headstart.data.texts import normalised

    first, second = (rows_of(folder / f"{file}.jsonl.gz") for file in SETS[name])
    classes = len({str(row["label"]) for row in first})
    chosen = stratified([str(r["label"]) for r in first], max(learn, EACH * classes), seed)
    seen = {normalised(first[i]["text"]) for i in chosen}
    pool = [row for row in second if normalised(row["text"]) not in seen]
    held = stratified([str(r["label"]) for r in pool], test, seed + 1)
    return [
        {"text": row["text"], "label": str(row["label"]), "split": part}
        for part, rows in (("train", [first[i] for i in chosen]), ("test", [pool[i] for i in held]))
        for row in rows
    ]


def ranking(rows: list[dict[str, str]], sources: str, cache: Path) -> dict[str, Any]:
    """``headstart rank`` in a process of its own, with an empty cache but for the sources."""
    work = Path(tempfile.mkdtemp(prefix="headstart-bench-"))
    (work / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    words = ["rank", str(work / "rows.jsonl"), "--text", "text", "--label", "label"]
    words += ["--split", "split", "--sources", sources, "--json", "--out", str(work / "run")]
    environment = {**os.environ, "HEADSTART_CACHE": str(cache)}
    begun = time.perf_counter()
    done = subprocess.run(
        [headstart(), *words], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    for bulky in ("projection", "projected"):
        found.pop(bulky)
    return {**found, "wall_seconds": round(time.perf_counter() - begun, 2)}


class Task:
    """One set's rows as one source model sees them: texts, targets and the three parts."""

    def __init__(self, rows: list[dict[str, str]], seed: int) -> None:
        self.texts = [row["text"] for row in rows]
        classes = sorted({row["label"] for row in rows})
        self.targets = np.array([classes.index(row["label"]) for row in rows])
        learn = np.flatnonzero([row["split"] == "train" for row in rows])
        labels = [rows[i]["label"] for i in learn]
        fit = learn[stratified(labels, round(0.8 * len(learn)), seed)]
        self.classes, self.seed = len(classes), seed
        self.fit = np.isin(np.arange(len(rows)), fit)
        self.test = ~np.isin(np.arange(len(rows)), learn)
        self.val = ~self.fit & ~self.test

    def folds(self) -> Any:
        """Five masks of training rows; the first leaves the validation rows out."""
        rows = np.flatnonzero(self.fit)
        order = stratified([str(self.targets[i]) for i in rows], len(rows), self.seed)
        out = np.tile(~self.test, (5, 1))
        out[0, self.val] = False
        for place, index in enumerate(order):
            out[1 + place % 4, rows[index]] = False
        return out

    def judged(self, predicted: Any) -> dict[str, Any]:
        """Accuracy on the validation and the test rows, and the validation rows one by one."""
        right = predicted == self.targets
        return {
            "val": float(right[self.val].mean()),
            "test": float(right[self.test].mean()),
            "val_right": "".join("01"[int(one)] for one in right[self.val]),
        }


def probe(task: Task, source: Any, cache: Path) -> dict[str, Any]:
    """Frozen features and a probe whose penalty is chosen on the validation rows."""
    from headstart.data.dataset import Row, Text
    from headstart.features.cache import Cache
    from headstart.features.texts import sweep_texts
    from headstart.methods.finetune.linear_probe import Method
    from headstart.progress import Silent

    begun = time.perf_counter()
    rows = [Row(f"row {i}", Text.of(text)) for i, text in enumerate(task.texts)]
    swept = sweep_texts(rows, source, None, Cache(cache), Silent())
    features = swept.matrix(range(len(rows)))
    learn = ~task.test
    solved = Method().solve(
        features[learn], task.targets[learn], task.folds()[:, learn], np.ones(learn.sum(), bool)
    )
    predicted = (features @ solved.weight.T + solved.bias).argmax(axis=1)
    predicted[learn] = solved.held_out.argmax(axis=1)
    seconds = round(time.perf_counter() - begun, 2)
    return {**task.judged(predicted), "seconds": seconds, "engine": swept.check.as_dict()}


def tuned(task: Task, source: Any, rate: float, epochs: int) -> dict[str, Any]:
    """Fine-tune the whole network with a fresh head on the pooled features: AdamW, warm-up, decay."""
    import torch
    from torch import nn

    from headstart.features.texts import batches, pad

    begun = time.perf_counter()
    torch.manual_seed(task.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network, tokens = source.build(), source.tokenizer()(task.texts)
    if isinstance(network.model, nn.Embedding):
        tokens = _compacted(network, tokens)
    head = nn.Linear(source.width, task.classes)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    drop = nn.Dropout(DROPOUT)
    network.to(device)
    head.to(device)
    groups = [
        {"params": network.parameters(), "lr": rate},
        {"params": head.parameters(), "lr": rate * HEAD},
    ]
    optimiser = torch.optim.AdamW(groups, weight_decay=DECAY)
    rows, random = np.flatnonzero(task.fit), np.random.default_rng((task.seed, 73))
    steps = epochs * -(-len(rows) // BATCH)
    warm = max(1, round(WARM * steps))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / warm, (steps - step) / max(steps - warm, 1))
    )
    targets = torch.from_numpy(task.targets).to(device)

    def logits(chosen: Any, dropping: bool) -> Any:
        ids, mask = (torch.from_numpy(a).to(device) for a in pad([tokens[i] for i in chosen]))
        pooled = network(ids, mask)
        return head(drop(pooled) if dropping else pooled)

    network.train()
    for _ in range(epochs):
        order = random.permutation(rows)
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            loss = nn.functional.cross_entropy(logits(chosen, True), targets[chosen])
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_([*network.parameters(), *head.parameters()], 1.0)
            optimiser.step()
            schedule.step()
    spent = time.perf_counter() - begun
    network.eval()
    predicted = np.empty(len(tokens), np.int64)
    with torch.inference_mode():
        for batch in batches([len(row) for row in tokens]):
            predicted[batch] = logits(batch, False).argmax(1).cpu().numpy()
    return {**task.judged(predicted), "rate": rate, "seconds": round(spent, 2)}


def _compacted(network: Any, tokens: list[list[int]]) -> list[list[int]]:
    """Keep the vectors of tokens that occur, which alone can change; renumber the tokens."""
    from torch import nn

    used = sorted({token for row in tokens for token in row})
    number = {token: place for place, token in enumerate(used)}
    network.model = nn.Embedding.from_pretrained(network.model.weight[used].detach(), freeze=False)
    return [[number[token] for token in row] for row in tokens]


def transfer(task: Task, source: Any, epochs: int, dearest: float) -> dict[str, Any]:
    """How one source model is transferred, and all ways tried."""
    from headstart.selection.worth import SURE, better

    tried = {"probe": probe(task, source, fresh())}
    rates = RATES["network" if source.macs > source.width else "vectors"]
    for rate in rates if source.macs <= dearest else ():
        tried[f"tuned at {rate:g}"] = tuned(task, source, rate, epochs)
    best = "probe"
    for way in tried:
        ours, theirs = (np.array([int(one) for one in tried[w]["val_right"]]) for w in (way, best))
        if way != best and better(ours, theirs, task.seed) >= SURE:
            best = way
    seconds = round(sum(one["seconds"] for one in tried.values()), 2)
    return {"way": best, "test": tried[best]["test"], "seconds": seconds, "tried": tried}


def concluded(found: dict[str, Any], truth: dict[str, Any]) -> dict[str, Any]:
    """How right the ranking was; nothing while a candidate's transfer is missing."""
    from scipy.stats import weightedtau

    places = found["places"]
    if any(place["name"] not in truth for place in places):
        return {}
    scores = {place["name"]: truth[place["name"]]["test"] for place in places}
    best = max(scores.values())
    order = [-number for number in range(len(places))]
    tau = weightedtau(order, list(scores.values())).statistic if len(places) > 1 else 1.0
    return {
        "regret": best - scores[found["chosen"]],
        "weighted_tau": float(tau),
        "cost_share": found["wall_seconds"] / sum(one["seconds"] for one in truth.values()),
        "calibration": [[place["best"], float(scores[place["name"]] == best)] for place in places],
    }


def main() -> None:
    from headstart.sources.base import available
    from headstart.workflow.texts import find

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", action="append", choices=sorted(SETS))
    parser.add_argument("--sources", default="")
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--test-rows", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--dearest", type=float, default=float("inf"), help="multiply-adds of a token, for tuning"
    )
    parser.add_argument("--name", default="text-ranking")
    given = parser.parse_args()
    names = [name for name in given.sources.split(",") if name] or available("text")
    settings = {
        key: value
        for key, value in vars(given).items()
        if key not in ("folder", "only", "name", "dearest")
    }
    settings["sources"] = [find(name).title for name in names]
    path = RESULTS / f"{given.name}.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    values = {"settings": settings, "sets": {}}
    if known.get("settings") == settings:
        values["sets"] = known["sets"]
    for name in given.only or SETS:
        rows = draw(given.folder, name, given.rows, given.test_rows, given.seed)
        own = values["sets"].setdefault(name, {"truth": {}})
        if "ranking" not in own:
            print(f"{name}: ranking", file=sys.stderr, flush=True)
            own["ranking"] = ranking(rows, ",".join(names), fresh())
            save(given.name, values)
        task = Task(rows, given.seed)
        for source in map(find, names):
            if source.name not in own["truth"]:
                print(f"{name}: {source.title}", file=sys.stderr, flush=True)
                own["truth"][source.name] = transfer(task, source, given.epochs, given.dearest)
                own["verdict"] = concluded(own["ranking"], own["truth"])
                save(given.name, values)


if __name__ == "__main__":
    main()
