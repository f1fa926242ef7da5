"""``adapt`` from end to end: arrays, tables, texts and pictures; and input that can't be used."""

from __future__ import annotations

import csv
import io
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_digits

import headstart
from headstart.errors import BundleError, DataError, InputError, UsageError
from tests.saved_text import save

from .conftest import command
from .test_rank_texts import sentences

QUICK = ("coral", "self_training", "prior_em")


@pytest.fixture(scope="module")
def digits():
    """Digits, and other digits as another scanner gives them: darker, shifted, with noise."""
    x, y = load_digits(return_X_y=True)
    random = np.random.default_rng(0)
    first, second = np.arange(0, 700), np.arange(900, 1500)
    other = 0.6 * x[second] + 3 + random.normal(0, 1.0, (len(second), 64))
    return (x[first], y[first]), (other, y[second])


@pytest.fixture(scope="module")
def wards(tmp_path_factory):
    """Two tables of tumours, cut by size, one with gaps, the other with a column more."""
    folder = tmp_path_factory.mktemp("wards")
    data = load_breast_cancer(as_frame=True)
    table = data.data.iloc[:, :12].copy()
    table["site"] = np.where(np.arange(len(table)) % 3 == 0, "left", "right")
    table["label"] = np.where(data.target == 1, "benign", "malignant")
    side = table["mean smoothness"] > table["mean smoothness"].median()
    first, second = table[side].copy(), table[~side].copy()
    first.loc[first.index[:30], "mean texture"] = np.nan
    second["ward"] = 3
    first.to_csv(folder / "a.csv", index=False)
    second.to_csv(folder / "b.csv", index=False, na_rep="?")
    return folder


def run(source, target, out, **more):
    return headstart.adapt(source, target, out=out, **{"methods": QUICK, **more})


def test_arrays_are_adapted_without_one_label_of_the_target(digits, tmp_path):
    source, (x, y) = digits
    found = run(source, x, tmp_path / "run")
    told = found.summary
    assert told["decision"] in ("adapted", "source-only")
    assert found.decision == told["decision"]
    assert (told["method"] == "source_only") == (told["decision"] == "source-only")
    low, high = told["estimate"]["interval"]
    assert 0 <= low <= told["estimate"]["accuracy"] <= high <= 1
    assert [one["method"] for one in told["candidates"]] == list(QUICK)
    assert {entry["part"] for entry in told["ledger"]} == {"source"}
    said = np.array([int(one.label) for one in found.model.predict(x)])
    assert (said == y).mean() > 0.5
    sure = np.mean([max(one.probabilities.values()) for one in found.model.predict(x)])
    assert sure == pytest.approx(told["estimate"]["accuracy"], abs=0.02)
    assert "Not one label of the target was read" in found.report.read_text(encoding="utf-8")


def test_the_estimate_doesnt_hang_on_which_methods_are_named(digits, tmp_path):
    source, (x, _) = digits
    found = [
        run(source, x, tmp_path / str(n), methods=named).summary
        for n, named in enumerate((("coral",), ("prior_em", "consensus", "self_training")))
    ]
    alone = [one["source_only"]["estimate"]["accuracy"] for one in found]
    assert alone[0] == pytest.approx(alone[1])
    assert [one["method"] for one in found[0]["candidates"]] == ["coral"]


def test_a_named_method_needs_trust_where_scores_dont_tell(wards, tmp_path):
    given = {"label": "label", "methods": ("coral",)}
    asked = run(wards / "a.csv", wards / "b.csv", tmp_path / "a", **given)
    assert asked.decision == "source-only"
    assert "--trust" in asked.summary["why"] or "no evidence" in asked.summary["why"]
    trusted = run(wards / "a.csv", wards / "b.csv", tmp_path / "b", trust=True, **given)
    assert trusted.summary["method"] == "coral" and "trusted" in trusted.summary["why"]
    assert "--trust" in trusted.summary["command"]
    with pytest.raises(UsageError, match="none is"):
        run(wards / "a.csv", wards / "b.csv", tmp_path / "c", label="label", methods=(), trust=True)


def test_labels_of_the_target_change_nothing_but_the_verdict(digits, tmp_path):
    source, (x, y) = digits
    random = np.random.default_rng(1)
    one = run(source, (x, y), tmp_path / "a", evaluate=True)
    two = run(source, (x, random.permutation(y)), tmp_path / "b", evaluate=True)
    weights = [(r.folder / "model" / "model.safetensors").read_bytes() for r in (one, two)]
    assert weights[0] == weights[1]
    for key in ("decision", "method", "estimate", "candidates", "facts"):
        told = [json.loads(json.dumps(r.summary[key])) for r in (one, two)]
        for entry in [e for t in told if key == "candidates" for e in t]:
            entry.pop("seconds")
        assert told[0] == told[1]
    assert one.summary["test"]["score"] != two.summary["test"]["score"]
    reads = [entry["part"] for entry in one.summary["ledger"]]
    assert reads == ["source", "test"], "the target's labels are opened once, and last"
    assert one.summary["test"]["n"] == 150
    assert set(one.summary["test"]["candidates"]) == set(QUICK)


def test_the_same_seed_gives_the_same_model(digits, tmp_path):
    source, (x, _) = digits
    found = [run(source, x, tmp_path / name, seed=3) for name in "ab"]
    weights = [(r.folder / "model" / "model.safetensors").read_bytes() for r in found]
    assert weights[0] == weights[1]


def test_domains_that_are_one_are_left_alone(digits, tmp_path):
    (x, y), _ = digits
    same = run((x, y), x, tmp_path / "same")
    assert same.decision == "source-only" and "copies" in same.summary["why"]
    order = np.random.default_rng(0).permutation(len(x))
    one, two = order[::2], order[1::2]
    halves = run((x[one], y[one]), x[two], tmp_path / "halves")
    assert halves.decision == "source-only"
    assert "no evidence of a shift" in halves.summary["why"]
    assert halves.summary["candidates"] == []


def test_two_tables_from_the_shell(wards, tmp_path):
    done = command(
        "adapt", "--source", str(wards / "a.csv"), "--target", str(wards / "b.csv"), "--label",
        "label", "--evaluate", "--json", "--out", str(tmp_path / "run"), "--method", "coral",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["modality"] == "table" and told["test"]["n"] > 50
    kinds = {finding["kind"] for finding in told["findings"]}
    assert "other-columns" in kinds, "the column that one table lacks is named"
    assert "ward" in next(f["message"] for f in told["findings"] if f["kind"] == "other-columns")
    asked = command("predict", str(tmp_path / "run"), str(wards / "b.csv"))
    assert asked.returncode == 0, asked.stderr
    rows = list(csv.DictReader(io.StringIO(asked.stdout)))
    assert len(rows) == len(pd.read_csv(wards / "b.csv"))
    assert {row["label"] for row in rows} <= {"benign", "malignant"}
    assert not any(row["error"] for row in rows)


def test_a_bundle_of_a_table_checks_itself(wards, tmp_path):
    found = run(wards / "a.csv", wards / "b.csv", tmp_path / "run", label="label")
    model = found.model
    frame = pd.read_csv(wards / "b.csv")
    with pytest.raises(UsageError, match="mean texture"):
        model.predict(frame.drop(columns="mean texture"))
    with pytest.raises(InputError, match="DataFrame"):
        model.predict(np.zeros((3, 12)))
    weights = tmp_path / "run" / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    with pytest.raises(BundleError, match="checksum"):
        headstart.load(tmp_path / "run")


def test_several_sources_and_texts(tmp_path):
    save(tmp_path / "bert", "bert")
    table = sentences().rename(columns={"review": "text", "stars": "label"})
    table.iloc[::2].to_csv(tmp_path / "a.csv", index=False)
    table.iloc[1::2].assign(text=lambda t: "so they say: " + t["text"]).to_csv(
        tmp_path / "b.csv", index=False
    )
    table["text"].add(" they wrote").to_frame().to_csv(tmp_path / "c.csv", index=False)
    model = f"transformers:{tmp_path / 'bert'}"
    given = [tmp_path / "a.csv", tmp_path / "b.csv"]
    found = run(given, tmp_path / "c.csv", tmp_path / "run", source_model=model)
    assert [one["name"] for one in found.summary["sources"]] == ["a", "b"]
    assert found.model.predict(["the movie was very good"])[0].label in {
        "good",
        "bad",
        "1",
        "5",
    } | set(found.summary["classes"])


def test_pictures_in_class_folders_and_a_flat_folder(photos, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    for number, path in enumerate(sorted(photos.rglob("*.jpg"))[::2]):
        shutil.copy(path, flat / f"{number}.jpg")
    (flat / "broken.jpg").write_bytes(b"no picture")
    found = run(photos, flat, tmp_path / "run", methods=("coral",))
    assert found.summary["modality"] == "image"
    assert any("broken.jpg" in one["row"] for one in found.summary["left_out"])
    assert "copies" in found.summary["why"], "half of the photographs are on both sides"


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"target": np.zeros((20, 3))}, UsageError, "64"),
        ({"target": np.zeros((3, 64))}, DataError, "at least 5"),
        ({"source": (np.zeros((40, 64)), np.zeros(40, int))}, DataError, "one class alone"),
        ({"source": (np.ones((40, 64)), np.arange(40) % 2), "target": np.ones((40, 64))}, DataError, "No feature changes"),
        ({"source": (np.random.default_rng(0).normal(size=(40, 64)), np.arange(40))}, DataError, "not classes"),
        ({"methods": ("corall",)}, UsageError, "coral"),
        ({"evaluate": True}, UsageError, "--evaluate needs labels"),
        ({"target": ["a text", "another"]}, UsageError, "not of one kind"),
        ({"settings": {"coral": {"shrink": "-1"}}}, UsageError, "out of range"),
        ({"source_model": "auto"}, UsageError, "Name one"),
    ],
)  # fmt: skip
def test_what_cant_be_used_is_refused_in_words(digits, tmp_path, change, error, words):
    source, (x, _) = digits
    given = {"source": source, "target": x, **change}
    with pytest.raises(error) as caught:
        run(given.pop("source"), given.pop("target"), tmp_path / "run", **given)
    assert words in f"{caught.value.message} {caught.value.hint}"


def test_rows_that_cant_be_used_are_listed_and_passed_over(digits, tmp_path):
    (x, y), (other, _) = digits
    x, labels = x.copy(), [str(label) for label in y]
    x[3, 5], labels[7] = np.nan, None
    found = run((x, labels), other, tmp_path / "run", methods=("coral",))
    assert [one["row"] for one in found.summary["left_out"]] == ["source: row 3"]
    kinds = {finding["kind"] for finding in found.summary["findings"]}
    assert "unlabelled" in kinds
    assert found.summary["sources"][0]["rows"] == len(x) - 2


def test_a_label_set_that_is_open_or_partial_is_named(digits, tmp_path):
    (x, y), (other, own) = digits
    kept = y < 8
    there = own != 2
    found = run((x[kept], y[kept]), (other[there], own[there]), tmp_path / "run", evaluate=True)
    told = {finding["kind"]: finding["message"] for finding in found.summary["findings"]}
    assert "open" in told["open-set"] and "class 2" in told["partial-set"]
    assert found.summary["test"]["unknown"] > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["adapt"], "--source and --target are missing"),
        (["adapt", "--source", "a.csv"], "--target is missing"),
        (["adapt", "--source", "nowhere.csv", "--target", "b.csv"], "There is no file or folder"),
    ],
)
def test_bad_usage_exits_with_2(words, message, tmp_path):
    done = command(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr and "Traceback" not in done.stderr


def test_a_label_column_that_isnt_there_is_named(wards, tmp_path):
    done = command(
        "adapt", "--source", str(wards / "a.csv"), "--target", str(wards / "b.csv"), "--label", "lable",
        "--out", str(tmp_path / "run"),
    )  # fmt: skip
    assert done.returncode == 2
    assert "lable" in done.stderr and "label" in done.stderr
    assert not (tmp_path / "run").exists()
