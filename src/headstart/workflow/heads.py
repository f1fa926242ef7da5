"""Linear heads on features at hand: the cross-validated probe, and ridge regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from headstart.data.split import folds
from headstart.methods.finetune.linear_probe import Method as Probe

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = ["Head", "classify", "regress"]

PENALTIES = np.geomspace(1e-5, 1e4, 28)
"""Ridge penalties for each row: three in a decade, from none to speak of to a constant prediction."""


@dataclass(frozen=True)
class Head:
    """A linear head on features as they come.

    Attributes:
        weight: float64 (outputs, width).
        bias: float64 (outputs,).
        penalty: the chosen L2 penalty, on standardised features and for each row; (outputs,) for
            ridge, one number for the probe.
        loss: what chose it, by rows held out: mean log loss in nats, or mean squared error
            (outputs,).
    """

    weight: Array
    bias: Array
    penalty: Array
    loss: Array


def classify(
    features: Array,
    targets: Array,
    *,
    weights: Array | None = None,
    seed: int = 0,
    standardise: bool = False,
) -> Head:
    """The linear probe of ``fit``, its penalty chosen by cross-validation over stratified folds.

    Args:
        features: (n, d).
        targets: (n,) class indices, 0 to c - 1, each of them there, c ≥ 2.
        weights: (n,) positive, how much each row counts.
        seed: of the folds.
        standardise: bring each feature to mean 0 and variance 1 first. The probe itself keeps a
            part of the features' own scales, which mean something in a network's features and
            nothing in columns with units.

    Returns:
        the head, with c outputs.
    """
    shift, scale = np.zeros(features.shape[1]), np.ones(features.shape[1])
    if standardise:
        shift, scale = _scaling(features, weights)
    scaled = (np.asarray(features, np.float64) - shift) / scale if standardise else features
    masks = folds(targets, np.arange(len(targets)), seed)
    probe = Probe().solve(scaled, targets, masks, np.ones(len(targets), bool), weights=weights)
    weight = probe.weight / scale
    return Head(
        weight,
        probe.bias - weight @ shift,
        np.asarray(probe.penalties[probe.chosen]),
        np.asarray(probe.losses[probe.chosen]),
    )


def regress(features: Array, values: Array) -> Head:
    """Ridge regression on standardised features, its penalty chosen by leave-one-out.

    scikit-learn's ``RidgeCV`` has every held-out residual from one decomposition (Golub, Heath and
    Wahba 1979). Each output has a penalty of its own.

    Args:
        features: (n, d), n ≥ 2.
        values: (n,) or (n, outputs).

    Returns:
        the head, with one output for values of shape (n,).
    """
    from sklearn.linear_model import RidgeCV

    shift, scale = _scaling(features)
    scaled = (np.asarray(features, np.float64) - shift) / scale
    targets = np.asarray(values, np.float64).reshape(len(scaled), -1)
    ridge = RidgeCV(alphas=PENALTIES * len(scaled), alpha_per_target=True).fit(scaled, targets)
    weight = np.atleast_2d(ridge.coef_) / scale
    return Head(
        weight,
        np.atleast_1d(ridge.intercept_) - weight @ shift,
        np.atleast_1d(ridge.alpha_) / len(scaled),
        -np.atleast_1d(ridge.best_score_),
    )


def _scaling(features: Array, weights: Array | None = None) -> tuple[Array, Array]:
    """Mean and standard deviation (1 where it is 0) of each feature."""
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(np.asarray(features, np.float64), sample_weight=weights)
    return scaler.mean_, scaler.scale_
