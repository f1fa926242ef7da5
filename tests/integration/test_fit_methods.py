"""Methods and options that run only when they are named, from the pictures to the bundle."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headstart import registry
from headstart.methods.base import configure

from .conftest import QUICK

NAMED = [
    name
    for name in registry.names("methods.finetune")
    if not registry.load("methods.finetune", name).Method.unasked and name != "soup"
]
SMALL = {"epochs": "2", "size": "64"}


def evidence(run) -> list[dict]:
    return json.loads((run.folder / "evidence.json").read_text())["tried"]


def probabilities(run, paths) -> np.ndarray:
    found = run.model.predict([np.asarray(Image.open(path).convert("RGB")) for path in paths])
    return np.array([list(item.probabilities.values()) for item in found])


@pytest.mark.parametrize("name", NAMED)
def test_a_named_method_makes_a_bundle_that_loads_as_it_was(name, quick_fit, photos):
    """Loading replays the reference outputs; the trial's own weights give the same answers."""
    from safetensors.torch import load_file

    settings = {**QUICK, name: SMALL}
    run = quick_fit(photos, methods=["linear_probe", name], settings=settings)
    assert [trial["method"] for trial in run.summary["tried"]] == ["linear_probe", name]
    alone = quick_fit(photos, methods=[name], settings=settings, out=Path("alone"))
    assert alone.summary["chosen"]["method"] == name
    kept = load_file(alone.folder / "trials" / name / "model.safetensors")
    written = load_file(alone.folder / "model" / "model.safetensors")
    assert list(kept) == list(written) and all(kept[k].equal(written[k]) for k in kept)
    assert not [key for key in written if "lora" in key or "base_layer" in key]
    paths = sorted(photos.glob("*/*.jpg"))
    shares = probabilities(alone, paths)
    right = (shares.argmax(axis=1) == [path.parent.name == "flower" for path in paths]).mean()
    assert right >= 0.8


def test_regularised_and_kept_by_one_command(quick_fit, photos):
    settings = {
        **QUICK,
        "full": {
            **SMALL,
            "regularise": "l2_sp+delta+bss+co_tuning+mixup+cutmix",
            "keep": "wise_ft",
            "ema": "0.9",
            "patience": "5",
            "balance": "weights",
            "drop_path": "0.1",
            "dropout": "0.1",
            "augment": "randaugment",
            "rate_test": "true",
        },
        "l2_sp": {"strength": "0.3"},
        "wise_ft": {"steps": "3"},
    }
    run = quick_fit(photos, methods=["full"], settings=settings)
    trial = evidence(run)[0]
    recipe = trial["recipe"]
    assert recipe["regularise"].startswith("l2_sp:strength=0.3,head=0.01+delta:")
    assert recipe["keep"] == "wise_ft:steps=3"
    assert trial["kept"]["shares"] == [0, 0.5, 1] and trial["kept"]["chosen"] in (0, 0.5, 1)
    losses = trial["kept"]["losses"]
    assert losses[trial["kept"]["shares"].index(trial["kept"]["chosen"])] == min(losses)
    assert all("stopping_loss" in entry and entry["penalty"] > 0 for entry in trial["curve"])
    found = json.loads((run.folder / "trials" / "full" / "range_test.json").read_text())
    assert len(found["rates"]) == len(found["losses"]) > 5
    assert run.report.exists()
    assert run.model.predict(sorted(photos.glob("*/*.jpg"))[:2])[0].label


def test_methods_that_wait_to_be_named_are_not_even_mentioned(finished):
    mentioned = {entry["method"] for entry in finished.summary["skipped"]}
    assert not mentioned & set(NAMED) and len(NAMED) >= 3
    assert configure("finetune", "lora").unasked is False


@pytest.mark.parametrize("kind", ["greedy", "uniform"])
def test_a_soup_of_what_was_trained(kind, quick_fit, photos):
    from safetensors.torch import load_file

    tiny = {"epochs": "1", "size": "64"}
    settings = {**QUICK, "full": tiny, "bias_only": tiny, "soup": {"kind": kind}}
    run = quick_fit(photos, methods=["full", "bias_only", "soup"], settings=settings)
    tried = {trial["method"]: trial for trial in evidence(run)}
    assert list(tried) == ["full", "bias_only", "soup"]
    trials = run.folder / "trials"
    full, bias, mixed = (
        load_file(trials / n / "model.safetensors") for n in ("full", "bias_only", "soup")
    )
    of = tried["soup"]["parameters"]["of"].split(", ")
    if kind == "uniform":
        assert sorted(of) == ["bias_only", "full"]
        assert tried["soup"]["score"] <= 1
    if len(of) == 2:
        assert all(
            mixed[k].allclose((full[k] + bias[k]) / 2) for k in full if full[k].is_floating_point()
        )
    else:
        assert kind == "greedy" and tried["soup"]["score"] >= max(
            tried[name]["score"] for name in of
        )
    assert tried["soup"]["judged"] >= 20


def test_a_soup_of_nothing_is_said(quick_fit, photos):
    run = quick_fit(photos, methods=["linear_probe", "soup"])
    assert run.summary["chosen"]["method"] == "linear_probe"
    assert [e["why"] for e in run.summary["skipped"] if e["method"] == "soup"] == [
        "it needs two fine-tuned networks: name two more methods"
    ]
