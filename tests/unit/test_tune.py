"""Other settings within a budget: looks, trainings of the best third, and decisions that stay."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from headstart.methods.base import Situation, searched
from headstart.methods.finetune.partial import Method as Partial
from headstart.progress import Silent
from headstart.workflow import tune as module
from headstart.workflow.plan import Plan, Run
from headstart.workflow.search import Search
from headstart.workflow.trials import Trial
from headstart.workflow.tune import FEWEST, tune

ROWS, EACH, FIXED = 400, 0.5, 4.0
ANSWERS = {
    "split": SimpleNamespace(test=[]),
    "sweep": SimpleNamespace(seconds=1.0, computed=0, rate=0.0),
}
SITUATION = Situation(ROWS, 2, 224, 224, "blocks.5")


def shares(right: float) -> np.ndarray:
    """Probabilities of two classes that are right for a share of the rows; all are of class 0."""
    out = np.full((ROWS, 2), 0.2)
    hits = np.random.default_rng(3).permutation(ROWS) < right * ROWS
    out[hits, 0], out[~hits, 1] = 0.8, 0.8
    return out


class World:
    """A search whose trainings take the seconds that were forecast, on a clock of its own."""

    def __init__(self, folder, monkeypatch, budget="600s", left=500.0, gain=0.2):
        self.now, self.end, self.gain = 0.0, left, gain
        self.looked, self.trained, self.pace = [], [], 1.0
        masks = np.ones((5, ROWS), bool)
        for fold in range(5):
            masks[fold, fold::5] = False
        bench = SimpleNamespace(
            modality="image",
            seed=0,
            source=SimpleNamespace(name="one", macs=400),
            label=lambda name, number=None: name if number is None else f"{name}~{number + 1}",
            targets=np.zeros(ROWS, int),
            data=SimpleNamespace(masks=masks, **ANSWERS),
            sweep_seconds=1.0,
            situation=lambda: SITUATION,
            folds_for=lambda name, most=0: [0],
            most_folds={},
            suited=lambda recipe, asked=(): recipe,
            standing=lambda score: score,
            passes=lambda name, most=0: 5.0,
        )
        clock = SimpleNamespace(left=lambda: self.end - self.now, save=lambda: None)
        budget = None if budget is None else float(budget[:-1])
        plan = Plan("x", budget=budget)
        run = Run.create(plan, folder)
        self.search = Search(run, bench, clock, Silent())
        recipe = Partial().recipe(SITUATION)
        self.search._forecasts = {"partial": {"epochs": recipe.epochs}}
        held = shares(0.7)
        self.best = Trial("partial", "finetune", {}, 0.7, ROWS, 9.0, held, held, recipe)
        self.search.tried.append(self.best)
        monkeypatch.setattr(module, "forecast", lambda *_: (FIXED, EACH))
        monkeypatch.setattr(module, "glance", self.glance)
        monkeypatch.setattr(module, "trained", self.train)

    def glance(self, bench, name, recipe):
        self.looked.append((name, recipe))
        seconds = self.pace * EACH * 0.8 / 5.0 * recipe.epochs
        self.now += seconds
        return {"score": 0.5, "loss": abs(np.log(recipe.rate / 2e-3)), "seconds": seconds}

    def train(self, bench, name, values, recipe, standing):
        self.trained.append((name, recipe))
        self.now += self.pace * EACH * recipe.epochs
        held = shares(0.7 + self.gain)
        state = SimpleNamespace()
        return Trial(
            name, "finetune", values, 0.7 + self.gain, ROWS, 9.0, held, held, recipe, state=state
        )


def test_a_third_of_the_looks_is_trained_and_the_better_is_kept(tmp_path, monkeypatch):
    world = World(tmp_path / "run", monkeypatch)
    kept = tune(world.search, world.best)
    assert len(world.looked) == 27 and len(world.trained) == 9
    assert kept.method.startswith("partial~") and kept in world.search.tried
    whole = Partial().recipe(SITUATION).epochs
    assert all(recipe.epochs == -(-whole // 3) for _, recipe in world.looked)
    assert all(recipe.epochs == whole for _, recipe in world.trained)
    near = sorted(abs(np.log(recipe.rate / 2e-3)) for _, recipe in world.looked)
    assert {abs(np.log(r.rate / 2e-3)) for _, r in world.trained} == set(near[:9])


def test_settings_that_are_no_better_change_nothing(tmp_path, monkeypatch):
    world = World(tmp_path / "run", monkeypatch, gain=0.0)
    assert tune(world.search, world.best) is world.best


def test_the_best_of_many_must_be_surer(tmp_path, monkeypatch):
    """A gain that one trial would have to show with 80 % is not enough among nine of them."""
    held = shares(0.7)
    lucky = held.copy()
    rows = np.flatnonzero(held[:, 0] < 0.5)[:9]
    worse = np.flatnonzero(held[:, 0] > 0.5)[:4]
    lucky[rows], lucky[worse] = (0.8, 0.2), (0.2, 0.8)
    world = World(tmp_path / "run", monkeypatch)
    recipe = Partial().recipe(SITUATION)
    new = Trial("partial~1", "finetune", {}, 0.71, ROWS, 9.0, lucky, lucky, recipe)
    assert world.search.beats(new, world.best) and not world.search.beats(new, world.best, 9)


def test_slower_looks_leave_room_for_the_control(tmp_path, monkeypatch):
    """Everything takes three times what was predicted: fewer are looked at, and fewer trained."""
    monkeypatch.setattr(f"{__name__}.EACH", 5.0)
    world = World(tmp_path / "run", monkeypatch, left=1500.0)
    world.pace = 3.0
    tune(world.search, world.best)
    whole = 3 * EACH * Partial().recipe(SITUATION).epochs
    assert FEWEST <= len(world.looked) < 27
    assert world.end - world.now >= 1.25 * (whole if world.trained else world.best.seconds) * 0.85


@pytest.mark.parametrize("left", [70.0, 120.0, 200.0, 300.0])
def test_the_budget_holds_with_room_for_the_control(tmp_path, monkeypatch, left):
    world = World(tmp_path / "run", monkeypatch, left=left)
    tune(world.search, world.best)
    whole = EACH * Partial().recipe(SITUATION).epochs
    assert world.looked, "there was time for a few"
    assert world.end - world.now >= 1.25 * whole


def test_without_a_budget_or_without_time_nothing_is_tried(tmp_path, monkeypatch):
    free = World(tmp_path / "free", monkeypatch, budget=None)
    assert tune(free.search, free.best) is free.best and not free.looked
    short = World(tmp_path / "short", monkeypatch, left=30.0)
    assert tune(short.search, short.best) is short.best and not short.looked
    assert "s are left" in short.search.skipped[-1]["why"]


def test_texts_are_left_alone_where_held_out_rows_could_not_show_a_gain(tmp_path, monkeypatch):
    few = World(tmp_path / "few", monkeypatch)
    few.search.bench.modality, few.search.bench.task = "text", SimpleNamespace(name="classify")
    assert tune(few.search, few.best) is few.best and not few.looked
    assert "would not show" in few.search.skipped[-1]["why"]
    many = World(tmp_path / "many", monkeypatch)
    many.search.bench.modality, many.search.bench.task = "text", SimpleNamespace(name="classify")
    many.best.judged = 100 * ROWS
    tune(many.search, many.best)
    assert many.looked


def test_a_killed_search_goes_on_to_the_same_trials(tmp_path, monkeypatch):
    whole = World(tmp_path / "whole", monkeypatch)
    tune(whole.search, whole.best)

    first = World(tmp_path / "cut", monkeypatch)
    plain = first.glance

    def stop(bench, name, recipe):
        if len(first.looked) == 5:
            raise KeyboardInterrupt
        return plain(bench, name, recipe)

    monkeypatch.setattr(module, "glance", stop)
    with pytest.raises(KeyboardInterrupt):
        tune(first.search, first.best)
    again = World(tmp_path / "other", monkeypatch)
    again.search.run = first.search.run
    again.now = 60.0  # a clock that has gone on changes no decision that was written down
    tune(again.search, again.best)
    assert [name for name, _ in first.looked + again.looked] == [name for name, _ in whole.looked]
    assert again.trained[0] == whole.trained[0]


def test_what_the_user_set_is_not_searched(tmp_path, monkeypatch):
    world = World(tmp_path / "run", monkeypatch)
    object.__setattr__(world.search.run.plan, "settings", {"partial": {"rate": "0.0012"}})
    tune(world.search, world.best)
    assert {recipe.rate for _, recipe in world.looked} == {0.0012}
    assert len({recipe.body_rate for _, recipe in world.looked}) == 27


def test_ranges_that_are_searched_hold_the_default_and_are_allowed():
    for name in ("partial", "full"):
        method = module.configure("finetune", name)
        found = searched("finetune", name)
        assert {"rate", "body_rate"} <= set(found)
        for key, where in found.items():
            value = getattr(method, key)
            if "choices" in where:
                assert value in where["choices"]
            else:
                assert where["low"] <= value <= where["high"]
                type(method)(**{key: where["low"]})
                type(method)(**{key: where["high"]})
