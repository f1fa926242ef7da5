"""How far BatchNorm's statistics tell a wrong normalisation, and what the contract check costs.

    python benchmarks/contract_check.py FOLDER [FOLDER ...]

Every packaged source model that is on this machine and keeps BatchNorm statistics is given sixteen
pictures, drawn anew five times from each folder, prepared as its contract says and in each wrong way:
another usual mean and deviation, 0..1, 0..255, and BGR. Counted is how often the right way was
suspected (a false alarm), and each wrong one. Folders of photographs, drawings and enlarged thumbnails show
where it can be relied on.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from harness import RESULTS, save
from headstart.data.decode import decode, frame_to_view, load_bytes
from headstart.features.contract import examine
from headstart.features.statistics import better, distance
from headstart.features.stored import NORMALISATIONS
from headstart.sources.base import ImageSource, Network
from headstart.sources.origins import packaged

DRAWS, PICTURES = 5, 16
WRONG = (
    "ImageNet's mean and deviation",
    "mean 0.5 and deviation 0.5",
    "pixels in 0..1",
    "pixels in 0..255",
    "pixels in 0..255 minus ImageNet's mean",
)


def draw(files: list[Path], source: ImageSource, seed: int) -> np.ndarray:
    chosen = np.random.default_rng(seed).choice(len(files), PICTURES, replace=False)
    frames = [decode(load_bytes(files[i])[0], files[i])[0] for i in chosen]
    contract = source.contract
    return np.stack([frame_to_view(frame, contract.resize, contract.size) for frame in frames])


def near(source: ImageSource, name: str) -> bool:
    """Whether an alternative is the right contract but for a hundredth."""
    mean, std = NORMALISATIONS[name]
    return np.allclose([mean, std], [source.contract.mean, source.contract.std], atol=0.03)


def measure(source: ImageSource, network: Network, files: list[Path]) -> dict[str, Any]:
    wrong = [name for name in WRONG if not near(source, name)]
    counts = dict.fromkeys(["right", *wrong, "BGR"], 0)
    distances: list[float] = []
    for seed in range(DRAWS):
        views = draw(files, source, seed)
        others = every(source, network, views)
        declared = distance(network, source.contract, views) or 0.0
        counts["right"] += bool(better(declared, others))
        for name in wrong:
            counts[name] += bool(better(others[name], others))
        turned = views[..., ::-1].copy()
        mixed = distance(network, source.contract, turned) or 0.0
        counts["BGR"] += bool(better(mixed, every(source, network, turned)))
        distances.append(declared)
    return {"suspected": counts, "draws": DRAWS, "distance": [min(distances), max(distances)]}


def every(source: ImageSource, network: Network, views: np.ndarray) -> dict[str, float]:
    """The distance under each usual normalisation."""
    ways = {n: replace(source.contract, mean=m, std=s) for n, (m, s) in NORMALISATIONS.items()}
    return {name: distance(network, way, views) or 0.0 for name, way in ways.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--sources", default="", help="names with commas; all that are available")
    given = parser.parse_args()
    packaged.describe(packaged.names()[0]).build()  # the libraries load here, not in the timing
    names = [name for name in given.sources.split(",") if name] or packaged.names()
    before = RESULTS / "contract_check.json"  # a few sources at a time may be measured
    out: dict[str, Any] = json.loads(before.read_text())["sources"] if before.exists() else {}
    for source in (s for s in map(packaged.describe, names) if s.available):
        begun = time.perf_counter()
        faults = examine(source).faults
        entry: dict[str, Any] = {
            "seconds": round(time.perf_counter() - begun, 3),
            "faults": [fault.message for fault in faults],
        }
        network = source.build()
        network.model.eval()
        for folder in given.folders:
            kinds = (".jpg", ".jpeg", ".png")
            files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in kinds)
            if distance(network, source.contract, draw(files, source, 0)) is not None:
                label = "/".join(folder.parts[-2:])
                entry[label] = measure(source, network, files)
        out[source.name] = entry
        print(source.name, entry, flush=True)
    save("contract_check", {"sources": out})


if __name__ == "__main__":
    main()
