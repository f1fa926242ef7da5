"""Intervals and tests against known values, and how often they are right."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from headstart.evaluate import paired
from headstart.evaluate.paired import (
    difference,
    discordant,
    exact_p,
    interval,
    resamples,
    swapped_p,
    wilson,
)
from headstart.types import Interval


@pytest.mark.parametrize("rows", [1, 2, 7, 40, 1000, 100_000])
@pytest.mark.parametrize("share", [0.0, 0.03, 0.5, 0.97, 1.0])
def test_wilson_is_scipys(rows, share):
    hits = round(share * rows)
    wanted = binomtest(hits, rows).proportion_ci(0.95, method="wilson")
    assert wilson(hits, rows, z=1.959963985) == pytest.approx((wanted.low, wanted.high), abs=1e-9)
    low, high = wilson(hits, rows)
    assert 0 <= low <= hits / rows <= high <= 1


def test_wilson_of_a_textbook():
    """Newcombe 1998, table I, method 3: 81/263 and 15/148."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("wins", "losses"), [(0, 0), (1, 0), (0, 6), (5, 5), (12, 3), (3, 12), (40, 70), (500, 480)]
)
def test_the_exact_test_is_scipys(wins, losses):
    wanted = binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    assert exact_p(wins, losses) == pytest.approx(wanted)


@pytest.mark.parametrize(("wins", "losses"), [(520, 481), (700, 500), (5000, 5100), (2000, 0)])
def test_of_many_rows_the_normal_test_is_close(wins, losses):
    wanted = binomtest(wins, wins + losses).pvalue
    assert exact_p(wins, losses) == pytest.approx(wanted, rel=0.05, abs=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_swapping_gives_mcnemars_test_for_accuracy(seed):
    random = np.random.default_rng(seed)
    targets, ours, theirs = predictions(random, 90)
    wanted = exact_p(*discordant(targets, ours, theirs))
    got = swapped_p("accuracy", targets, ours, theirs, 3, seed)
    assert got == pytest.approx(wanted, abs=3 * np.sqrt(0.25 / 4000))
    assert got == swapped_p("accuracy", targets, ours, theirs, 3, seed)


def test_swapping_is_exact_on_rows_that_can_be_counted():
    """Four rows of which three differ: all 8 swaps by hand, for each metric."""
    from itertools import product

    from headstart.tasks.classify import METRICS, score

    targets, ours, theirs = (np.array(v) for v in ([0, 1, 1, 2], [0, 1, 1, 2], [0, 0, 2, 1]))
    for name in METRICS:
        gaps = []
        for keep in product([True, False], repeat=4):
            a, b = np.where(keep, ours, theirs), np.where(keep, theirs, ours)
            gaps.append(
                abs(score(name, targets, np.eye(3)[a]) - score(name, targets, np.eye(3)[b]))
            )
        wanted = np.mean(np.array(gaps) >= gaps[0] - 1e-9)
        got = swapped_p(name, targets, ours, theirs, 3, 0)
        assert got == pytest.approx(wanted, abs=0.02), name


def test_equal_answers_are_as_alike_as_can_be():
    targets, ours, _ = predictions(np.random.default_rng(0), 50)
    assert swapped_p("macro_f1", targets, ours, ours, 3, 0) == 1.0


def test_resamples_are_bootstrap_weights():
    weights = resamples(50, seed=0, count=2000)
    assert weights.shape == (2000, 50) and (weights.sum(axis=1) == 50).all()
    assert weights.mean() == pytest.approx(1) and weights.var() == pytest.approx(1, abs=0.05)
    assert np.array_equal(weights, resamples(50, 0, 2000))
    assert not np.array_equal(weights, resamples(50, 1, 2000))


def predictions(random, rows, ours=0.8, theirs=0.7, shared=0.5, classes=3):
    """Two models whose errors go together."""
    targets = random.integers(0, classes, rows)
    both = random.random(rows) < shared
    common, a, b = (random.random(rows) for _ in range(3))
    out = []
    for own, level in ((a, ours), (b, theirs)):
        right = np.where(both, common, own) < level
        out.append(np.where(right, targets, (targets + 1) % classes))
    return targets, out[0], out[1]


@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy"])
def test_the_interval_of_a_difference_covers_the_truth(monkeypatch, name):
    """95 % of 400 intervals, within three standard errors; the true difference is 0.1."""
    monkeypatch.setattr(paired, "RESAMPLES", 500)
    random = np.random.default_rng(0)
    covered = 0
    for seed in range(400):
        targets, ours, theirs = predictions(random, 150)
        found = difference(name, targets, ours, theirs, 3, seed)
        covered += found.low <= 0.1 <= found.high
    assert abs(covered / 400 - 0.95) < 3 * np.sqrt(0.95 * 0.05 / 400) + 0.005


def test_the_interval_of_a_score_covers_the_truth(monkeypatch):
    monkeypatch.setattr(paired, "RESAMPLES", 500)
    random = np.random.default_rng(1)
    for name in ("accuracy", "macro_f1"):
        covered = 0
        for seed in range(200):
            targets, ours, _ = predictions(random, 150)
            found = interval(name, targets, ours, 3, seed)
            covered += found.low <= 0.8 <= found.high
        assert 0.9 <= covered / 200 <= 0.99


def test_pairing_makes_the_interval_narrower():
    random = np.random.default_rng(2)
    targets, ours, theirs = predictions(random, 400, shared=0.95)
    together = difference("accuracy", targets, ours, theirs, 3, 0)
    order = random.permutation(400)  # the same scores, on rows that have nothing in common
    stranger = np.where((theirs == targets)[order], targets, (targets + 1) % 3)
    apart = difference("accuracy", targets, ours, stranger, 3, 0)
    assert together.value == pytest.approx(apart.value)
    assert together.high - together.low < 0.6 * (apart.high - apart.low)


def test_a_difference_is_signed_and_the_same_for_the_same_seed():
    targets, ours, theirs = predictions(np.random.default_rng(3), 300)
    one = difference("macro_f1", targets, ours, theirs, 3, 5)
    assert one == difference("macro_f1", targets, ours, theirs, 3, 5)
    other = difference("macro_f1", targets, theirs, ours, 3, 5)
    assert (other.value, other.low, other.high) == pytest.approx((-one.value, -one.high, -one.low))
    assert difference("accuracy", targets, ours, ours, 3, 0) == Interval(0, 0, 0)


def test_blocks_of_resamples_have_the_right_number(monkeypatch):
    drawn: list[int] = []
    real = paired.resamples

    def noted(rows, seed, count=4000):
        drawn.append(count)
        return real(rows, seed, count)

    monkeypatch.setattr(paired, "resamples", noted)
    targets = np.zeros(30_000, np.int64)
    monkeypatch.setattr(paired, "RESAMPLES", 1000)
    interval("macro_f1", targets, targets, 2, 0)
    assert sum(drawn) == 1000 and len(drawn) == 2


def test_discordant_rows():
    targets = np.array([0, 1, 2, 0, 1, 2])
    ours = np.array([0, 1, 0, 1, 1, 2])
    theirs = np.array([0, 0, 2, 1, 0, 2])
    assert discordant(targets, ours, theirs) == (2, 1)


def test_an_interval_in_words():
    found = Interval(0.214, 0.1789, 0.25)
    assert found.points() == "+21.4 points [17.9, 25.0]"
    assert Interval(0.935, 0.884, 0.964).percent() == "93.5 % [88.4, 96.4]"
    assert found.excludes_zero and Interval(-0.2, -0.3, -0.1).excludes_zero
    assert not Interval(0.1, -0.01, 0.2).excludes_zero and not Interval(0.1, 0, 0.2).excludes_zero
