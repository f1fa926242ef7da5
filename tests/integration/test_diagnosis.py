"""The diagnosis at the end of a run: what it says of real trainings, and that it never costs one."""

from __future__ import annotations

import json

import numpy as np
import pytest

from headstart.evaluate.diagnose import underfitting
from headstart.workflow.diagnose import _sample, stages

from .conftest import QUICK

PARTIAL = {**QUICK, "partial": {"epochs": "2", "views": "1"}}


def by_name(summary, of):
    return {item["name"]: item for item in summary["diagnosis"]["items"] if item["of"] == of}


def test_a_probe_is_diagnosed_by_its_answers(finished):
    summary = json.loads((finished.folder / "result.json").read_text())
    found = by_name(summary, "linear_probe")
    assert set(found) == {"overfitting", "underfitting", "label_noise"}
    assert {item["level"] for item in found.values()} == {"ok"}
    assert summary["diagnosis"]["failed"] == {}
    assert 0 < summary["diagnosis"]["seconds"] < max(2, 0.05 * summary["seconds"])
    page = finished.report.read_text()
    assert 'id="diagnosis"' in page
    assert "Nothing to worry about." in page


def test_a_fine_tuned_network_is_diagnosed_by_its_weights_and_features(quick_fit, photos):
    run = quick_fit(photos, methods=["linear_probe", "partial"], settings=PARTIAL)
    other = {"linear_probe", "partial"} - {run.summary["chosen"]["method"]}
    assert set(by_name(run.summary, other.pop())) >= {"overfitting", "underfitting"}
    assert "learning_rate" in by_name(run.summary, "partial")
    alone = quick_fit(photos, methods=["partial"], settings=PARTIAL, out="alone")
    found = by_name(alone.summary, "partial")
    assert set(found) == {
        *("overfitting", "underfitting", "learning_rate", "collapse", "norm_drift", "moved"),
        *("forgetting", "label_noise"),
    }
    assert alone.summary["diagnosis"]["failed"] == {}
    moved = dict(found["moved"]["details"]["stages"])
    assert moved["stem"] == 0 and moved["features"] > 0, "the stem is frozen, the last stage is not"
    assert "statistics are those of the source" in found["norm_drift"]["sentence"]
    assert "blocks.0" in alone.report.read_text()


@pytest.fixture
def mislabelled(photos, tmp_path):
    """The photographs with three labels of each class wrong."""
    folder = tmp_path / "mislabelled"
    wrong = set()
    for label, other in (("china", "flower"), ("flower", "china")):
        for number in range(24):
            to = other if number in (3, 8, 13) else label
            target = folder / to / f"{label}{number:02}.jpg"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((photos / label / f"{number:02}.jpg").read_bytes())
            if to != label:
                wrong.add(f"{to}/{target.name}")
    return folder, wrong


def test_wrong_labels_of_training_rows_are_shown_and_never_those_of_the_test(
    quick_fit, mislabelled
):
    folder, wrong = mislabelled
    run = quick_fit(folder)
    evidence = json.loads((run.folder / "evidence.json").read_text())
    shown = [item["row"] for item in evidence["suspects"]]
    assert shown and len(shown) <= 24
    assert np.mean([row in wrong for row in shown]) >= 0.75, "chance would be 0.125"
    assert all(item["given"] != item["suggested"] for item in evidence["suspects"])
    noise = by_name(run.summary, "linear_probe")["label_noise"]
    assert len(noise["details"]["suspects"]) == len(shown)
    assert max(row for row, *_ in noise["details"]["suspects"]) < 48 - run.summary["test"]["n"]
    assert "Training labels to look at" in run.report.read_text()
    assert "confidently contradicted" in noise["sentence"]


def test_with_a_validation_part_all_learn_rows_are_looked_at(quick_fit, mislabelled, tmp_path):
    folder, _ = mislabelled
    data = tmp_path / "parts"
    for number, path in enumerate(sorted(folder.glob("*/*.jpg"))):
        part = ("test", "val", "train", "train")[number % 4]
        target = data / part / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    run = quick_fit(data)
    figures = by_name(run.summary, "linear_probe")["label_noise"]["figures"]
    looked = next(one["value"] for one in figures if one["name"] == "rows looked at")
    assert looked == 36, "train and val together"


def test_a_diagnosis_that_fails_costs_no_run(quick_fit, photos, monkeypatch):
    def broken(facts):
        raise ValueError("no such luck")

    monkeypatch.setattr(underfitting, "diagnose", broken)
    monkeypatch.setattr(
        "headstart.workflow.diagnose._labels", lambda *_: (_ for _ in ()).throw(OSError("full"))
    )
    run = quick_fit(photos)
    assert run.report.exists()
    failed = run.summary["diagnosis"]["failed"]
    assert failed["linear_probe: underfitting"] == "ValueError: no such luck"
    assert failed["all"] == "OSError: full"
    assert set(by_name(run.summary, "linear_probe")) == {"overfitting"}
    assert "no such luck" in run.report.read_text()


def test_stages_hold_every_tensor_but_the_heads(network):
    found = stages(network)
    assert list(found) == list(network.stages)
    named = [name for names in found.values() for name in names]
    assert len(named) == len(set(named))
    own = {name for name in network.model.state_dict() if not name.startswith("classifier")}
    assert set(named) == own


def test_the_sample_spreads_over_classes():
    targets = np.repeat([0, 1, 2], [500, 40, 3])
    rows = _sample(targets, 0)
    assert len(rows) == len(set(rows.tolist())) == 64
    assert np.bincount(targets[rows]).tolist() == [31, 30, 3]
    assert _sample(np.arange(100) % 50, 0).tolist() == sorted(_sample(np.arange(100) % 50, 0))
