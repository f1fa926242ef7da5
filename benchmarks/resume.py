"""``kill -9`` at random moments and ``--resume``: is the model that of the undisturbed run?

    python benchmarks/resume.py SETS [--kills 20] [--each 4] [--most 2] [--seed 0]

SETS is a folder with hymenoptera, unpacked. Two recipes take turns on 10 pictures of each class, their
epochs fixed and without a budget, so that the work is the same each time: ``staged`` (the probe,
``partial`` and ``full``) and ``averaged`` (``lora`` and ``gradual``, with a moving average of the
weights; without the probe, so that a trained network is what is saved). Each run has an empty cache,
and writes a checkpoint after every epoch (not every ten seconds), so that trainings of a few seconds
are cut inside and continued, too.

First both recipes run twice, undisturbed: the same seed must give the same bytes. The moments of the
kills are drawn, one from each equal part of the undisturbed run's time, and shared out: each run gets
four of them (``--each``), one after another. At each the whole process group gets SIGKILL; after each
the run is resumed, and at last left alone to its end, and compared with the first undisturbed run: the
bundle's weights and every trial's weights byte for byte, the probabilities of the test pictures, the
chosen method, and the result's figures. A run that was killed before it had written its plan is begun
again. Every result is written as soon as it is known, and a second call goes on from there; ``--most``
limits the runs of one call.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from finetune_grid import folder as cell
from harness import RESULTS, fresh, machine
from headstart.export.bundle import Model
from headstart.files import atomic
from ranking import sets

FILE = RESULTS / "resume.json"
CONTROL = ("from_scratch.pictures=64", "from_scratch.largest=64")
RECIPES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "staged": (
        ("linear_probe", "partial", "full"),
        ("partial.epochs=3", "partial.views=1", "full.epochs=3", "full.size=96"),
    ),
    "averaged": (
        ("lora", "gradual"),
        (
            "lora.epochs=2",
            "lora.size=96",
            "lora.ema=0.9",
            "gradual.epochs=3",
            "gradual.size=96",
            "gradual.ema=0.9",
            "gradual.dropout=0.2",
        ),
    ),
}
EACH_EPOCH = """
from headstart.train import loop
loop.CHECKPOINT_SECONDS = 0.0
from headstart.cli.app import main
main()
"""
"""The command line, with a checkpoint after every epoch instead of every ten seconds."""
PROGRAM = [sys.executable, "-c", EACH_EPOCH]
SIZE, TESTS = 10, 40
RESTART = 6.0
"""Seconds that a resumed run takes to be where it was: a kill counts from there."""


def words(recipe: str, data: Path, out: Path) -> list[str]:
    """The command of one run."""
    methods, settings = RECIPES[recipe]
    line = [*PROGRAM, "fit", str(data), "--json", "--out", str(out)]
    line += [word for method in methods for word in ("--method", method)]
    return line + [word for one in (*settings, *CONTROL) for word in ("--set", one)]


def whole(command: list[str], cache: Path) -> float:
    """Run a command to its end; the seconds."""
    begun = time.perf_counter()
    environment = {**os.environ, "HEADSTART_CACHE": str(cache)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return time.perf_counter() - begun


def killed(command: list[str], cache: Path, moment: float) -> bool:
    """Run a command and kill its process group at a moment; False where it had ended before."""
    environment = {**os.environ, "HEADSTART_CACHE": str(cache)}
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(timeout=moment)
        return False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True


def outcome(run: Path, data: Path) -> dict[str, Any]:
    """What must be the same: digests of weights and predictions, and the result's figures."""
    result = json.loads((run / "result.json").read_text())
    pictures = sorted((data / "val").glob("*/*"))
    found = Model(run / "model").predict([str(picture) for picture in pictures])
    shares = [[one.probabilities[name] for name in sorted(one.probabilities)] for one in found]
    weights = sorted((run / "trials").rglob("model.safetensors"))
    return {
        "bundle": digest((run / "model" / "model.safetensors").read_bytes()),
        "trials": {path.parent.name: digest(path.read_bytes()) for path in weights},
        "predictions": digest(np.asarray(shares, np.float64).tobytes()),
        "method": result["chosen"]["method"],
        "validation": {trial["method"]: trial["score"] for trial in result["tried"]},
        "figures": {key: result[key] for key in ("verdict", "test", "controls", "gain")},
    }


def digest(content: bytes) -> str:
    """A short fingerprint of some bytes."""
    return hashlib.blake2b(content, digest_size=12).hexdigest()


def reached(run: Path) -> str:
    """How far a killed run had come."""
    stages = {
        "result.json": "finished",
        "evidence.json": "report",
        "trials/from_scratch": "control",
        "model": "bundle",
    }
    for name, stage in stages.items():
        if (run / name).exists():
            return stage
    trials = sorted((run / "trials").rglob("*.safetensors"), key=lambda path: path.stat().st_mtime)
    if trials:
        return str(trials[-1].relative_to(run / "trials").with_suffix(""))
    return "data" if (run / "data.json").exists() else "plan" if run.exists() else "nothing"


def differs(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """The keys whose values are not the same."""
    return [key for key in theirs if ours[key] != theirs[key]]


class Folder:
    """A run's folder and cache, gone at the end."""

    def __enter__(self) -> tuple[Path, Path]:
        self.root = Path(tempfile.mkdtemp(prefix="headstart-resume-"))
        self.cache = fresh()
        return self.root / "run", self.cache

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.rmtree(self.cache, ignore_errors=True)


def undisturbed(recipe: str, data: Path) -> dict[str, Any]:
    """One run to its end."""
    with Folder() as (run, cache):
        seconds = whole(words(recipe, data, run), cache)
        return {"seconds": round(seconds, 1), "outcome": outcome(run, data)}


def disturbed(
    recipe: str, data: Path, shares: list[float], plain: dict[str, Any]
) -> dict[str, Any]:
    """One run that is killed after shares of the undisturbed run's time, and resumed each time."""
    with Folder() as (run, cache):
        command, before, kills = words(recipe, data, run), 0.0, []
        for share in shares:
            begin = RESTART if (run / "plan.json").exists() else 0.0
            moment = (share - before) * plain["seconds"] + begin
            if not killed(command, cache, moment):
                break  # it was quicker than the undisturbed run, and has ended
            kills.append({"share": round(share, 3), "reached": reached(run)})
            if (run / "plan.json").exists():
                command = [*PROGRAM, "fit", "--resume", str(run), "--json"]
            before = share
        seconds = whole(command, cache)
        found = outcome(run, data)
        return {
            "recipe": recipe,
            "kills": kills,
            "last_session_seconds": round(seconds, 1),
            "differs": differs(found, plain["outcome"]),
            **({"outcome": found} if found != plain["outcome"] else {}),
        }


def keep(values: dict[str, Any]) -> None:
    """Write what is known."""
    runs = values["runs"]
    facts = {
        "command": f"python benchmarks/resume.py SETS --kills {values['kills']}"
        f" --each {values['each']} --seed {values['seed']}",
        "machine": machine(),
        "runs_killed_and_resumed": len(runs),
        "same": sum(not run["differs"] for run in runs.values()),
        "kills_so_far": sum(len(run["kills"]) for run in runs.values()),
        "same_seed_same_result": {
            name: not differs(*(one["outcome"] for one in pair))
            for name, pair in values["undisturbed"].items()
            if len(pair) == 2
        },
    }
    with atomic(FILE) as temporary:
        temporary.write_text(json.dumps({**facts, **values}, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--each", type=int, default=4, help="kills of one run")
    parser.add_argument("--most", type=int, default=10**6, help="runs of this call")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    before = json.loads(FILE.read_text()) if FILE.exists() else {}
    settings = {"kills": given.kills, "each": given.each, "seed": given.seed}
    same = all(before.get(key) == value for key, value in settings.items())
    values: dict[str, Any] = {**settings, "undisturbed": {}, "runs": {}}
    values |= {key: before[key] for key in ("undisturbed", "runs")} if same else {}
    data = cell(*sets(given.sets)["hymenoptera"], SIZE, TESTS, given.seed)
    assert data is not None
    left = given.most
    for recipe in RECIPES:
        pair = values["undisturbed"].setdefault(recipe, [])
        while len(pair) < 2 and left:
            pair.append(undisturbed(recipe, data))
            keep(values)
            left -= 1
            print(recipe, "undisturbed", pair[-1]["seconds"], "s", flush=True)
    shares = (np.arange(given.kills) + np.random.default_rng(given.seed).random(given.kills)) / (
        given.kills
    )
    runs = -(-given.kills // given.each)
    for number in range(runs):
        if str(number) in values["runs"] or not left:
            continue
        recipe = list(RECIPES)[number % len(RECIPES)]
        plain = values["undisturbed"][recipe][0]
        found = disturbed(recipe, data, shares[number::runs].tolist(), plain)
        values["runs"][str(number)] = found
        keep(values)
        left -= 1
        stages = [kill["reached"] for kill in found["kills"]]
        print(number, recipe, stages, found["differs"] or "same", flush=True)
    shutil.rmtree(data, ignore_errors=True)


if __name__ == "__main__":
    main()
