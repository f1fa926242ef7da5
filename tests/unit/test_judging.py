"""Validators, confidence and collapse alarms against answers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from headstart.methods import confidence
from headstart.methods.domains import Domains, Head
from headstart.selection.collapse import alarms
from headstart.selection.validators import (
    agreement,
    bnm,
    cluster,
    dev,
    information_max,
    iwcv,
    mixval,
    snd,
)
from headstart.selection.validators.base import Seen


def test_importance_weighted_risk_of_four_rows():
    losses, ratios = np.array([1.0, 0.0, 0.0, 1.0]), np.array([2.0, 1.0, 0.5, 0.5])
    assert iwcv.risk(losses, ratios) == pytest.approx(2.5 / 4)


def test_deep_embedded_validation_of_four_rows():
    losses, ratios = np.array([1.0, 0.0, 0.0, 1.0]), np.array([2.0, 1.0, 0.5, 0.5])
    # wl = 2, 0, 0, .5: mean .625; mean w = 1; cov = mean(wl·w) - .625 = 4.25/4 - .625 = .4375
    # var w = (1 + 0 + .25 + .25)/4 = .375; η = -.4375/.375; wl + η·1 - η = .625
    assert dev.risk(losses, ratios) == pytest.approx(0.625)
    off = ratios * 1.2  # a ratio whose mean is not 1 is corrected
    weighted = off * losses
    eta = -np.cov(weighted, off, ddof=0)[0, 1] / off.var()
    assert dev.risk(losses, off) == pytest.approx(weighted.mean() + eta * (off.mean() - 1))


def test_the_control_variate_removes_variance():
    random = np.random.default_rng(0)
    plain, tamed = [], []
    for _ in range(200):
        x = random.normal(0, 1, 300)
        ratios, losses = np.exp(0.8 * x - 0.32), (x > -1).astype(float)
        plain.append(iwcv.risk(losses, ratios))
        tamed.append(dev.risk(losses, ratios))
    true = 0.5 * math.erfc(-1.8 / math.sqrt(2))  # P(x > -1) for x ~ N(0.8, 1)
    assert abs(np.mean(tamed) - true) < 0.01
    assert np.std(tamed) < 0.5 * np.std(plain)


def test_equal_ratios_are_plain_validation():
    losses = np.array([1.0, 0.0, 0.0])
    assert dev.risk(losses, np.ones(3)) == iwcv.risk(losses, np.ones(3)) == pytest.approx(1 / 3)


def test_neighbourhood_density_of_one_clump_and_of_two():
    clump = np.tile([0.9, 0.1], (6, 1))
    assert snd.density(clump) == pytest.approx(1.0)  # every other row is an equal neighbour
    two = np.repeat(np.eye(2), 3, axis=0)  # two equal neighbours among the other five
    assert snd.density(two) == pytest.approx(math.log(2) / math.log(5), abs=1e-6)


def test_clumps_are_denser_than_answers_scattered_as_unsurely():
    random = np.random.default_rng(6)
    clumps = np.repeat([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]], 100, axis=0)
    scattered = random.dirichlet([1.2, 1.2, 1.2], 300)
    assert scattered.max(axis=1).mean() < 0.8
    assert snd.density(clumps) > snd.density(scattered)


def test_density_by_the_formula_written_out():
    probabilities = np.random.default_rng(0).dirichlet([0.5, 1, 2], 600)
    unit = probabilities / np.linalg.norm(probabilities, axis=1, keepdims=True)
    near = unit @ unit.T / 0.05
    np.fill_diagonal(near, -np.inf)
    share = np.exp(near - near.max(axis=1, keepdims=True))
    share /= share.sum(axis=1, keepdims=True)
    wanted = -(share * np.log(np.where(share > 0, share, 1))).sum(axis=1).mean() / math.log(599)
    assert snd.density(probabilities) == pytest.approx(wanted, rel=1e-4)


def test_nuclear_norm_at_its_ends():
    assert bnm.nuclear(np.eye(3)[np.arange(12) % 3]) == pytest.approx(1.0)
    collapsed = np.tile([1.0, 0.0, 0.0], (12, 1))
    assert bnm.nuclear(collapsed) == pytest.approx(math.sqrt(12) / math.sqrt(36))
    given = np.random.default_rng(1).dirichlet([1, 1, 1, 1], 3)  # fewer rows than classes
    assert bnm.nuclear(given) == pytest.approx(np.linalg.norm(given, "nuc") / 3)


def test_information_at_its_ends():
    assert information_max.information(np.eye(4)) == pytest.approx(math.log(4))
    assert information_max.information(np.full((5, 4), 0.25)) == pytest.approx(0)
    assert information_max.information(np.tile(np.eye(4)[0], (5, 1))) == pytest.approx(0)


def test_a_linear_heads_regions_are_convex_and_its_boundary_is_judged():
    random = np.random.default_rng(2)
    features = np.concatenate([random.normal(-3, 0.3, (50, 1)), random.normal(3, 0.3, (50, 1))])
    middle = Head(np.array([[-1.0], [1.0]]), np.zeros(2))
    within, between = mixval.mixed(middle.predict, features, middle.predict(features))
    assert within == 1.0 and between > 0.9
    beside = Head(np.array([[-1.0], [1.0]]), np.array([4.0, 0.0]))  # the boundary at x = 2
    within, between = mixval.mixed(beside.predict, features, beside.predict(features))
    assert within == 1.0 and between == pytest.approx(0.5, abs=0.05)
    assert mixval.mixed(lambda x: np.zeros(len(x), int), features, np.zeros(100, int)) == (1.0, 0.0)


def test_separation_of_two_points_and_their_mixture():
    rows = np.array([[0.0], [0.0], [4.0], [4.0]])
    assert cluster.separation(rows, np.array([0, 0, 1, 1])) == 1.0
    assert cluster.separation(rows, np.array([0, 1, 0, 1])) == 0.0
    assert cluster.separation(rows, np.zeros(4, int)) == 0.0


def test_votes_of_neighbours_and_their_ties():
    answers = np.array([0, 1, 1, 0])
    sure = np.array([[0.9, 0.1], [0.4, 0.6], [0.1, 0.9], [0.6, 0.4]])
    near = np.array([[1, 2], [0, 2], [3, 0], [0, 2]])
    # row 1 and row 3: one vote each; rows 0 and 2 are equally sure, and the first class wins
    assert agreement.votes(answers, near, sure).tolist() == [1, 0, 0, 0]
    sure[2] = [0.01, 0.99]
    assert agreement.votes(answers, near, sure).tolist() == [1, 1, 0, 1]


def test_average_thresholded_confidence_of_ten_rows():
    top = np.array([0.55, 0.6, 0.7, 0.8, 0.9])
    held = np.column_stack([top, 1 - top])
    right = np.array([0, 1, 0, 1, 1])  # two wrong: the threshold is the third, 0.7
    target = np.array([[0.52, 0.48], [0.69, 0.31], [0.71, 0.29], [0.2, 0.8]])
    assert confidence.thresholded(held, right, target) == 0.5
    assert confidence.thresholded(held, np.ones(5), target) == 1.0
    assert confidence.thresholded(held, np.zeros(5), target) == 0.0


def test_difference_of_confidences():
    held, target = np.array([[0.9, 0.1]] * 2), np.array([[0.7, 0.3]] * 3)
    assert confidence.with_difference(held, np.array([1, 1]), target) == pytest.approx(0.8)


def test_calibration_finds_temperature_and_bias():
    random = np.random.default_rng(3)
    logits = random.normal(0, 2, (4000, 3))
    truth = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (truth.cumsum(axis=1) < random.random((4000, 1))).sum(axis=1)
    bias = np.array([0.5, 0.0, -0.5])
    given = confidence.recalibrated(truth, 1 / 2.5, bias)  # too sure, and leaning to one class
    value, found = confidence.calibrate(given, labels)
    assert value == pytest.approx(2.5, rel=0.1)
    np.testing.assert_allclose(confidence.recalibrated(given, value, found), truth, atol=0.05)
    value, none = confidence.calibrate(truth, labels, biased=False)
    assert value == pytest.approx(1, rel=0.1) and not none.any()


def test_calibration_of_perfect_and_of_hopeless_answers_stays_in_its_range():
    hot = np.eye(3)[np.arange(30) % 3]
    value, bias = confidence.calibrate(hot, np.arange(30) % 3)
    assert 0.1 <= value <= 10 and np.isfinite(bias).all()
    value, bias = confidence.calibrate(hot, (np.arange(30) + 1) % 3)
    assert 0.1 <= value <= 10 and np.isfinite(bias).all()


def test_neighbours_of_the_target_by_the_plain_way():
    random = np.random.default_rng(4)
    domains = Domains(np.eye(2), np.arange(2), random.normal(0, 1, (1100, 5)), 2)
    rows = domains.reduced_target
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    near = unit @ unit.T
    np.fill_diagonal(near, -np.inf)
    for row in (0, 500, 1090):
        assert set(domains.target_neighbours[row]) == set(np.argsort(-near[row])[:10])


def collapse(before: np.ndarray, after: np.ndarray, growing: bool = False) -> list[str]:
    """Alarms of a change in probabilities, which heads on one-hot rows can say exactly."""
    rows, classes = before.shape
    heads = [Head(np.log(np.maximum(p, 1e-9)).T, np.zeros(classes)) for p in (before, after)]
    domains = Domains(np.eye(rows), np.arange(rows) % classes, np.eye(rows), classes)
    held, labels = np.eye(rows), np.arange(rows) % classes
    seen = Seen(heads[1], heads[0], domains, held, labels, np.ones(rows), lambda d: d.source_only)
    return alarms(seen, [f"kind {k}" for k in range(classes)], growing)


def answers(counts: list[int], top: float = 0.8) -> np.ndarray:
    classes = len(counts)
    rest = (1 - top) / (classes - 1)
    return np.repeat(np.eye(classes) * (top - rest) + rest, counts, axis=0)


def test_no_alarm_where_little_changed():
    assert collapse(answers([40, 40, 40]), answers([50, 30, 40], 0.9)) == []
    assert collapse(answers([2, 60, 58]), answers([0, 61, 59])) == []  # two rows are noise


def test_a_class_that_vanished_is_named():
    (said,) = collapse(answers([40, 40, 40]), answers([1, 59, 60]))
    assert said.startswith(
        "kind 0 has vanished: 33.3% of the target by the source-only model, 0.8%"
    )


def test_a_class_that_took_over_is_named():
    said = collapse(answers([40, 40, 40]), answers([0, 4, 116], 0.95))
    assert sum("has vanished" in one for one in said) == 2
    assert any(one.startswith("kind 2 has taken over") for one in said)
    assert any("answers have narrowed" in one for one in said)


def test_a_class_that_was_meant_to_grow_may_but_none_may_vanish():
    assert collapse(answers([80, 40]), answers([30, 90]))
    assert not collapse(answers([80, 40]), answers([30, 90]), growing=True)
    (said,) = collapse(answers([80, 40]), answers([1, 119]), growing=True)
    assert "has vanished" in said


def test_a_class_that_grew_beyond_reason_is_named():
    (said,) = collapse(answers([8, 56, 56]), answers([36, 42, 42]))
    assert said.startswith("kind 0 has grown beyond reason: 6.7% of the target")


def test_blind_certainty_is_named():
    (said,) = collapse(answers([40, 40, 40], 0.7), answers([40, 40, 40], 0.999))
    assert "mean confidence rose from 70.0% to 99.9%" in said
