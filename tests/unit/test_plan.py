"""Requests: budgets, refusals, and a command line that repeats the run."""

from __future__ import annotations

import json
import shlex

import pytest

from headstart.data.dataset import Columns, Dataset
from headstart.errors import OutputError, RunError, UsageError
from headstart.methods.regularise.base import read, settled
from headstart.workflow.plan import DEFAULT_BUDGET, Plan, Run, parse_budget


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), (" 10m ", 600), ("1.5h", 5400), ("2M", 120), (45, 45), (0.5, 0.5)],
)
def test_budgets_are_read(text, seconds):
    assert parse_budget(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-5", "0s", "ten", "10 minutes", "1e3", "nan", "1m30s"])
def test_what_is_no_budget_is_refused(text):
    with pytest.raises(UsageError, match="is not a time") as caught:
        parse_budget(text)
    assert "10m" in caught.value.hint


def test_without_a_budget_there_is_a_limit():
    assert parse_budget(None) is None
    assert Plan("x").limit == DEFAULT_BUDGET and Plan("x", budget=7.0).limit == 7.0


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"metric": "f1"}, "no metric 'f1'"),
        ({"methods": ("probe",)}, "no method 'probe'"),
        ({"methods": ("majority",)}, "majority is a control"),
        ({"settings": {"parial": {}}}, "no method 'parial'"),
        ({"methods": ("mixup",)}, "mixup joins a method"),
        ({"methods": ("wise_ft",)}, "wise_ft joins a method"),
        ({"settings": {"lora": {"rank": "4"}}}, "lora runs only when it is named"),
        ({"settings": {"l2_sp": {"strength": "1"}}}, "no method uses l2_sp"),
        ({"settings": {"full": {"regularise": "l3_sp"}}}, "no regularise named 'l3_sp'"),
        ({"settings": {"full": {"regularise": "bss:strength=-1"}}}, "bss: strength = -1.0 is out"),
        ({"settings": {"full": {"regularise": "bss:x=1"}}}, "bss has no parameter 'x'"),
        ({"settings": {"full": {"regularise": "bss+mixup+bss"}}}, "bss is named twice"),
        ({"settings": {"full": {"regularise": "bss:1"}}}, "'1' is no KEY=VALUE"),
        ({"settings": {"full": {"keep": "wise"}}}, "no keep named 'wise'"),
        ({"test_share": 0.01}, "test share 0.01"),
        ({"test_share": 1.0}, "test share 1.0"),
        ({"test_share": float("nan")}, "test share nan"),
        ({"seed": -1}, "seed -1"),
        ({"seed": 2**31}, "seed 2147483648"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(values, says):
    with pytest.raises(UsageError, match=says):
        Plan("x", **values)


def test_regularisers_are_set_beside_the_method_that_uses_them():
    settings = {"full": {"regularise": "l2_sp + mixup:strength=0.4"}, "l2_sp": {"strength": "2"}}
    assert Plan("x", settings=settings).settings == settings
    assert (
        settled(settings["full"]["regularise"], settings)
        == "l2_sp:strength=2.0,head=0.01+mixup:strength=0.4"
    )
    made = read(settled(settings["full"]["regularise"], settings))
    assert [(one.name(), one.strength) for one in made] == [("l2_sp", 2.0), ("mixup", 0.4)]
    assert settled("", settings) == "" and read("") == []


WHOLE = Plan(
    "my photos/",
    Columns("path", "species", "site", "part"),
    "timm:resnet18",
    ("partial", "full"),
    {"partial": {"epochs": "5"}, "from_scratch": {"rate": "0.01"}},
    "macro_f1",
    7,
    90.0,
    0.3,
    True,
    True,
    "photos",
)


def test_a_plan_survives_json():
    assert Plan.from_dict(json.loads(json.dumps(WHOLE.as_dict()))) == WHOLE
    newer = {**WHOLE.as_dict(), "a field of a later version": 1}
    assert Plan.from_dict(json.loads(json.dumps(newer))) == WHOLE


def test_the_command_repeats_the_run(monkeypatch):
    """What it says is parsed by the command line itself, and gives the same plan."""
    from headstart.cli.app import main
    from headstart.workflow import fit as workflow

    seen: list[Plan] = []

    class Stop(Exception):
        pass

    def create(plan, out):
        seen.append(plan)
        raise Stop

    monkeypatch.setattr(Run, "create", create)
    monkeypatch.setattr(
        workflow, "read_given", lambda given, columns: Dataset((), "photos", "folder")
    )
    for plan in (WHOLE, Plan("photos", name="photos")):
        with pytest.raises(SystemExit):
            main(shlex.split(plan.command())[1:])
        got = seen.pop()
        assert {**got.as_dict(), "name": ""} == {**plan.as_dict(), "name": ""}


def test_a_run_folder_is_made_and_opened_again(tmp_path):
    run = Run.create(WHOLE, tmp_path / "run")
    run.remember("trials/x.json", {"a": 1})
    again = Run.resume(tmp_path / "run")
    assert again.plan == WHOLE and again.resumed and not run.resumed
    assert again.remembered("trials/x.json") == {"a": 1}
    assert again.remembered("trials/y.json") is None
    with pytest.raises(OutputError, match="holds a run already") as caught:
        Run.create(WHOLE, tmp_path / "run")
    assert "--resume" in caught.value.hint


def test_runs_without_a_folder_get_one_each_and_last_points_to_the_newest(tmp_path):
    runs = [Run.create(Plan("x", name="a b/ü"), None) for _ in range(3)]
    assert len({run.folder for run in runs}) == 3
    assert (tmp_path / "runs" / "last").resolve() == runs[-1].folder.resolve()
    assert all(run.folder.name.startswith("a-b") for run in runs)


@pytest.mark.parametrize("content", [None, "", "{", "{}", '{"data": 1}'])
def test_a_folder_without_a_run_cannot_be_resumed(tmp_path, content):
    (tmp_path / "run").mkdir()
    if content is not None:
        (tmp_path / "run" / "plan.json").write_text(content)
    with pytest.raises(RunError, match="no run that can be resumed"):
        Run.resume(tmp_path / "run")
