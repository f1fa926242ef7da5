"""Predicting with a finished run: CSV, JSON, folders, bad files, plain timm."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

import headstart
from headstart import registry
from headstart.cli.app import main
from headstart.registry import METHOD_FAMILIES


def said(capsys, *words: str, code: int = 0) -> str:
    """What a command printed on stdout."""
    with pytest.raises(SystemExit) as stop:
        main(list(words))
    assert (stop.value.code or 0) == code
    return capsys.readouterr().out


def test_json_keeps_the_order_of_the_inputs(finished, photos, capsys):
    files = [str(path) for path in sorted(photos.glob("*/*.jpg"), reverse=True)[:5]]
    found = json.loads(said(capsys, "predict", str(finished.folder), *files, "--json"))[
        "predictions"
    ]
    assert [entry["input"] for entry in found] == files
    for entry in found:
        assert entry["label"] == max(entry["probabilities"], key=entry["probabilities"].get)
        assert abs(sum(entry["probabilities"].values()) - 1) < 1e-6


def test_csv_and_a_bad_file(finished, photos, tmp_path, capsys):
    (tmp_path / "bad.jpg").write_text("no picture")
    good = str(next(photos.glob("china/*.jpg")))
    text = said(capsys, "predict", str(finished.folder), good, str(tmp_path / "bad.jpg"))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert rows[0]["label"] == "china"
    assert float(rows[0]["china"]) > 0.5
    assert rows[1]["label"] == ""
    assert "text" in rows[1]["error"]


def test_only_bad_files_is_a_failure(finished, tmp_path, capsys):
    (tmp_path / "bad.jpg").write_text("no picture")
    said(capsys, "predict", str(finished.folder), str(tmp_path / "bad.jpg"), code=1)


def test_folders_are_walked_and_written_to_a_file(finished, photos, tmp_path, capsys):
    out = tmp_path / "found.csv"
    said(capsys, "predict", str(finished.folder / "model"), str(photos), "--out", str(out))
    with out.open() as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 48
    assert sum(row["label"] == Path(row["input"]).parent.name for row in rows) >= 44


def test_a_few_and_many_inputs_agree(finished, photos):
    """A few inputs run in PyTorch, many in the fastest engine: the answers are the same."""
    files = sorted(photos.glob("*/*.jpg"))
    model = headstart.load(finished.folder)
    few = model.predict(files[:4])
    many = list(model.stream(files, few=False))[:4]
    for one, other in zip(few, many, strict=True):
        assert one.label == other.label
        assert one.probabilities == pytest.approx(other.probabilities, abs=0.03)


def test_the_weights_load_in_plain_timm(finished, photos):
    """What the model card tells others to do gives the bundle's own answers."""
    import timm
    import torch
    from PIL import Image
    from safetensors.torch import load_file
    from timm.data import create_transform

    config = json.loads((finished.folder / "model" / "config.json").read_text())
    model = timm.create_model(config["architecture"], num_classes=len(config["classes"]))
    model.load_state_dict(load_file(finished.folder / "model" / "model.safetensors"))
    made = config["preprocessing"]
    transform = create_transform(
        (3, made["size"], made["size"]),
        mean=made["mean"],
        std=made["std"],
        crop_pct=made["size"] / made["resize"],
        interpolation="bicubic",
    )
    files = sorted(photos.glob("*/*.jpg"))[:6]
    pictures = torch.stack([transform(Image.open(path).convert("RGB")) for path in files])
    with torch.no_grad():
        shares = torch.softmax(model.eval()(pictures) / config["temperature"], dim=1).numpy()
    ours = headstart.predict(finished.folder, files)
    theirs = np.array([[item.probabilities[name] for name in config["classes"]] for item in ours])
    np.testing.assert_allclose(shares, theirs, atol=1e-4)


def test_methods_lists_everything(capsys):
    listed = json.loads(said(capsys, "methods", "--json"))["methods"]
    names = {entry["name"] for entry in listed}
    assert names == {n for f in METHOD_FAMILIES for n in registry.names(f"methods.{f}")}
    assert names > {"linear_probe", "partial", "full", "majority", "from_scratch"}
    text = said(capsys, "methods")
    assert max(map(len, text.splitlines())) <= 80
