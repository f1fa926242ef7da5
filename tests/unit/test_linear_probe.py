"""The probe's solver against scikit-learn, and held-out rows that are really held out."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from headstart.data.split import folds
from headstart.methods.finetune import linear_probe
from headstart.methods.finetune.linear_probe import Method, softmax, solve_path, whiten


@pytest.fixture(scope="module")
def four(source_features, solar_features) -> tuple[np.ndarray, np.ndarray]:
    """Real features of four classes: temples, flowers, defective and sound solar cells."""
    features = np.concatenate([source_features.features, solar_features.features])
    return features, np.concatenate([source_features.targets, solar_features.targets + 2])


@pytest.fixture(scope="module")
def cells(solar_features) -> tuple[np.ndarray, np.ndarray]:
    return solar_features.features, solar_features.targets


def one_hot(targets: np.ndarray) -> np.ndarray:
    return np.eye(targets.max() + 1)[targets]


def every(count: int) -> np.ndarray:
    return np.ones((1, count), bool)


# ---- whitening -----------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [40, 300])
def test_whitening_rotates_onto_principal_axes(rows):
    """Both ways to compute it: fewer rows than features, and more."""
    random = np.random.default_rng(0)
    features = (random.normal(size=(rows, 60)) @ random.normal(size=(60, 60)) + 5).astype("f4")
    rotated, back, mean, variance = whiten(features)
    second = rotated.T @ rotated / rows
    assert np.allclose(second, np.diag(np.diag(second)), atol=1e-4 * second.max())
    assert np.allclose(np.diag(second), variance, rtol=1e-3, atol=1e-5)
    assert np.allclose((features - mean) @ back, rotated, atol=1e-3)
    assert rotated.shape[1] == back.shape[1] == len(variance) <= min(features.shape)


def test_whitening_keeps_distances_of_standardised_features(cells):
    """A rotation loses nothing: the penalty means the same before and after it."""
    features, _ = cells
    rotated, _, mean, _ = whiten(features)
    spread = features.std(axis=0)
    scaled = (features - mean) / (spread + 0.1 * spread.mean())
    wanted = ((scaled[:10, None] - scaled[None, :10]) ** 2).sum(axis=2)
    got = ((rotated[:10, None] - rotated[None, :10]) ** 2).sum(axis=2)
    assert np.allclose(got, wanted, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("kind", ["constant", "a dead feature", "two equal rows", "huge"])
def test_odd_features_give_finite_probabilities(kind):
    features = np.random.default_rng(0).normal(size=(40, 30)).astype("f4")
    targets = np.arange(40) % 2
    if kind == "constant":
        features[:] = 3.0
    elif kind == "a dead feature":
        features[:, 4] = 0.0
    elif kind == "two equal rows":
        features[1] = features[0]
    else:
        features *= 1e6
    probe = Method().solve(features, targets, folds(targets, np.arange(40), 0), np.ones(40, bool))
    assert np.isfinite(probe.weight).all() and np.isfinite(probe.bias).all()
    assert np.allclose(probe.held_out.sum(axis=1), 1) and np.allclose(probe.fitted.sum(axis=1), 1)


# ---- the solver ----------------------------------------------------------------------------


@pytest.mark.parametrize("penalty", [0.03, 0.3, 3.0])
def test_four_classes_as_scikit_learn_solves_them(four, penalty):
    """Its objective is C·Σ loss + ½‖W‖²; ours divided by λ: mean loss/λ + ½‖W‖², so C = 1/(nλ)."""
    features, targets = four
    rotated, _, _, variance = whiten(features)
    weight, bias, _ = solve_path(
        rotated, variance, one_hot(targets), every(len(targets)), np.array([penalty])
    )
    oracle = LogisticRegression(C=1 / (len(targets) * penalty), max_iter=5000, tol=1e-8)
    wanted = oracle.fit(rotated.astype(float), targets).predict_proba(rotated.astype(float))
    got = softmax(rotated @ weight[0, 0] + bias[0, 0])
    assert np.abs(got - wanted).max() < 0.01
    assert wanted.max(axis=1).mean() > 0.3, "the problem isn't trivial"


@pytest.mark.parametrize("penalty", [0.03, 0.3, 3.0])
def test_two_classes_as_scikit_learn_solves_them(cells, penalty):
    """With two classes it has one weight vector, the difference of ours: half the penalty."""
    features, targets = cells
    rotated, _, _, variance = whiten(features)
    weight, bias, _ = solve_path(
        rotated, variance, one_hot(targets), every(len(targets)), np.array([penalty])
    )
    oracle = LogisticRegression(C=2 / (len(targets) * penalty), max_iter=5000, tol=1e-8)
    wanted = oracle.fit(rotated.astype(float), targets).predict_proba(rotated.astype(float))
    assert np.abs(softmax(rotated @ weight[0, 0] + bias[0, 0]) - wanted).max() < 0.01


def test_the_whole_path_is_what_one_problem_at_a_time_gives(four):
    features, targets = four
    rotated, _, _, variance = whiten(features)
    masks = folds(targets, np.arange(len(targets)), 0)[:5]
    penalties = np.geomspace(1e-2, 10, 4)
    steps = {"iterations": 60, "tolerance": 0.0}
    weights, biases, taken = solve_path(
        rotated, variance, one_hot(targets), masks, penalties, **steps
    )
    assert weights.shape == (5, 4, rotated.shape[1], 4) and biases.shape == (5, 4, 4)
    assert taken == 60
    for m in range(5):
        for place, penalty in enumerate(penalties):
            weight, bias, _ = solve_path(
                rotated, variance, one_hot(targets), masks[m : m + 1], np.array([penalty]), **steps
            )
            got = softmax(rotated @ weights[m, place] + biases[m, place])
            alone = softmax(rotated @ weight[0, 0] + bias[0, 0])
            assert np.abs(got - alone).max() < 1e-4


def test_rows_outside_the_mask_have_no_say(four):
    features, targets = four
    rotated, _, _, variance = whiten(features)
    mask = np.random.default_rng(0).random((1, len(targets))) < 0.7
    wrong = np.where(mask[0], targets, (targets + 1) % 4)
    solved = [
        solve_path(rotated, variance, one_hot(labels), mask, np.array([0.1]))
        for labels in (targets, wrong)
    ]
    assert np.array_equal(solved[0][0], solved[1][0])
    assert np.array_equal(solved[0][1], solved[1][1])


def test_a_stronger_penalty_gives_smaller_weights(cells):
    features, targets = cells
    rotated, _, _, variance = whiten(features)
    weights, _, _ = solve_path(
        rotated, variance, one_hot(targets), every(80), np.geomspace(1e-3, 100, 8)
    )
    sizes = np.sqrt((weights[0] ** 2).sum(axis=(1, 2)))
    assert (np.diff(sizes) < 0).all()


# ---- the method ----------------------------------------------------------------------------


def test_the_probe_tells_photographs_apart_and_says_so_honestly(source_features):
    targets = source_features.targets
    masks = folds(targets, np.arange(48), 0)
    probe = Method().solve(source_features.features, targets, masks, np.ones(48, bool))
    assert (probe.held_out.argmax(axis=1) == targets).mean() >= 0.95
    assert probe.weight.shape == (2, 1280) and probe.bias.shape == (2,)
    assert probe.losses.argmin() == probe.chosen and len(probe.penalties) == 9
    logits = source_features.features @ probe.weight.T + probe.bias
    assert np.allclose(softmax(logits.astype(float)), probe.fitted, atol=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_random_labels_are_fitted_but_not_predicted(cells, seed):
    """Held-out probabilities that had seen their own row would be right here."""
    features, _ = cells
    targets = np.random.default_rng(seed).permutation(np.arange(80) % 2)
    masks = folds(targets, np.arange(80), seed)
    probe = Method(weakest=1e-3, strongest=1e-3, steps=1).solve(
        features, targets, masks, np.ones(80, bool)
    )
    assert (probe.fitted.argmax(axis=1) == targets).mean() > 0.97
    assert (probe.held_out.argmax(axis=1) == targets).mean() < 0.5 + 3 * 0.5 / np.sqrt(80)


def test_a_rows_own_label_has_no_say_in_its_held_out_probability(cells):
    features, targets = cells
    masks = folds(targets, np.arange(80), 0)
    method = Method(weakest=0.1, strongest=0.1, steps=1)
    before = method.solve(features, targets, masks, np.ones(80, bool))
    for row in (0, 17, 55):
        changed = targets.copy()
        changed[row] = 1 - changed[row]
        after = method.solve(features, changed, masks, np.ones(80, bool))
        assert np.allclose(before.held_out[row], after.held_out[row], atol=0.01)
        others = np.abs(before.held_out - after.held_out).max(axis=1)
        assert others.max() > 0.01, "it has a say in those of others"


def test_rows_outside_refit_and_folds(cells):
    """With the user's own validation part: one fold, and the head solved on the training rows."""
    features, targets = cells
    train = np.arange(80) % 4 != 0
    probe = Method().solve(features, targets, train[None], train)
    assert np.isnan(probe.held_out[train]).all()
    assert np.isfinite(probe.held_out[~train]).all()
    flipped = np.where(train, targets, 1 - targets)
    method = Method(weakest=probe.penalties[probe.chosen], strongest=10.0, steps=1)
    again = method.solve(features, flipped, train[None], train)
    assert np.array_equal(again.weight, method.solve(features, targets, train[None], train).weight)


def test_the_penalty_follows_the_noise(cells):
    """Labels without a reason ask for a stronger penalty than labels with one."""
    features, targets = cells
    masks = folds(targets, np.arange(80), 0)[:5]
    noise = np.random.default_rng(1).permutation(targets)
    kept = [
        Method().solve(features, labels, masks, np.ones(80, bool)) for labels in (targets, noise)
    ]
    assert kept[1].chosen > kept[0].chosen


def test_groups_of_problems_give_what_all_at_once_give(four, monkeypatch):
    features, targets = four
    masks = folds(targets, np.arange(len(targets)), 0)
    rows = np.ones(len(targets), bool)
    whole = Method().solve(features, targets, masks, rows)
    monkeypatch.setattr(linear_probe, "MEMORY", 128 * 9 * 4 * 3)
    parts = Method().solve(features, targets, masks, rows)
    assert np.abs(whole.held_out - parts.held_out).max() < 0.02
    assert np.allclose(whole.losses, parts.losses, atol=0.01)


def test_the_ends_of_the_path_may_be_given_in_any_order(cells):
    features, targets = cells
    masks = folds(targets, np.arange(80), 0)
    a = Method(weakest=0.01, strongest=1.0, steps=3)
    b = Method(weakest=1.0, strongest=0.01, steps=3)
    solved = [m.solve(features, targets, masks, np.ones(80, bool)) for m in (a, b)]
    assert np.array_equal(solved[0].penalties, solved[1].penalties)
    assert np.allclose(solved[0].penalties, [0.01, 0.1, 1.0])


# ---- rows that count differently -----------------------------------------------------------


@pytest.mark.parametrize("width", [10, 400])
def test_a_row_of_weight_two_is_that_row_twice(four, width):
    """Both ways to whiten: fewer rows than features, and more."""
    features, targets = four[0][:, :width], four[1]
    weights = np.random.default_rng(0).integers(1, 4, len(targets))
    twice = np.repeat(np.arange(len(targets)), weights)
    every_row = np.ones(len(targets), bool)
    weighted = Method().head(features, targets, every_row, 0.1, weights.astype(float))
    repeated = Method().head(features[twice], targets[twice], np.ones(len(twice), bool), 0.1)
    plain = Method().head(features, targets, every_row, 0.1)
    got, wanted, without = (
        softmax(features.astype(float) @ weight.T + bias)
        for weight, bias in (weighted, repeated, plain)
    )
    assert np.abs(got - wanted).max() < 5e-3 < np.abs(got - without).max()


def test_equal_weights_change_nothing(cells):
    features, targets = cells
    masks = folds(targets, np.arange(len(targets)), 0)
    every_row = np.ones(len(targets), bool)
    plain = Method().solve(features, targets, masks, every_row)
    equal = Method().solve(features, targets, masks, every_row, weights=np.full(len(targets), 7.0))
    assert np.allclose(plain.losses, equal.losses, atol=1e-3) and plain.chosen == equal.chosen
    assert np.allclose(plain.fitted, equal.fitted, atol=2e-3)


def test_rows_that_count_more_decide_the_penalty(cells):
    """Weights on one class alone: its held-out rows are what the loss is about."""
    features, targets = cells
    masks = folds(targets, np.arange(len(targets)), 0)
    weights = np.where(targets == 0, 50.0, 0.02)
    probe = Method().solve(features, targets, masks, np.ones(len(targets), bool), weights=weights)
    own = -np.log(probe.held_out[targets == 0, 0]).mean()
    assert probe.losses[probe.chosen] == pytest.approx(own, abs=0.02)
    assert (probe.fitted.argmax(axis=1) == 0).mean() > 0.9
