"""The time of a trial over sessions: as if it had not been interrupted."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from headstart.workflow import trials as module
from headstart.workflow.plan import Plan, Run
from headstart.workflow.trials import _Spent


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves when it is told to."""
    now = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(module.time, "perf_counter", lambda: now.seconds)
    return now


def test_a_resumed_trial_counts_each_piece_once(tmp_path, clock):
    bench = SimpleNamespace(run=Run.create(Plan("x"), tmp_path / "run"))
    curve = [{"seconds": 3.0}, {"seconds": 4.0}]
    first = _Spent(bench, "partial")
    clock.seconds += 5.0
    first.add("start")
    clock.seconds += 8.0
    first.add("fold0", curve)
    assert first.total == 13.0

    again = _Spent(bench, "partial")  # killed in the second fold, whose first epoch took 4 s
    clock.seconds += 2.0
    again.add("start")
    clock.seconds += 1.0
    again.add("fold0", curve)  # read from the disk
    clock.seconds += 3.5
    again.add("fold1", [{"seconds": 4.0}, {"seconds": 3.0}])
    assert again.total == 13.0 + 7.0
    assert _Spent(bench, "partial").total == 20.0
