"""Regression and several labels on real solar cells, from the table to a prediction."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import headstart
from headstart.cli.app import main
from headstart.errors import DataError, UsageError

from .conftest import QUICK

FAST = {**QUICK, "partial": {"epochs": "2", "views": "1"}}


@pytest.fixture(scope="session")
def cells(solar_rows) -> dict[str, tuple[Path, float, str]]:
    """Name → path, probability of a defect, and kind of cell."""
    import elpv_dataset

    folder = Path(elpv_dataset.__file__).parent / "data"
    found = {}
    for line in (folder / "labels.csv").read_text().splitlines():
        name, probability, kind = line.split()
        found[name.removeprefix("images/")] = (folder / name, float(probability), kind)
    return {row.name: found[row.name] for row in solar_rows}


def table(path: Path, cells: dict, label, *extra: tuple[str, str]) -> Path:
    with path.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["path", "label"])
        writer.writerows([str(file), label(p, kind)] for file, p, kind in cells.values())
        writer.writerows(extra)
    return path


def tags(probability: float, kind: str) -> str:
    return "|".join(["defective"] * (probability >= 0.5) + ["mono"] * (kind == "mono"))


def finished(folder: Path) -> dict:
    return json.loads((folder / "evidence.json").read_text())


def test_numbers_from_the_table_to_a_prediction(quick_fit, cells, tmp_path, capsys):
    good, other = (str(file) for file, _, _ in list(cells.values())[:2])
    bad = ((good, "much"), (other, ""))
    path = table(tmp_path / "n.csv", cells, lambda p, _: f"{10 * p:.2f}", *bad)
    run = quick_fit(path, task="regression", turnable=True)
    summary = run.summary
    assert (summary["task"], summary["metric"], summary["unit"]) == ("regression", "r2", "number")
    assert set(summary["controls"]) == {"mean", "from_scratch"} and summary["controls"]["mean"] <= 0
    assert summary["test"]["score"] > summary["controls"]["mean"]
    assert summary["data"]["classes"] == []
    assert len(summary["data"]["left_out"]) == 2
    assert "not a number" in json.dumps(summary["data"]["left_out"])
    evidence = finished(run.folder)
    assert len(evidence["scatter"]) == summary["test"]["n"]
    assert "points" not in summary["headline"] and "R²" in summary["headline"]
    page = run.report.read_text()
    assert "Predicted against true" in page and "confusion" not in page.partition("<body>")[2]
    model = run.model
    values = [item.value for item in model.predict([good, other])]
    features = np.array(evidence["scatter"])
    assert all(-15 < value < 25 for value in values) and features[:, 1].std() > 0
    card = (run.folder / "model" / "README.md").read_text()
    assert "one number" in card and "softmax" not in card
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main(["predict", str(run.folder), good, str(tmp_path / "n.csv")])
    lines = list(csv.reader(capsys.readouterr().out.splitlines()))
    assert stop.value.code == 0 and lines[0] == ["input", "value", "error"]
    assert float(lines[1][1]) == pytest.approx(values[0], abs=1e-3) and lines[2][1] == ""


def test_the_bundle_gives_the_numbers_that_were_judged(quick_fit, cells, tmp_path):
    cells = dict(list(cells.items())[::2])
    path = table(tmp_path / "n.csv", cells, lambda p, _: f"{1000 + 50 * p:.1f}")
    run = quick_fit(path, metric="mae", methods=["partial"], settings=FAST)
    assert run.summary["task"] == "regression" and run.summary["better"] == "lower"
    assert run.summary["chosen"]["method"] == "partial"
    evidence = finished(run.folder)
    known = {f"{1000 + 50 * p:.1f}" for _, p, _ in cells.values()}
    assert {f"{true:.1f}" for true, _ in evidence["scatter"]} <= known
    everything = run.model.predict([str(file) for file, _, _ in cells.values()])
    said = sorted(item.value for item in everything)
    for _, value in evidence["scatter"]:
        assert min(abs(value - one) for one in said) < 0.2
    errors = np.abs(np.diff(np.array(evidence["scatter"]), axis=1))
    assert run.summary["test"]["score"] == pytest.approx(errors.mean(), rel=1e-3)


def test_several_labels_from_the_table_to_a_prediction(quick_fit, cells, tmp_path, capsys):
    path = table(tmp_path / "m.csv", cells, tags)
    run = quick_fit(path, label_delim="|", methods=["linear_probe", "partial"], settings=FAST)
    summary = run.summary
    assert (summary["task"], summary["metric"]) == ("multilabel", "average_precision")
    assert summary["data"]["classes"] == ["defective", "mono"]
    assert set(summary["controls"]) == {"prevalence", "from_scratch"}
    assert summary["test"]["score"] > summary["controls"]["prevalence"]
    evidence = finished(run.folder)
    assert [one["label"] for one in evidence["labels"]] == ["defective", "mono"]
    assert "How well each label is predicted" in run.report.read_text()
    files = [str(file) for file, _, _ in cells.values()]
    found = run.model.predict(files)
    assert all(item.label == "|".join(item.labels) for item in found)
    assert all(
        (share >= 0.5) == (name in item.labels)
        for item in found
        for name, share in item.probabilities.items()
    )
    right = [
        ("mono" in item.labels) == (kind == "mono")
        for item, (_, _, kind) in zip(found, cells.values(), strict=True)
    ]
    assert np.mean(right) > 0.85
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["predict", str(run.folder), files[0], "--json"])
    (entry,) = json.loads(capsys.readouterr().out)["predictions"]
    assert set(entry) == {"input", "labels", "probabilities"}


def test_classes_by_the_area_under_the_curve(quick_fit, cells, tmp_path):
    path = table(tmp_path / "c.csv", cells, lambda p, _: "defective" if p >= 0.5 else "sound")
    run = quick_fit(
        path,
        metric="auroc",
        class_weight="balanced",
        methods=["linear_probe", "partial"],
        settings=FAST,
    )
    assert run.summary["metric"] == "auroc" and 0.5 < run.summary["test"]["score"] <= 1
    assert run.summary["controls"]["majority"] == 0.5
    tried = {trial["method"]: trial for trial in finished(run.folder)["tried"]}
    assert tried["linear_probe"]["parameters"]["balance"] == "weights"
    assert tried["partial"]["recipe"]["balance"] == "weights"
    assert "on the same" in tried["partial"]["note"]


def test_a_resumed_run_of_numbers_is_the_same(quick_fit, cells, tmp_path):
    path = table(tmp_path / "n.csv", cells, lambda p, _: f"{p:.3f}")
    first = quick_fit(path)
    for name in ("result.json", "evidence.json", "report.html"):
        (first.folder / name).unlink()
    again = headstart.fit(resume=first.folder)
    assert again.summary["test"] == first.summary["test"]
    assert again.summary["chosen"] == first.summary["chosen"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"task": "clasification"}, "no task 'clasification'"),
        ({"task": "multilabel"}, "need to be told apart"),
        ({"task": "regression", "label_delim": "|"}, "--task regression that it has one"),
        ({"label_delim": ""}, "delimiter is empty"),
        ({"task": "regression", "metric": "accuracy"}, "accuracy is a metric for classification"),
        ({"metric": "subset_accuracy"}, "subset_accuracy is a metric for multilabel"),
        ({"task": "regression", "source": "auto"}, "ranked for classification alone"),
        ({"task": "regression", "class_weight": "balanced"}, "this is regression"),
        ({"class_weight": "heavy"}, "class weight 'heavy'"),
        (
            {"task": "regression", "settings": {"full": {"regularise": "cutmix"}}},
            "cutmix has no meaning for regression",
        ),
        (
            {"label_delim": "|", "settings": {"full": {"balance": "sampling"}}},
            "needs one class for each row",
        ),
        (
            {"label_delim": "|", "settings": {"full": {"regularise": "mixup+co_tuning"}}},
            "co_tuning has no meaning for multilabel",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_before_a_folder_is_made(
    quick_fit, photos, tmp_path, options, says
):
    with pytest.raises(UsageError, match=says) as caught:
        quick_fit(photos, **options)
    assert caught.value.hint and not (tmp_path / "run").exists()


def test_labels_that_hold_no_number_are_refused(quick_fit, photos, tmp_path):
    with pytest.raises(DataError, match="no number") as caught:
        quick_fit(photos, task="regression")
    assert "--task classification" in caught.value.hint and not (tmp_path / "run").exists()


def test_ranking_refuses_numbers(cells, tmp_path):
    values = iter(np.linspace(0, 1, len(cells)).round(4))
    path = table(tmp_path / "n.csv", cells, lambda *_: str(next(values)))
    with pytest.raises(UsageError, match="ranked for classification alone") as caught:
        headstart.rank(path, out=tmp_path / "rank")
    assert "--task regression" in caught.value.hint
