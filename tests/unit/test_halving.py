"""Successive halving: settings spread over their space, and no more of them than the time allows."""

from __future__ import annotations

import numpy as np
import pytest

from headstart.selection.halving import Range, affordable, draw, survivors

SPACE = {
    "rate": Range(1e-4, 1e-2),
    "depth": Range(1, 6, whole=True),
    "how": Range(choices=("a", "b")),
}


def test_settings_fill_their_space_evenly():
    drawn = draw(SPACE, 64, seed=0)
    rates = np.log10([one["rate"] for one in drawn])
    counts, _ = np.histogram(rates, bins=8, range=(-4, -2))
    assert counts.min() >= 6 and counts.max() <= 10, "8 in each eighth, but for the rounding"
    assert {one["how"] for one in drawn} == {"a", "b"}
    assert all(isinstance(one["depth"], int) and 1 <= one["depth"] <= 6 for one in drawn)


def test_a_longer_list_begins_with_the_shorter_one():
    assert draw(SPACE, 16, seed=3)[:5] == draw(SPACE, 5, seed=3)
    assert draw(SPACE, 16, seed=3) != draw(SPACE, 16, seed=4)


def test_nothing_to_search_gives_nothing():
    assert draw({}, 5, seed=0) == []
    assert draw(SPACE, 0, seed=0) == []


@pytest.mark.parametrize("left", [5.0, 30.0, 77.0, 400.0])
def test_what_is_promised_fits(left):
    random = np.random.default_rng(int(left))
    looks, wholes = random.uniform(1, 4, 30).tolist(), random.uniform(5, 20, 30).tolist()
    count = affordable(looks, wholes, left)
    assert count != 1 and count <= 27
    if count:
        going = sorted(wholes[:count])[-len(survivors([0.0] * count)) :]
        assert sum(looks[:count]) + sum(going) <= left


def test_the_good_setting_survives_noise():
    """A third goes on: the best of 27 is among them though each look is noisy."""
    random = np.random.default_rng(0)
    kept = 0
    for _ in range(200):
        true = random.normal(0.8, 0.05, 27)
        kept += int(np.argmax(true)) in survivors((true + random.normal(0, 0.03, 27)).tolist())
    assert kept > 190
