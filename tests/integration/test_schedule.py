"""A budget over two source models: the second one is taken, and everything that follows is about it."""

from __future__ import annotations

import json

import numpy as np
import pytest

import headstart
from headstart.data.dataset import read
from headstart.errors import Interrupted
from headstart.features.cache import Cache
from headstart.progress import Silent
from headstart.sources.base import find, find_image
from headstart.workflow import schedule
from headstart.workflow.pictures import prepare
from headstart.workflow.plan import Plan, Run
from headstart.workflow.rank import rank_prepared
from headstart.workflow.search import Search

from .conftest import QUICK


@pytest.fixture(scope="module")
def twin(tmp_path_factory) -> str:
    """A local source model whose features are nearly those of the packaged one."""
    from safetensors.torch import save_file

    state = find().build().model.state_dict()
    state["conv_head.weight"] = state["conv_head.weight"] * 1.02
    path = tmp_path_factory.mktemp("sources") / "twin.safetensors"
    save_file({name: value.contiguous() for name, value in state.items()}, path)
    return f"local:tf_efficientnet_lite0@{path}"


@pytest.fixture
def roomy(monkeypatch):
    """Two looks and one training, whatever the clock says; of two, the later source model wins."""
    plain = Search.beats

    def beats(self, new, old, among=1):
        plain(self, new, old, among)
        return new.source != old.source and new.recipe is not None

    monkeypatch.setattr(Search, "beats", beats)
    monkeypatch.setattr(Search, "left_for", lambda *_: 1e6)
    monkeypatch.setattr(schedule, "affordable", lambda *_: 2)
    return monkeypatch


def test_the_second_source_model_is_taken_also_after_an_interruption(photos, twin, tmp_path, roomy):
    trained = schedule.trained

    def stop(*_):
        raise KeyboardInterrupt

    roomy.setattr(schedule, "trained", stop)
    with pytest.raises(Interrupted):
        headstart.fit(
            photos,
            source=f"efficientnet_lite0,{twin}",
            methods=["linear_probe", "partial"],
            settings={**QUICK, "partial": {"epochs": "2", "views": "1", "point": "blocks.5"}},
            budget="10m",
            out=tmp_path / "run",
        )
    ranking = json.loads((tmp_path / "run" / "ranking.json").read_text())
    first = ranking["chosen"]
    second = ({"efficientnet_lite0", twin} - {first}).pop()
    known = json.loads((tmp_path / "run" / schedule.FILE).read_text())
    assert len(known["looks"]) == len(known["arms"]) == 2
    assert known["arms"][0]["source"] == first and known["arms"][1]["settings"] == {}
    # whichever of the two was better by its look: here the second one's training
    known["looks"][1]["loss"] = -1.0
    (tmp_path / "run" / schedule.FILE).write_text(json.dumps(known))

    roomy.setattr(schedule, "trained", trained)
    run = headstart.fit(resume=tmp_path / "run")
    summary, at = run.summary, known["arms"][1]["label"].removeprefix("partial")
    assert summary["chosen"]["source"] == second
    assert summary["chosen"]["method"] == f"partial{at}"
    sources = {trial["method"]: trial["source"] for trial in summary["tried"]}
    assert sources == {
        "linear_probe": first,
        "partial": first,
        f"linear_probe{at}": second,
        f"partial{at}": second,
    }
    assert set(summary["references"]) == {"linear_probe", f"linear_probe{at}"}
    assert {"from_scratch", "majority"} == set(summary["controls"])
    assert not summary["diagnosis"]["failed"]

    weights = tmp_path / "run" / "trials" / f"partial{at}" / "model.safetensors"
    assert weights.exists()
    config = json.loads((run.folder / "model" / "config.json").read_text())
    assert (config["source"]["name"] == "efficientnet_lite0") == (second == "efficientnet_lite0")
    assert run.model.predict([next(photos.glob("*/*.jpg"))])[0].label
    page = run.report.read_text()
    assert f"In the trials that followed, {second} was surely better" in page.replace("&#39;", "'")
    evidence = json.loads((run.folder / "evidence.json").read_text())
    assert evidence["source"]["name"] == second
    assert np.isfinite([trial["score"] for trial in evidence["tried"]]).all()


def test_one_source_model_with_a_budget_knows_nothing_of_it(photos, tmp_path):
    run = headstart.fit(
        photos, methods=["linear_probe"], settings=QUICK, budget="20s", out=tmp_path / "run"
    )
    assert not (run.folder / schedule.FILE).exists()
    assert {trial["source"] for trial in run.summary["tried"]} == {"efficientnet_lite0"}


def test_a_ranking_without_time_skips_what_does_not_fit(photos, twin, tmp_path, monkeypatch):
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    sources, cache = [find_image("efficientnet_lite0"), find_image(twin)], Cache()
    run = Run.create(Plan(data=str(photos), source="x,y"), tmp_path / "run")
    data = prepare(run, read(photos), sources[0], cache, Silent())
    found = rank_prepared(run, data, sources, cache, Silent(), left=lambda: 0.0)
    assert found.chosen == "efficientnet_lite0"
    assert [one["source"] for one in found.skipped] == [twin]
    assert "0 s are left" in found.skipped[0]["why"]
