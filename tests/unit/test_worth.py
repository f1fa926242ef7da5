"""Whether a dearer method has a chance, and whether it earned its cost."""

from __future__ import annotations

import numpy as np
import pytest

from headstart.selection.worth import SURE, better, prospect


def test_a_gain_that_could_not_be_seen_is_not_paid_for():
    """5 % errors on 100 rows, of which a fifth may go: 1 point, and chance alone is 2.2."""
    view = prospect("partial", 0.95, 100, 0.2, eager=False)
    assert not view.go
    assert view.expected == pytest.approx(0.01)
    assert view.visible == pytest.approx(np.sqrt(0.05 / 100))
    assert view.why == (
        "partial would not show: expected gain 1.0 points, and 100 validation rows show 2.2 at best."
    )


def test_a_gain_that_could_be_seen_is_tried():
    view = prospect("full", 0.6, 400, 0.25, eager=False)
    assert view.go and "full may pay" in view.why


@pytest.mark.parametrize("eager", [False, True])
def test_a_perfect_score_leaves_nothing_to_gain(eager):
    assert not prospect("full", 1.0, 500, 0.25, eager=eager).go


def test_a_budget_makes_it_easier_and_never_harder():
    for standing in np.linspace(0.3, 0.99, 12):
        for rows in (20, 100, 500):
            bold = prospect("full", standing, rows, 0.25, eager=True)
            careful = prospect("full", standing, rows, 0.25, eager=False)
            assert bold.go >= careful.go
    assert prospect("partial", 0.85, 100, 0.15, eager=True).go
    assert not prospect("partial", 0.85, 100, 0.15, eager=False).go


def test_more_rows_and_more_errors_make_a_method_more_worth_trying():
    goes = [prospect("m", 0.8, rows, 0.2, eager=False).go for rows in (10, 30, 100, 300, 1000)]
    assert goes == sorted(goes) and goes[0] is not goes[-1]
    goes = [prospect("m", s, 150, 0.2, eager=False).go for s in (0.99, 0.9, 0.8, 0.6, 0.3)]
    assert goes == sorted(goes) and goes[0] is not goes[-1]


def test_a_clear_gain_is_sure_and_a_clear_loss_is_not():
    ours, theirs = np.ones(100), np.repeat([1.0, 0.0], [80, 20])
    assert better(ours, theirs, 0) > 0.999
    assert better(theirs, ours, 0) < 0.001
    assert better(ours, ours, 0) == 0.5


def test_the_chance_is_that_of_the_normal_distribution():
    """On many rows: wins and losses against the normal approximation."""
    from scipy.stats import norm

    gain = np.repeat([1.0, -1.0, 0.0], [60, 45, 295])
    ours, theirs = (gain > 0).astype(float), (gain < 0).astype(float)
    wanted = norm.cdf(gain.mean() / (gain.std() / np.sqrt(400)))
    assert better(ours, theirs, 0) == pytest.approx(wanted, abs=0.02)


def test_equal_models_seldom_look_better():
    random = np.random.default_rng(0)
    chances = []
    for seed in range(200):
        ours, theirs = (random.random(80) < 0.8 for _ in range(2))
        chances.append(better(ours, theirs, seed))
    assert np.mean(np.array(chances) >= SURE) == pytest.approx(1 - SURE, abs=0.09)


def test_the_same_seed_gives_the_same_chance():
    ours, theirs = (np.random.default_rng(n).random(50) < 0.7 for n in (1, 2))
    assert better(ours, theirs, 3) == better(ours, theirs, 3)


def test_one_row_alone_shows_nothing():
    theirs = np.zeros(50)
    ours = theirs.copy()
    ours[:1] = 1.0
    assert better(ours, theirs, 0) == pytest.approx(0.75)
    ours[:3] = 1.0
    assert better(ours, theirs, 0) > 0.9
