"""What a training is predicted to cost, where stages join one after another."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from headstart.methods.base import Situation
from headstart.methods.finetune.full import Method as Full
from headstart.train.parts import unfrozen
from headstart.workflow import forecast as module

SITUATION = Situation(400, 2, 224, 224, "blocks.5")


def predicted(recipe, monkeypatch):
    """The mean seconds of a row where a step costs 1, and each stage that trains 1 more."""
    import torch

    names = [f"s{n}" for n in range(9)] + ["head"]
    tail = torch.nn.Sequential()
    for name in names:
        tail.add_module(name, torch.nn.Linear(2, 2))
    asked = []

    def seconds(tail, feed, rows, recipe, *, epoch, **more):
        asked.append(epoch)
        return 1.0 + unfrozen(9, recipe.unfreeze_every, epoch)

    monkeypatch.setattr(module, "seconds_per_row", seconds)
    bench = SimpleNamespace(
        learn=np.arange(5), all_targets=np.zeros(5, int), holding=lambda recipe: {}
    )
    return module._mean_seconds(bench, tail, recipe, None), asked


@pytest.mark.parametrize(("every", "epochs"), [(1, 4), (1, 20), (3, 7), (5, 50)])
def test_gradual_unfreezing_costs_the_mean_of_its_epochs(every, epochs, monkeypatch):
    recipe = replace(Full().recipe(SITUATION), unfreeze_every=every, epochs=epochs)
    found, asked = predicted(recipe, monkeypatch)
    exact = np.mean([1.0 + unfrozen(9, every, epoch) for epoch in range(epochs)])
    assert found == pytest.approx(exact, rel=0.03)
    assert len(asked) <= module.DEPTHS


def test_what_trains_from_the_start_is_timed_once(monkeypatch):
    recipe = Full().recipe(SITUATION)
    assert predicted(recipe, monkeypatch) == (10.0, [recipe.epochs])


def test_a_step_is_timed_with_what_trains_in_that_epoch(monkeypatch):
    import torch

    from headstart.train import loop

    recipe = replace(Full().recipe(SITUATION), unfreeze_every=1, smoothing=0.0, batch=4)
    tail = torch.nn.Sequential()
    for name in ("first", "second", "head"):
        tail.add_module(name, torch.nn.Linear(3, 3))
    feed = SimpleNamespace(batch=lambda rows, epoch=-1: torch.ones(len(rows), 3))
    trained = []
    plain = loop.set_mode

    def watch(module, recipe):
        trained.append(
            {n.partition(".")[0] for n, p in module.named_parameters() if p.requires_grad}
        )
        plain(module, recipe)

    monkeypatch.setattr(loop, "set_mode", watch)
    for epoch in (0, 1, None):
        assert loop.seconds_per_row(tail, feed, range(8), recipe, epoch=epoch) > 0
    assert trained == [{"head"}, {"head", "second"}, {"head", "second", "first"}]
