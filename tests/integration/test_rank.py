"""Ranking source models on real photographs, and a fit that starts from the best one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import headstart
from headstart.cli.app import main
from headstart.data.sealed import Ledger
from headstart.errors import UsageError
from headstart.sources.base import find

from .conftest import QUICK


@pytest.fixture(scope="module")
def spoilt(finished, tmp_path_factory) -> str:
    """A local source model of the same architecture whose features say nothing: all are alike."""
    from safetensors.torch import save_file

    state = find().build().model.state_dict()
    state["conv_head.weight"] = state["conv_head.weight"] * 0
    path = tmp_path_factory.mktemp("sources") / "spoilt.safetensors"
    save_file({name: value.contiguous() for name, value in state.items()}, path)
    return f"local:tf_efficientnet_lite0@{path}"


@pytest.fixture(scope="module")
def ranked(photos, spoilt, tmp_path_factory):
    """A ranking of the packaged source and the spoilt one."""
    folder = tmp_path_factory.mktemp("ranked")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADSTART_CACHE", str(folder / "cache"))
        return headstart.rank(
            photos, sources=["efficientnet_lite0", spoilt], out=folder / "run"
        ), folder / "run"


def test_features_that_tell_are_ranked_above_those_that_do_not(ranked, spoilt):
    found, _ = ranked
    assert found.chosen == "efficientnet_lite0" and not found.tied
    assert [place["name"] for place in found.places] == ["efficientnet_lite0", spoilt]
    first, last = found.places
    assert first["best"] > 0.95 and last["best"] < 0.05
    assert last["regret"] > first["regret"] == pytest.approx(0, abs=0.01)
    assert {"logme", "h_score", "probe", "leep", "nce"} <= set(first["scores"])
    assert max(first["scores"]["leep"], first["scores"]["nce"]) <= 0  # log probabilities
    assert "leep" not in last["scores"]  # a source without a head of its own has none to score
    assert np.isfinite(list(first["scores"].values())).all()


def test_baselines_are_probed_on_the_same_rows(ranked):
    found, _ = ranked
    assert set(found.baselines) == {"leader", "pixels", "untrained"}
    assert found.baselines["leader"] == found.places[0]["score"] > 0.9
    assert 0.5 < found.baselines["pixels"] <= 1


def test_no_label_of_the_rows_that_a_fit_would_seal_is_read(ranked):
    _, folder = ranked
    entries = Ledger(folder / "ledger.jsonl").entries
    assert {entry["by"] for entry in entries} == {"inspect", "split", "seal", "ranking"}
    assert not [e for e in entries if e["part"] == "test" and e["by"] != "seal"]
    assert json.loads((folder / "ranking.json").read_text())["chosen"] == "efficientnet_lite0"


def test_sources_that_know_nothing_are_said_to_mismatch(photos, spoilt, tmp_path):
    found = headstart.rank(photos, sources=[spoilt], out=tmp_path / "run")
    assert "may not fit this task" in found.mismatch


def test_fit_starts_from_the_best_and_the_report_says_why(photos, spoilt, tmp_path, capsys):
    words = ["fit", str(photos), "--sources", f"{spoilt},efficientnet_lite0", "--json"]
    words += ["--method", "linear_probe", "--out", str(tmp_path / "run")]
    for method, values in QUICK.items():
        for key, value in values.items():
            words += ["--set", f"{method}.{key}={value}"]
    with pytest.raises(SystemExit) as done:
        main(words)
    assert done.value.code == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["chosen"]["source"] == "efficientnet_lite0"
    assert summary["test"]["score"] >= 0.9
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "Why this source model" in page


def test_the_command_prints_a_table_that_fits(photos, tmp_path, capsys):
    with pytest.raises(SystemExit) as done:
        main(["rank", str(photos), "--sources", "efficientnet_lite0", "--out", str(tmp_path / "r")])
    lines = capsys.readouterr().out.splitlines()
    assert done.value.code == 0
    assert any(line.startswith("efficientnet_lite0") for line in lines)
    table = lines[: lines.index("")]
    assert max(map(len, table)) <= 80


@pytest.mark.parametrize(
    ("sources", "says"),
    [("efficientnet_lite", "efficientnet_lite0"), (" , ", "No source model was named")],
)
def test_a_source_that_is_unknown_is_refused_before_anything_runs(photos, tmp_path, sources, says):
    with pytest.raises(UsageError) as caught:
        headstart.rank(photos, sources=sources, out=tmp_path / "run")
    assert says in f"{caught.value.message} {caught.value.hint}"
    assert not Path(tmp_path / "run").exists()
