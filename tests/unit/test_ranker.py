"""Ranking source models by what their probes have right on the same rows."""

from __future__ import annotations

import numpy as np
import pytest

from headstart.selection.ranker import choose, rounds, stand


def hits(rows: int, share: float, seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).random(rows) < share).astype(float)


def test_a_clear_winner_is_named_as_sure():
    found = stand({"a": hits(600, 0.95, 1), "b": hits(600, 0.7, 2), "c": hits(600, 0.6, 3)}, seed=0)
    assert [one.name for one in found] == ["a", "b", "c"]
    assert found[0].best > 0.99 and found[0].regret < 0.001
    assert found[1].regret > 0.2 and found[1].best < 0.01


def test_probabilities_are_shares_that_sum_to_one():
    found = stand({str(i): hits(150, 0.8, i) for i in range(5)}, seed=0)
    assert sum(one.best for one in found) == pytest.approx(1, abs=0.02)
    assert all(
        one.regret >= 0 and one.score.low <= one.score.value <= one.score.high for one in found
    )


def test_the_same_rows_tell_more_than_the_same_scores():
    """Two candidates a point apart: beyond doubt where they differ on few rows, open otherwise."""
    base = hits(2000, 0.8, 1)
    better = base.copy()
    better[np.flatnonzero(base == 0)[:20]] = 1
    shuffled = np.random.default_rng(5).permutation(better)
    paired = {one.name: one for one in stand({"x": base, "y": better}, seed=0, departure=0)}
    apart = {one.name: one for one in stand({"x": base, "y": shuffled}, seed=0, departure=0)}
    assert paired["y"].best > 0.999 > apart["y"].best > 0.5


def test_what_the_probe_cannot_know_leaves_doubt():
    a, b = np.ones(5000), np.ones(5000)
    a[:450], b[:500] = 0, 0
    sure = {one.name: one.best for one in stand({"a": a, "b": b}, seed=0, departure=0)}
    doubt = {one.name: one.best for one in stand({"a": a, "b": b}, seed=0)}
    assert sure["a"] == 1 and 0.5 < doubt["a"] < 0.95


def test_a_lower_loss_tells_equals_apart():
    same = hits(200, 0.8, 1)
    losses = np.random.default_rng(0).exponential(0.5, 200)
    given = {"sharp": same, "dull": same}
    blind = {one.name: one for one in stand(given, seed=0)}
    seeing = {one.name: one for one in stand(given, 0, {"sharp": losses, "dull": losses * 2})}
    assert blind["sharp"].best == pytest.approx(0.5, abs=0.05)
    assert seeing["sharp"].best > 0.7 and seeing["dull"].best < 0.3
    assert seeing["sharp"].score == blind["sharp"].score, "what is shown stays the share right"


def test_a_share_of_one_looks_at_hits_alone():
    given = {str(i): hits(100, 0.7, i) for i in range(4)}
    random = np.random.default_rng(0)
    losses = {name: random.exponential(0.5, 100) for name in given}
    for with_, without in zip(
        stand(given, 3, losses, share=1.0), stand(given, 3, share=1.0), strict=True
    ):
        assert with_.name == without.name and with_.best == pytest.approx(without.best, abs=0.01)


def test_the_same_seed_gives_the_same_ranking():
    given = {str(i): hits(100, 0.7, i) for i in range(4)}
    assert stand(given, seed=3) == stand(given, seed=3)


def test_the_order_in_which_candidates_come_changes_nothing():
    given = {str(i): hits(150, 0.7, i) for i in range(5)}
    assert stand(given, seed=0) == stand(dict(reversed(given.items())), seed=0)


def test_the_cheaper_is_taken_where_nothing_separates_two():
    cheap = hits(200, 0.9, 1)
    dear = cheap.copy()
    dear[np.flatnonzero(cheap == 0)[:1]] = 1  # one row more of 200
    close = stand({"dear": dear, "cheap": cheap, "bad": np.zeros(200)}, seed=0)
    chosen, tied = choose(close, {"dear": 4e9, "cheap": 4e8, "bad": 1})
    assert chosen == "cheap" and tied == ["dear"]


def test_the_better_is_taken_where_it_is_surely_better():
    clear = stand({"dear": hits(900, 0.95, 1), "cheap": hits(900, 0.7, 2)}, seed=0)
    assert choose(clear, {"dear": 4e9, "cheap": 4e8}) == ("dear", [])


@pytest.mark.parametrize("rows", [5, 128, 200, 1000, 1999])
@pytest.mark.parametrize("classes", [2, 10, 100])
def test_rounds_grow_to_all_rows(rows, classes):
    sizes = rounds(rows, classes)
    assert sizes[-1] == rows and sizes == sorted(set(sizes))
    assert sizes[0] >= min(rows, 8 * classes)
