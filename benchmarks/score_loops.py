"""The loops that ``scores.py`` measures: each score's formula, done as public code for it does it.

They are written anew from the papers. Each does the same decompositions as the public code, class by
class where that goes class by class, in float64, with the same convergence rule; its docstring says
which code, and what is known of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from headstart.selection.transferability import probe

SOURCE = 1000
"""Classes of the source head."""
ROWS_TIMED = 400
"""Rows of the nearest-neighbour loop that are timed."""
PARTS = 100
"""One of so many parts of the components of the mixture with full covariances is timed."""


# The reference loops: (features, labels, probabilities) -> the score.


def _log_evidence(n: int, sigma: Any, alpha: float, beta: float, size: float, miss: float) -> float:
    """You et al. 2021, eq. 2 and 4: per row, d being the number of eigenvalues."""
    prior = len(sigma) * np.log(alpha) - alpha * size
    fit = n * (np.log(beta) - np.log(2 * np.pi)) - beta * miss
    return float(prior + fit - np.log(alpha + beta * sigma).sum()) / (2 * n)


def logme_icml(x: Any, y: Any, _: Any) -> float:
    """You et al. 2021: an SVD of FᵀF, then each class with its weights in full at every step.

    thuml/LogME has it as its first form: float64, 11 steps at most, and a stop where α/β changes by
    less than 1 %. (It compiles the steps; their time is in the matrix products all the same.)
    """
    f = x.astype(np.float64)
    n = len(f)
    left, sigma, right = np.linalg.svd(f.T @ f)
    found = []
    for c in range(y.max() + 1):
        target = (y == c).astype(np.float64)
        projected = right @ (f.T @ target)
        alpha = beta = 1.0
        for _step in range(11):
            ratio = alpha / beta
            weights = left @ (projected / (ratio + sigma))
            size, miss = weights @ weights, np.square(f @ weights - target).sum()
            gamma = (sigma / (ratio + sigma)).sum()
            alpha, beta = gamma / size, (n - gamma) / miss
            if abs(alpha / beta - ratio) < 0.01 * ratio:
                break
        found.append(_log_evidence(n, sigma, alpha, beta, size, miss))
    return float(np.mean(found))


def logme_fixed_point(x: Any, y: Any, _: Any) -> float:
    """You et al. 2022: the left singular vectors, then each class on its projections.

    thuml/LogME runs it by default: float64, singular vectors through an SVD of FᵀF, the evidence at
    every step of 11 at most, a stop at 0.1 % of α/β, and each class's weights kept at the end.
    """
    f = x.astype(np.float64)
    n = len(f)
    _, sigma, right = np.linalg.svd(f.T @ f)
    kept = np.sqrt(sigma) > 1e-10
    left = (f @ right.T)[:, kept] / np.sqrt(sigma[kept])
    right, sigma = right[kept], sigma[kept]
    found, weights = [], []
    for c in range(y.max() + 1):
        target = (y == c).astype(np.float64)
        along = left.T @ target
        square = along**2
        outside = target.sum() - square.sum()
        alpha = beta = 1.0
        for _step in range(11):
            ratio = alpha / beta
            shrink = 1 / (sigma + ratio)
            size = (sigma * square * shrink**2).sum()
            miss = (square * (ratio * shrink) ** 2).sum() + outside
            gamma = (sigma * shrink).sum()
            alpha, beta = gamma / size, (n - gamma) / miss
            value = _log_evidence(n, sigma, alpha, beta, size, miss)
            if abs(alpha / beta - ratio) <= 1e-3 * ratio:
                break
        found.append(value)
        weights.append(right.T @ (np.sqrt(sigma) * along * shrink))
    return float(np.mean(found))


def h_score(x: Any, y: Any, _: Any) -> float:
    """Ibrahim et al. 2022: scikit-learn's Ledoit-Wolf, means put in place of rows, pseudo-inverse."""
    from sklearn.covariance import LedoitWolf

    f = x.astype(np.float64)
    f = f - f.mean(axis=0, keepdims=True)
    fitted = LedoitWolf().fit(f)
    g = np.zeros_like(f)
    for c in range(y.max() + 1):
        g[y == c] = f[y == c].mean(axis=0)
    between = np.cov(g, rowvar=False, bias=True) * (1 - fitted.shrinkage_)
    return float(np.trace(np.linalg.pinv(fitted.covariance_, rcond=1e-15) @ between))


def leep(_: Any, y: Any, p: Any) -> float:
    """Nguyen et al. 2020: the joint by class, all expected predictions, then a row at a time.

    So in thuml/LogME: the probabilities in the precision they come in, the joint in float64, so that
    the product of the two is one in float64 for all classes, of which each row needs its own.
    """
    n = len(y)
    weighted = p / n
    joint = np.stack([weighted[y == c].sum(axis=0) for c in range(y.max() + 1)]).astype(float)
    given_source = joint / joint.sum(axis=0)
    expected = p @ given_source.T
    return float(np.log(np.array([expected[i, y[i]] for i in range(n)])).mean())


def nce_loop(source: Any, y: Any) -> float:
    """Tran et al. 2019: the joint a row at a time, then entropies of the whole table."""
    joint = np.zeros((y.max() + 1, SOURCE))
    for z, c in zip(source, y, strict=True):
        joint[c, z] += 1.0 / len(y)
    marginal = joint.sum(axis=0)
    seen = marginal > 0
    table = (joint[:, seen] / marginal[seen]).T + 1e-20
    return float(((table * np.log(table)).sum(axis=1) * marginal[seen]).sum())


def transrate(x: Any, y: Any, _: Any) -> float:
    """Huang et al. 2022: log determinants of d x d matrices."""

    def rate(z: Any) -> float:
        n, d = z.shape
        return 0.5 * float(np.linalg.slogdet(np.eye(d) + 1 / (n * 1e-4) * z.T @ z)[1])

    z = x.astype(np.float64)
    z = z - z.mean(axis=0, keepdims=True)
    classes = y.max() + 1
    return rate(z) - sum(rate(z[y == c]) for c in range(classes)) / classes


def _pairs(reduced: Any, y: Any) -> float:
    stats = [(reduced[y == c].mean(0), np.maximum(reduced[y == c].var(0), 1e-4)) for c in set(y)]
    total = 0.0
    for i, (mean_i, var_i) in enumerate(stats):
        for j, (mean_j, var_j) in enumerate(stats):
            if i != j:
                middle = (var_i + var_j) / 2
                distance = np.sum((mean_i - mean_j) ** 2 / middle) / 8
                logs = np.sum(np.log(var_i)) + np.sum(np.log(var_j))
                total += np.exp(-distance - (np.sum(np.log(middle)) - 0.5 * logs) / 2)
    return -float(total)


def gbc(x: Any, y: Any, _: Any) -> float:
    """Pándy et al. 2022: exact PCA to 64, then a pair of classes at a time.

    google-research/stable_transfer, by the same authors: scikit-learn's PCA with the full SVD.
    """
    from sklearn.decomposition import PCA

    return _pairs(PCA(64, svd_solver="full").fit_transform(x.astype(np.float64)), y)


def gbc_randomised(x: Any, y: Any, _: Any) -> float:
    """The same with scikit-learn's default, a randomised PCA."""
    from sklearn.decomposition import PCA

    return _pairs(PCA(64, random_state=0).fit_transform(x.astype(np.float64)), y)


def sfda(x: Any, y: Any, _: Any) -> float:
    """Shao et al. 2022: class covariances one by one and a generalised eigenproblem, twice.

    So in TencentARC/SFDA: ``numpy.cov`` of each class, SciPy's ``eigh`` of the pair, all eigenvectors,
    and a largest eigenvalue from six products with the matrix, which is below it: ours takes the paper's
    eigenvalue itself, hence most of the difference of their values.
    """
    from scipy.linalg import eigh

    x = x.astype(np.float64)
    n, d = x.shape
    members = [np.flatnonzero(y == c) for c in range(y.max() + 1)]
    priors = np.array([len(rows) for rows in members]) / n

    def regular(matrix: Any, strength: float) -> Any:
        return (1 - strength) * matrix + strength * np.trace(matrix) / d * np.eye(d)

    def posterior(strength: float | None) -> tuple[Any, float]:
        means = np.stack([x[rows].mean(axis=0) for rows in members])
        within = np.zeros((d, d))
        for prior, rows in zip(priors, members, strict=True):
            within += prior * np.cov(x[rows], rowvar=False, bias=True)
        if strength is None:
            strength = max(np.exp(-5 * _largest(within)), 1e-10)
        whole = regular(np.cov(x, rowvar=False, bias=True), strength)
        within = regular(within, strength)
        axes = eigh(whole - within, within)[1]
        weights = axes @ (axes.T @ means.T)
        scores = x @ weights - np.einsum("cd,dc->c", means, weights) / 2 + np.log(priors)
        return _softmax(scores), strength

    chance, strength = posterior(None)
    chance = _softmax(chance)
    means = np.stack([x[rows].mean(axis=0) for rows in members])
    for c, rows in enumerate(members):
        others = (means.sum(axis=0) - means[c]) / (len(means) - 1)
        own = chance[rows, c][:, None]
        x[rows] = own * x[rows] + (1 - own) * others
    return float(posterior(strength)[0][np.arange(n), y].mean())


def _softmax(scores: Any) -> Any:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def _largest(matrix: Any) -> float:
    """The length of the matrix's product with a unit vector that six products have turned."""
    x = matrix.sum(axis=1)
    for _ in range(6):
        x = matrix @ (x / np.linalg.norm(x))
    return float(np.linalg.norm(x))


def neighbours(x: Any, y: Any, _: Any) -> float:
    """A row at a time against all others; the first rows alone are timed."""
    f = x.astype(np.float64)
    f /= np.linalg.norm(f, axis=1, keepdims=True)
    voted = []
    for i in range(min(ROWS_TIMED, len(f))):
        likeness = f @ f[i]
        likeness[i] = -2
        votes = y[np.argsort(-likeness, kind="stable")[:5]].tolist()
        voted.append(max(votes, key=votes.count))
    return float(np.mean(np.array(voted) == y[: len(voted)]))


def neighbours_sklearn(x: Any, y: Any, _: Any) -> float:
    """scikit-learn's brute force, which multiplies matrices too."""
    from sklearn.neighbors import NearestNeighbors

    near = NearestNeighbors(n_neighbors=6, metric="cosine", algorithm="brute").fit(x)
    votes = y[near.kneighbors(x, return_distance=False)[:, 1:]]
    return float(
        np.mean([max(v, key=v.count) == c for v, c in zip(votes.tolist(), y, strict=True)])
    )


def components_of(x: Any, y: Any, p: Any) -> tuple[Any, Any, Any]:
    """PCA to 80 % of the variance, which :func:`nleep_full` is given."""
    from sklearn.decomposition import PCA

    return PCA(0.8).fit_transform(x.astype(np.float64)), y, p


def nleep_full(reduced: Any, y: Any, _: Any) -> float:
    """Li et al. 2021: exact PCA to 80 %, scikit-learn's mixture, LEEP.

    google-research/stable_transfer and TencentARC/SFDA both take scikit-learn's defaults: a full
    covariance for each of 5c components. Timed are one step of EM and the prediction of one of
    :data:`PARTS` of the components (each costs the same); PCA, the start by k-means and all further
    steps are left out, so the figure is the least that it takes. Ours has diagonal
    covariances (see its docstring), so the values are not to be compared.
    """
    return _mixture(reduced, max(5 * int(y.max() + 1) // PARTS, 2), "full", max_iter=1)[0, 0]


def nleep_diagonal(x: Any, y: Any, _: Any) -> float:
    """The same with diagonal covariances, as ours, in full; it starts from other centres."""
    reduced = components_of(x, y, None)[0]
    return leep(None, y, _mixture(reduced, 5 * int(y.max() + 1), "diag"))


def _mixture(reduced: Any, components: int, covariance: str, **options: Any) -> Any:
    import warnings

    from sklearn.mixture import GaussianMixture

    if options:
        options["init_params"] = "random_from_data"
    mixture = GaussianMixture(components, covariance_type=covariance, random_state=0, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return mixture.fit(reduced).predict_proba(reduced)


def logistic(x: Any, y: Any, _: Any) -> float:
    """scikit-learn's logistic regression on each fold and penalty that the probe solves.

    The same scale of the columns and the same folds; the library's solver and stopping rule (L-BFGS,
    a gradient of 1e-4) with 100 steps at most, which ends before the optimum: hence the difference.
    """
    import warnings

    from sklearn.linear_model import LogisticRegression

    fold, f = probe._folds(y, probe.FOLDS, 0), x.astype(np.float64)
    spread = f.std(axis=0)
    f = (f - f.mean(axis=0)) / (spread + 0.1 * spread.mean())
    best = -np.inf
    for penalty in probe.PENALTIES:
        right = np.zeros(len(y))
        for number in range(probe.FOLDS):
            train = fold != number
            model = LogisticRegression(C=1 / (penalty * train.sum()))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.fit(f[train], y[train])
            chance = model.predict_proba(f[~train])
            right[~train] = chance[np.arange(len(chance)), y[~train]]
        best = max(best, float(np.log(np.maximum(right, probe.UNSEEN)).mean()))
    return best
