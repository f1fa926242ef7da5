"""Fewer rows where the budget has no room for all."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from headstart.data.dataset import Row
from headstart.workflow.thin import drawn


def rows(part: str | None, counts: dict[str, int]) -> list[Row]:
    out = []
    for label, count in counts.items():
        out += [Row(f"{part}/{label}/{n}", None, label, None, part) for n in range(count)]
    return out


def test_room_for_all_takes_all_in_their_order():
    given = rows(None, {"a": 30, "b": 10})
    assert drawn(given, 40, 0) == given


@pytest.mark.parametrize("part", [None, "train"])
def test_classes_keep_their_proportions(part):
    given = rows(part, {"a": 300, "b": 100, "rare": 3})
    tests = rows("test", {"a": 40, "b": 40}) if part else []
    found = drawn([*given, *tests], 200, 7)
    counts = Counter(row.label for row in found if row.part == part)
    room = 200 - len(tests)
    assert counts["a"] == pytest.approx(room * 300 / 403, abs=2)
    assert counts["b"] == pytest.approx(room * 100 / 403, abs=2)
    assert counts["rare"] == 2
    assert [row for row in found if row.part == "test"] == tests


def test_a_large_test_part_takes_half_and_its_labels_do_not_matter():
    learn, tests = rows("train", {"a": 500, "b": 500}), rows("test", {"a": 900, "b": 100})
    found = drawn([*learn, *tests], 400, 3)
    kept = {row.name for row in found if row.part == "test"}
    assert len(kept) == 200
    turned = [Row(row.name, None, "b" if row.label == "a" else "a", None, "test") for row in tests]
    again = drawn([*learn, *turned], 400, 3)
    assert {row.name for row in again if row.part == "test"} == kept


def test_the_same_seed_draws_the_same_and_another_one_does_not():
    given = rows(None, {"a": 300, "b": 300})
    first, second, other = (drawn(given, 100, seed) for seed in (1, 1, 2))
    assert first == second != other
    places = [given.index(row) for row in first]
    assert np.all(np.diff(places) > 0)
