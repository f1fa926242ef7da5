"""Each transferability score against its paper's formula, written out here in plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris

from headstart.errors import UsageError
from headstart.selection.transferability import (
    _evidence,
    _logistic,
    base,
    gbc,
    h_score,
    leep,
    logme,
    nce,
    nearest_neighbour,
    nleep,
    probe,
    sfda,
    transrate,
)

CLOSE = {"rel": 1e-4, "abs": 1e-4}


def iris():
    return load_iris(return_X_y=True)


def digits():
    features, labels = load_digits(return_X_y=True)
    return features / 16, labels


def wide():
    """90 digits as a random network sees them: 150 rectified features, so that n < d."""
    features, labels = digits()
    random = np.random.default_rng(1)
    out = np.maximum(features[:90] @ random.standard_normal((64, 150)) / 8 + 0.1, 0)
    return out, labels[:90]


def unequal():
    """Digits with classes of very different sizes, one of them a single row."""
    features, labels = digits()
    keep = [np.flatnonzero(labels == c)[: max(1, 18 * c)] for c in range(10)]
    rows = np.concatenate(keep)
    return features[rows], labels[rows]


DATA = [iris, digits, wide, unequal]


def source(features: np.ndarray, classes: int = 30, sharp: float = 4.0) -> np.ndarray:
    """The predictions of a random source head on standardised features."""
    scaled = (features - features.mean(0)) / (features.std(0) + 1e-6)
    head = np.random.default_rng(2).standard_normal((features.shape[1], classes))
    logits = sharp * scaled @ head / np.sqrt(features.shape[1])
    raised = np.exp(logits - logits.max(1, keepdims=True))
    return raised / raised.sum(1, keepdims=True)


def rotation(width: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(3).standard_normal((width, width)))[0]


# --- LogME ---------------------------------------------------------------------------------------


def logme_by_hand(features, labels):
    """You et al. 2021, with explicit matrices, to convergence, one class at a time."""
    n, d = features.shape
    gram = features.T @ features
    found = []
    for c in range(labels.max() + 1):
        y = (labels == c).astype(float)
        alpha = beta = 1.0
        for _ in range(3000):
            a = alpha * np.eye(d) + beta * gram
            inverse = np.linalg.inv(a)
            m = beta * inverse @ features.T @ y
            gamma = np.trace(beta * gram @ inverse)
            new_alpha, new_beta = gamma / (m @ m), (n - gamma) / np.sum((features @ m - y) ** 2)
            far = new_alpha > 1e9 * new_beta  # the features say nothing about this class
            still = far or abs(new_alpha / new_beta - alpha / beta) < 1e-7 * alpha / beta
            alpha, beta = new_alpha, new_beta
            if still:
                break
        a = alpha * np.eye(d) + beta * gram
        m = beta * np.linalg.inv(a) @ features.T @ y
        found.append(
            n / 2 * np.log(beta)
            + d / 2 * np.log(alpha)
            - n / 2 * np.log(2 * np.pi)
            - beta / 2 * np.sum((features @ m - y) ** 2)
            - alpha / 2 * m @ m
            - np.linalg.slogdet(a)[1] / 2
        )
    return np.mean(found) / n


@pytest.mark.parametrize("data", DATA)
def test_logme_is_the_evidence_at_the_fixed_point(data):
    features, labels = data()
    assert logme.score(features, labels) == pytest.approx(logme_by_hand(features, labels), **CLOSE)


def test_logme_maximises_the_evidence():
    """No other pair of α and β on a grid around the fixed point has more evidence."""
    features, labels = iris()
    n, d = features.shape
    y = (labels == 1).astype(float)

    def value(alpha, beta):
        a = alpha * np.eye(d) + beta * features.T @ features
        m = beta * np.linalg.solve(a, features.T @ y)
        miss = np.sum((features @ m - y) ** 2)
        whole = n * np.log(beta) + d * np.log(alpha) - beta * miss - alpha * m @ m
        return (whole - np.linalg.slogdet(a)[1] - n * np.log(2 * np.pi)) / 2 / n

    sigma, axes = np.linalg.eigh(features.T @ features)
    squares = ((axes.T @ features.T @ y) ** 2 / sigma)[:, None]
    found = float(logme.evidence(sigma, squares, np.array([y.sum()]), n, d)[0])
    grid = [value(a, b) for a in np.geomspace(1e-3, 1e3, 80) for b in np.geomspace(1e-2, 1e3, 80)]
    assert max(grid) <= found + 1e-9
    assert max(grid) == pytest.approx(found, abs=2e-3)


# --- H-score -------------------------------------------------------------------------------------


def between(features, labels):
    """The covariance of class means, each counted once for each row of its class."""
    n, d = features.shape
    mean, out = features.mean(0), np.zeros((d, d))
    for c in range(labels.max() + 1):
        rows = features[labels == c]
        gap = rows.mean(0) - mean
        out += len(rows) / n * np.outer(gap, gap)
    return out


@pytest.mark.parametrize("data", DATA)
def test_h_score_is_the_trace_with_the_shrunk_covariance(data):
    from sklearn.covariance import LedoitWolf

    features, labels = data()
    fitted = LedoitWolf().fit(features)
    inverse = np.linalg.inv(fitted.covariance_)
    wanted = np.trace(inverse @ between(features, labels)) * (1 - fitted.shrinkage_)
    assert fitted.shrinkage_ > 0
    assert h_score.score(features, labels) == pytest.approx(wanted, **CLOSE)


@pytest.mark.parametrize("data", [iris, digits, unequal])
def test_the_plain_h_score_is_the_trace_with_the_pseudo_inverse(data):
    features, labels = data()
    covariance = np.cov(features.T, bias=True)
    wanted = np.trace(np.linalg.pinv(covariance, rcond=1e-13) @ between(features, labels))
    assert h_score.plain(features, labels) == pytest.approx(wanted, **CLOSE)


def test_the_plain_h_score_says_nothing_when_rows_are_few():
    random = np.random.default_rng(0)
    labels = np.arange(30) % 5
    noise = [h_score.plain(random.standard_normal((30, 100)), labels) for _ in range(3)]
    np.testing.assert_allclose(noise, 4.0, rtol=1e-6)
    assert h_score.score(random.standard_normal((30, 100)), labels) < 2.0


# --- LEEP, NCE -----------------------------------------------------------------------------------


def leep_by_hand(probabilities, labels):
    """Nguyen et al. 2020, one entry at a time."""
    n, s = probabilities.shape
    joint = np.zeros((labels.max() + 1, s))
    for i in range(n):
        for z in range(s):
            joint[labels[i], z] += probabilities[i, z] / n
    total = 0.0
    for i in range(n):
        chance = 0.0
        for z in range(s):
            chance += joint[labels[i], z] / joint[:, z].sum() * probabilities[i, z]
        total += np.log(chance)
    return total / n


@pytest.mark.parametrize("data", [iris, wide, unequal])
def test_leep_is_the_mean_log_of_the_expected_prediction(data):
    features, labels = data()
    chances = source(features)
    assert leep.score(None, labels, chances) == pytest.approx(
        leep_by_hand(chances, labels), **CLOSE
    )


def test_leep_ignores_source_classes_that_never_come():
    features, labels = iris()
    chances = source(features)
    more = np.hstack([chances, np.zeros((len(labels), 4))])
    assert leep.score(None, labels, more) == pytest.approx(leep.score(None, labels, chances))


@pytest.mark.parametrize("data", DATA)
def test_nce_is_the_negative_conditional_entropy(data):
    features, labels = data()
    chances = source(features)
    guess, n, entropy = chances.argmax(1), len(labels), 0.0
    for z in set(guess.tolist()):
        for y in set(labels.tolist()):
            joint = sum(1 for i in range(n) if guess[i] == z and labels[i] == y) / n
            alone = sum(1 for i in range(n) if guess[i] == z) / n
            entropy -= joint * np.log(joint / alone) if joint else 0.0
    assert entropy > 0.05
    assert nce.score(None, labels, chances) == pytest.approx(-entropy, **CLOSE)


def test_leep_is_at_least_nce_less_the_entropy_of_soft_predictions():
    """Nguyen et al. 2020: LEEP ≥ NCE + mean log θ(x)_z at the predicted class."""
    features, labels = digits()
    chances = source(features)
    bound = nce.score(None, labels, chances) + np.log(chances.max(1)).mean()
    assert leep.score(None, labels, chances) >= bound


# --- NLEEP ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [digits, unequal])
def test_nleep_is_leep_over_the_mixture_of_scikit_learn(data):
    """The same mixture (PCA to 80 %, diagonal, from the same start) fitted by another library."""
    from sklearn.decomposition import PCA
    from sklearn.mixture import GaussianMixture

    features, labels = data()
    reduced = PCA(0.8, svd_solver="full").fit_transform(features)
    reduced = reduced / np.sqrt(reduced.var(0).mean())
    k = 5 * (labels.max() + 1)
    other = base.principal(features, energy=nleep.ENERGY)
    other = other / np.sqrt(other.var(0).mean())
    assert other.shape == reduced.shape
    other *= np.sign((other * reduced).sum(0))  # the sign of an axis is arbitrary
    np.testing.assert_allclose(other, reduced, atol=1e-8)
    mixed = GaussianMixture(
        k,
        covariance_type="diag",
        means_init=nleep.start(other, k, 0),
        weights_init=np.full(k, 1 / k),
        precisions_init=np.repeat(1 / (other.var(0)[None] + nleep.FLOOR), k, 0),
        reg_covar=nleep.FLOOR,
        tol=nleep.CLOSE,
        max_iter=nleep.STEPS,
        random_state=0,
    ).fit(other)
    theirs = mixed.predict_proba(other)
    ours = nleep.mixture(other, nleep.start(other, k, 0))
    assert ours.shape == theirs.shape
    assert leep_by_hand(ours[:200], labels[:200]) < 0
    given = leep.score(None, labels, theirs)
    assert leep.score(None, labels, ours) == pytest.approx(given, **CLOSE)


def test_nleep_depends_on_the_seed_a_little_and_on_nothing_else():
    features, labels = digits()
    found = [nleep.score(features, labels, seed=seed) for seed in (0, 0, 1, 2)]
    assert found[0] == found[1]
    assert np.ptp(found) < 0.15 and len(set(found)) > 1


def test_a_mixture_finds_clusters_that_are_there():
    random = np.random.default_rng(0)
    own = np.arange(300) % 3
    rows = random.standard_normal((300, 2)) * 0.1 + np.array([[0, 0], [2, 0], [0, 2]])[own]
    share = nleep.mixture(rows / rows.std(), nleep.start(rows / rows.std(), 3, 0))
    np.testing.assert_allclose(share.sum(1), 1.0)
    assert len({(c, int(k)) for c, k in zip(own, share.argmax(1), strict=True)}) == 3


# --- TransRate -----------------------------------------------------------------------------------


@pytest.mark.parametrize("data", DATA)
def test_transrate_is_the_difference_of_coding_rates(data):
    features, labels = data()

    def rate(z):
        n, d = z.shape
        return np.linalg.slogdet(np.eye(d) + z.T @ z / (n * 1e-4))[1] / 2

    z = features - features.mean(0)
    classes = labels.max() + 1
    wanted = rate(z) - sum(rate(z[labels == c]) for c in range(classes)) / classes
    assert transrate.score(features, labels) == pytest.approx(wanted, **CLOSE)


# --- GBC -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("covariance", ["diagonal", "spherical"])
@pytest.mark.parametrize("data", DATA)
def test_gbc_is_the_sum_of_bhattacharyya_coefficients(data, covariance):
    from sklearn.decomposition import PCA

    features, labels = data()
    reduced = PCA(min(64, *features.shape), svd_solver="full").fit_transform(features)
    total = 0.0
    for i in range(labels.max() + 1):
        for j in range(labels.max() + 1):
            if i == j:
                continue
            a, b = reduced[labels == i], reduced[labels == j]
            first, second = (np.maximum(rows.var(0), 1e-4) for rows in (a, b))
            if covariance == "spherical":
                first, second = (np.full(len(v), v.mean()) for v in (first, second))
            middle = np.diag((first + second) / 2)
            gap = a.mean(0) - b.mean(0)
            logs = [np.linalg.slogdet(m)[1] for m in (middle, np.diag(first), np.diag(second))]
            distance = (
                gap @ np.linalg.inv(middle) @ gap / 8 + (logs[0] - (logs[1] + logs[2]) / 2) / 2
            )
            total -= np.exp(-distance)
    found = gbc.score(features, labels, covariance=covariance)
    assert found == pytest.approx(total, rel=1e-4, abs=1e-9)


def test_gbc_knows_two_covariances():
    features, labels = iris()
    with pytest.raises(UsageError, match="covariance = 'full'"):
        gbc.score(features, labels, covariance="full")


# --- SFDA ----------------------------------------------------------------------------------------


def sfda_by_hand(features, labels):
    """Shao et al. 2022, with the eigenvectors of the generalised problem."""
    from scipy.linalg import eigh

    n, d = features.shape
    classes = labels.max() + 1

    def fisher(x, strength=None):
        means = np.array([x[labels == c].mean(0) for c in range(classes)])
        priors = np.array([(labels == c).mean() for c in range(classes)])
        within = sum(
            priors[c] * np.atleast_2d(np.cov(x[labels == c].T, bias=True)) for c in range(classes)
        )
        if strength is None:
            strength = max(np.exp(-5 * np.linalg.eigvalsh(within)[-1]), 1e-10)
        regular = (1 - strength) * within + strength * np.trace(within) / d * np.eye(d)
        if strength > 1e-8:
            _, axes = eigh(between(x, labels), regular)
        else:  # so singular that eigenvectors are rounding errors: any axes with AᵀSA = I will do
            axes = np.linalg.inv(np.linalg.cholesky(regular)).T
        x, means = x @ axes, means @ axes
        scores = x @ means.T - (means**2).sum(1) / 2 + np.log(priors)
        raised = np.exp(scores - scores.max(1, keepdims=True))
        return raised / raised.sum(1, keepdims=True), strength

    chance, strength = fisher(features)
    soft = np.exp(chance) / np.exp(chance).sum(1, keepdims=True)
    means = np.array([features[labels == c].mean(0) for c in range(classes)])
    mixed = features.copy()
    for i in range(n):
        others = np.mean([means[c] for c in range(classes) if c != labels[i]], axis=0)
        p = soft[i, labels[i]]
        mixed[i] = p * features[i] + (1 - p) * others
    chance, _ = fisher(mixed, strength)
    return np.mean([chance[i, labels[i]] for i in range(n)])


@pytest.mark.parametrize("scale", [0.2, 1.0, 4.0])
@pytest.mark.parametrize("data", DATA)
def test_sfda_is_the_probability_after_mixing(data, scale):
    features, labels = data()
    wanted = sfda_by_hand(features * scale, labels)
    assert sfda.score(features * scale, labels) == pytest.approx(wanted, **CLOSE)


# --- nearest neighbours --------------------------------------------------------------------------


@pytest.mark.parametrize("neighbours", [1, 5])
@pytest.mark.parametrize("data", DATA)
def test_neighbours_vote_without_the_row_itself(data, neighbours):
    features, labels = data()
    features, labels = features[::3], labels[::3]
    right = 0
    for i in range(len(labels)):
        likeness = []
        for j in range(len(labels)):
            lengths = np.linalg.norm(features[i]) * np.linalg.norm(features[j])
            likeness.append(features[i] @ features[j] / lengths if j != i else -2.0)
        votes = labels[np.argsort(-np.array(likeness), kind="stable")[:neighbours]].tolist()
        most = max(votes.count(c) for c in votes)
        right += next(c for c in votes if votes.count(c) == most) == labels[i]
    found = nearest_neighbour.score(features, labels, neighbours=neighbours)
    assert found == pytest.approx(right / len(labels), abs=1e-9)


def test_neighbours_are_the_same_over_many_blocks(monkeypatch):
    features, labels = digits()
    whole = nearest_neighbour.leave_one_out(features, labels)
    monkeypatch.setattr(nearest_neighbour, "BLOCK", 100)
    np.testing.assert_array_equal(nearest_neighbour.leave_one_out(features, labels), whole)


# --- probe ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [iris, digits])
def test_the_probe_agrees_with_logistic_regression(data):
    """The same folds and penalties, one problem at a time, by another library's solver."""
    from sklearn.linear_model import LogisticRegression

    from headstart.methods.finetune.linear_probe import whiten

    features, labels = data()
    rotated = whiten(features)[0].astype(float)
    n = len(labels)
    fold = probe._folds(labels, probe.FOLDS, 0)
    losses = []
    for penalty in probe.PENALTIES:
        right = np.zeros(n)
        for number in range(probe.FOLDS):
            train = fold != number
            model = LogisticRegression(C=1 / (penalty * train.sum()), max_iter=2000, tol=1e-7)
            model.fit(rotated[train], labels[train])
            chance = model.predict_proba(rotated[~train])
            right[~train] = chance[np.arange((~train).sum()), labels[~train]]
        losses.append(np.log(right).mean())
    converged = probe.held_out(features, labels, steps=2000)[np.arange(n), labels]
    assert np.log(converged).mean() == pytest.approx(max(losses), abs=5e-3)
    assert probe.score(features, labels) == pytest.approx(max(losses), abs=0.02)


def test_the_folds_of_the_probe_are_balanced():
    labels = unequal()[1]
    fold = probe._folds(labels, 3, 0)
    for c in range(10):
        counts = np.bincount(fold[labels == c], minlength=3)
        assert np.ptp(counts) <= 1
    assert (probe._folds(labels, 3, 1) != fold).any()


# --- properties that several share ---------------------------------------------------------------

ROTATES = [logme, h_score, transrate, gbc, sfda, nearest_neighbour, probe]


@pytest.mark.parametrize("module", ROTATES, ids=lambda m: m.__name__.rsplit(".", 1)[-1])
@pytest.mark.parametrize("data", [iris, wide])
def test_a_rotation_of_the_features_changes_nothing(module, data):
    features, labels = data()
    turned = features @ rotation(features.shape[1])
    # the probe standardises columns, so a rotation gives it another problem, though a like one
    close = {"rel": 0.08, "abs": 5e-3} if module is probe else CLOSE
    assert module.score(turned, labels) == pytest.approx(module.score(features, labels), **close)


@pytest.mark.parametrize("module", [h_score, nleep, probe], ids=lambda m: m.__name__[-7:])
def test_scale_and_offset_change_nothing(module):
    features, labels = digits()
    moved = features * 50 + 3
    assert module.score(moved, labels) == pytest.approx(module.score(features, labels), rel=1e-3)


@pytest.mark.parametrize(
    "module", [logme, h_score, transrate, sfda, gbc], ids=lambda m: m.__name__.rsplit(".", 1)[-1]
)
def test_columns_of_zeros_or_copies_are_handled_by_the_formula(module):
    """Orthogonal columns of zeros change no inner product; what counts the width may shift it."""
    features, labels = digits()
    wider = np.hstack([features, np.zeros((len(features), 8))])
    assert module.score(wider, labels) == pytest.approx(module.score(features, labels), rel=0.05)


# --- the linear algebra that they share ----------------------------------------------------------


@pytest.mark.parametrize("shape", [(40, 15), (15, 40), (20, 20), (3, 500)])
def test_compact_keeps_every_inner_product(shape):
    features = np.random.default_rng(0).standard_normal(shape)
    small = base.compact(features)
    assert small.shape == (shape[0], min(shape))
    np.testing.assert_allclose(small @ small.T, features @ features.T, atol=1e-10)


def test_large_float32_features_are_multiplied_in_blocks(monkeypatch):
    features = np.random.default_rng(0).standard_normal((700, 40)).astype(np.float32)
    exact = base.second_moment(features)
    monkeypatch.setattr(base, "LARGE", 0.0)
    monkeypatch.setattr(base, "BLOCK", 64)
    close = base.second_moment(features)
    assert 0 < np.abs(close - exact).max() < 1e-5 * np.abs(exact).max()
    np.testing.assert_array_equal(base.second_moment(features, exact=True), exact)
    labels = np.arange(700) % 7
    for module in (logme, h_score, transrate, gbc, sfda):
        single = module.score(features, labels)
        assert single == pytest.approx(module.score(features.astype(float), labels), **CLOSE)


@pytest.mark.parametrize("offset", [0.0, 3.0, 40.0])
def test_logme_without_eigenvectors_is_the_same(offset, monkeypatch):
    """Also where the mean of the features is by far their longest direction."""
    features, labels = digits()
    features = (features[:, features.std(0) > 0.1] + offset).astype(np.float32)
    wanted = logme.score(features, labels)
    monkeypatch.setattr(base, "LARGE", 0.0)
    given = base.check("logme", logme.NEEDS, features, labels)
    assert _evidence.single(given) == pytest.approx(wanted, **CLOSE)
    assert logme.score(features, labels) == _evidence.single(given) != wanted


def test_where_float32_is_not_enough_float64_is_used(monkeypatch):
    features, labels = digits()
    features = (16 * features).astype(np.float32)  # so large that sfda hardly regularises
    wanted = [module.score(features, labels) for module in (logme, sfda)]
    monkeypatch.setattr(base, "LARGE", 0.0)
    monkeypatch.setattr(_evidence, "TOLERATED", 0.0)
    assert _evidence.single(base.check("logme", logme.NEEDS, features, labels)) is None
    asked, plain = [], base.second_moment

    def moment(rows, *, exact=False):
        asked.append(exact)
        return plain(rows, exact=exact)

    monkeypatch.setattr(sfda, "second_moment", moment)
    found = [module.score(features, labels) for module in (logme, sfda)]
    assert found == pytest.approx(wanted, **CLOSE)
    # columns without variance within classes leave no pivot
    assert asked == [False, True, False, True]


def test_the_solver_of_the_probe_ends_where_the_gradient_is_nothing():
    features, labels = digits()
    rows = (features - features.mean(0)).astype(np.float32)
    penalties = np.array([1e-2, 1.0])
    options = {"iterations": 500, "tolerance": 1e-9}
    solved = _logistic.solve_path(rows, rows.var(0) + 1e-3, labels, 10, penalties, **options)
    for weight, penalty in zip(solved.astype(float), penalties, strict=True):
        logits = rows @ weight[:-1] + weight[-1]
        chance = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        miss = (chance - np.eye(10)[labels]) / len(rows)
        np.testing.assert_allclose(rows.T @ miss + penalty * weight[:-1], 0, atol=2e-5)
        np.testing.assert_allclose(miss.sum(0), 0, atol=2e-5)
    again = _logistic.solve_path(
        rows, rows.var(0) + 1e-3, labels, 10, penalties, start=solved, **options
    )
    np.testing.assert_allclose(again, solved, atol=1e-3)


@pytest.mark.parametrize("wide", [2, 512])
def test_solving_leaves_out_singular_directions(wide, monkeypatch):
    monkeypatch.setattr(base, "WIDE", wide)
    random = np.random.default_rng(0)
    half = random.standard_normal((6, 3))
    matrix, right = half @ half.T, half @ random.standard_normal((3, 2))
    matrix[0, 0] -= 1e-12  # what rounding may do: no Cholesky factor
    found = base.solve(matrix, right)
    np.testing.assert_allclose(found, np.linalg.pinv(matrix, rcond=1e-10) @ right, rtol=1e-4)


@pytest.mark.parametrize("data", [digits, wide])
def test_both_libraries_give_the_same_scores(data, monkeypatch):
    features, labels = data()
    modules = (h_score, sfda, gbc, nleep)
    narrow = [module.score(features, labels) for module in modules]
    monkeypatch.setattr(base, "WIDE", 8)
    assert [module.score(features, labels) for module in modules] == pytest.approx(narrow, **CLOSE)


@pytest.mark.parametrize("energy", [0.3, 0.8, 0.999])
@pytest.mark.parametrize("data", [iris, digits, wide])
def test_principal_components_are_those_of_scikit_learn(data, energy):
    from sklearn.decomposition import PCA

    features, _ = data()
    wanted = PCA(energy, svd_solver="full").fit_transform(features)
    found = base.principal(features, energy=energy)
    assert found.shape == wanted.shape
    np.testing.assert_allclose(np.abs(found), np.abs(wanted), atol=1e-6)


def test_class_sums_are_the_same_over_many_blocks(monkeypatch):
    features, labels = digits()
    wanted = np.array([features[labels == c].sum(0) for c in range(10)])
    monkeypatch.setattr(base, "BLOCK", 101)
    np.testing.assert_allclose(base.class_sums(features, labels, 10), wanted)
    means, variances = base.class_moments(features, labels, 10)
    np.testing.assert_allclose(means[3], features[labels == 3].mean(0))
    np.testing.assert_allclose(variances[3], features[labels == 3].var(0), atol=1e-12)
