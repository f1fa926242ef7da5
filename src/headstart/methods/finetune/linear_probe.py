"""Freezes the whole source model and solves a linear head on its features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from headstart.methods.base import Base, param
from headstart.methods.finetune._path import Gradient

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = ["Method", "Probe", "solve_path", "whiten"]

RANK = 1
ITERATIONS = 120
SETTLED = 0.01
"""A problem whose weights move by less than this share of the tolerance is left as it is."""
MEMORY = 60_000_000
"""Logits held at once while the path is solved; more problems than fit are solved in groups."""


@dataclass(frozen=True)
class Probe:
    """A solved probe.

    Attributes:
        weight: (classes, width), on the features as they come.
        bias: (classes,).
        penalties: the path, from weak to strong.
        losses: cross-validated log loss of each penalty.
        chosen: index of the chosen penalty.
        held_out: (rows, classes), each row's probabilities from folds that did not train on it;
            the mean over repeats. Rows that were never held out are NaN.
        fitted: (rows, classes), probabilities of the final head on its own training rows.
        iterations: of the solver.
    """

    weight: Array
    bias: Array
    penalties: Array
    losses: Array
    chosen: int
    held_out: Array
    fitted: Array
    iterations: int


def whiten(features: Array, weights: Array | None = None) -> tuple[Array, Array, Array, Array]:
    """Standardise features and rotate them onto their principal axes.

    Args:
        features: (n, d).
        weights: (n,), how much each row counts, with a mean of 1; None counts all alike.

    Returns:
        rotated (n, r) with r ≤ min(n, d); the map (d, r) from features to rotated; the mean (d,);
        and the variance of each axis (r,), so that ``rotated = (features - mean) @ map``.
    """
    if weights is None:
        mean = features.mean(axis=0, dtype=np.float64)
        spread = features.std(axis=0, dtype=np.float64)
    else:
        mean = np.average(features, axis=0, weights=weights)
        spread = np.sqrt(np.average((features - mean) ** 2, axis=0, weights=weights))
    scale = 1.0 / (spread + 0.1 * max(float(spread.mean()), 1e-12))
    centred = ((features - mean) * scale).astype(np.float32)
    n, d = centred.shape
    counted = centred if weights is None else centred * np.sqrt(weights, dtype="f4")[:, None]
    gram = (counted.T @ counted if d <= n else counted @ counted.T).astype(np.float64) / n
    variance, axes = np.linalg.eigh(gram)
    keep = variance > max(variance[-1] * 1e-7, 1e-12)
    keep[-1] = True  # features that never change still make a probe: one axis of zeros
    variance, axes = np.maximum(variance[keep], 1e-12), axes[:, keep]
    if d > n:
        axes = counted.T @ (axes / np.sqrt(variance * n)).astype(np.float32)
    axes = axes.astype(np.float32)
    return centred @ axes, (scale[:, None] * axes).astype(np.float64), mean, variance


def solve_path(
    rotated: Array,
    variance: Array,
    targets: Array,
    masks: Array,
    penalties: Array,
    *,
    iterations: int = ITERATIONS,
    tolerance: float = 2e-3,
    tick: Callable[[int], None] | None = None,
) -> tuple[Array, Array, int]:
    """Solve L2-penalised multinomial logistic regression for every mask and penalty at once.

    For each mask m and penalty λ it minimises the mean cross-entropy over the rows in m plus
    λ/2·‖W‖². The Hessian of the cross-entropy is bounded by ½ of the features' second moment
    (Böhning 1992, eq. 3), which is diagonal on principal axes: one matrix product with all
    problems side by side gives every gradient, and dividing by the bound gives the step.
    Nesterov's momentum restarts where it points uphill (O'Donoghue and Candès 2015, eq. 13).

    Args:
        rotated: (n, r) from :func:`whiten`.
        variance: (r,) from :func:`whiten`.
        targets: (n, c) one-hot, or shares that sum to 1.
        masks: (m, n) bool, the training rows of each problem; or how much each of them counts.
        penalties: (l,), positive.
        iterations: the most steps.
        tolerance: stop when no problem's weights move by more than this share of their norm.
            A problem that moves by less than a hundredth of it has settled, and costs no more.
        tick: called with 1 after each step.

    Returns:
        weights (m, l, r, c), biases (m, l, c), and the steps taken.
    """
    n, r = rotated.shape
    c, count = targets.shape[1], len(masks) * len(penalties)
    penalty = np.tile(np.asarray(penalties, np.float32), len(masks))
    mask = np.asarray(masks, np.float32)
    total = mask.sum(axis=1)
    share = np.repeat(mask / total[:, None], len(penalties), axis=0)
    curved = 0.5 * variance[None].astype(np.float32) * (n / total)[:, None].astype(np.float32)
    step = (1.0 / (np.repeat(curved, len(penalties), axis=0) + penalty[:, None]))[:, None]
    weight: Array = np.zeros((count, c, r), np.float32)
    bias: Array = np.zeros((count, c), np.float32)
    solved, solved_bias, place = weight.copy(), bias.copy(), np.arange(count)
    look, look_bias = weight, bias
    pace: Array = np.ones(count, np.float32)
    done = 0
    with Gradient(rotated, targets, count) as gradients:
        for done in range(1, iterations + 1):  # noqa: B007
            gradient, slope = gradients.at(look, look_bias, share)
            gradient += penalty[:, None, None] * look
            new, new_bias = look - step * gradient, look_bias - 2.0 * slope
            moved = new - weight
            uphill = np.einsum("pcr,pcr->p", gradient, moved) > 0
            pace = np.where(uphill, 1.0, pace).astype(np.float32)
            faster = (1 + np.sqrt(1 + 4 * pace * pace)) / 2
            momentum = ((pace - 1) / faster)[:, None]
            look = new + momentum[:, :, None] * moved
            look_bias = new_bias + momentum * (new_bias - bias)
            change = np.sqrt(np.einsum("pcr,pcr->p", moved, moved))
            change /= np.sqrt(np.einsum("pcr,pcr->p", new, new)) + 1e-6
            weight, bias, pace = new, new_bias, faster.astype(np.float32)
            if tick:
                tick(1)
            if float(change.max()) < tolerance:
                break
            rest = change < SETTLED * tolerance
            if rest.any():
                solved[place[rest]], solved_bias[place[rest]] = weight[rest], bias[rest]
                state = (weight, bias, look, look_bias, pace, place, step, penalty, share)
                weight, bias, look, look_bias, pace, place, step, penalty, share = (
                    part[~rest] for part in state
                )
    solved[place], solved_bias[place] = weight, bias
    shape = (len(masks), len(penalties))
    return solved.reshape(*shape, c, r).swapaxes(2, 3), solved_bias.reshape(*shape, c), done


def softmax(logits: Array) -> Array:
    """Probabilities from logits along the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    raised = np.exp(shifted)
    out: Array = raised / raised.sum(axis=-1, keepdims=True)
    return out


@dataclass(frozen=True)
class Method(Base):
    """Feature extraction with a linear probe whose penalty is chosen by cross-validation."""

    family: ClassVar[str] = "finetune"
    summary: ClassVar[str] = (
        "Solve a linear head on frozen features; the penalty is cross-validated."
    )
    try_when: ClassVar[str] = (
        "Always first: it takes seconds, and on small data it is hard to beat."
    )
    hurts_when: ClassVar[str] = (
        "The target's pictures look unlike the source domain (X-rays, textures, drawings), so that "
        "the frozen features miss what matters."
    )

    weakest: float = param(1e-3, "weakest penalty of the path", low=1e-8, high=1e3)
    strongest: float = param(10.0, "strongest penalty of the path", low=1e-7, high=1e4)
    steps: int = param(9, "penalties on the path", low=1, high=60)

    def solve(
        self,
        features: Array,
        targets: Array,
        folds: Array,
        refit: Array,
        tick: Callable[[int], None] | None = None,
        weights: Array | None = None,
    ) -> Probe:
        """Choose the penalty on the folds and solve the final head.

        Args:
            features: (n, width).
            targets: (n,) class indices.
            folds: (k, n) bool; fold j trains where it is True and is judged where it is False,
                among the rows in ``refit`` or outside it.
            refit: (n,) bool, the rows that the final head is solved on.
            tick: called with 1 after each step of the solver, of which there are at most
                :data:`ITERATIONS` for each group of folds.
            weights: (n,), how much each row counts, in training and in the choice; positive.

        Returns:
            the probe.
        """
        classes = int(targets.max()) + 1
        if weights is not None:
            weights = weights / weights.mean()
        hot = np.eye(classes, dtype=np.float32)[targets]
        rotated, _, _, variance = whiten(features, weights)
        low, high = sorted((self.weakest, self.strongest))
        penalties = np.geomspace(low, high, self.steps)
        sums = np.zeros((self.steps, len(features), classes))
        times = np.zeros(len(features))
        used = 0
        together = max(1, int(MEMORY // (len(features) * self.steps * classes)))
        for start in range(0, len(folds), together):
            group = folds[start : start + together]
            counted = group if weights is None else group * weights
            heads, biases, taken = solve_path(rotated, variance, hot, counted, penalties, tick=tick)
            used = max(used, taken)
            for train, w, b in zip(group, heads, biases, strict=True):
                logits = np.einsum("nr,lrc->lnc", rotated[~train], w, optimize=True) + b[:, None]
                sums[:, ~train] += softmax(logits.astype(np.float64))
                times[~train] += 1
        judged = times > 0
        chance = sums[:, judged, targets[judged]] / times[judged]
        losses = -np.average(
            np.log(np.maximum(chance, 1e-7)),
            axis=1,
            weights=None if weights is None else weights[judged],
        )
        chosen = int(np.argmin(losses))
        held_out = np.full((len(features), classes), np.nan)
        held_out[judged] = sums[chosen][judged] / times[judged][:, None]
        weight, bias = self.head(features, targets, refit, float(penalties[chosen]), weights)
        fitted = softmax(features.astype(np.float64) @ weight.T + bias)
        return Probe(weight, bias, penalties, losses, chosen, held_out, fitted, used)

    def head(
        self,
        features: Array,
        targets: Array,
        rows: Array,
        penalty: float,
        weights: Array | None = None,
    ) -> tuple[Array, Array]:
        """Solve one head on some rows with a penalty that was chosen before.

        Args:
            features, targets: of every row.
            rows: (n,) bool, the rows to solve on.
            penalty: from the chosen place on the path.
            weights: (n,), how much each row counts.

        Returns:
            weight (classes, width) and bias (classes,).
        """
        hot = np.eye(int(targets.max()) + 1, dtype=np.float32)[targets[rows]]
        counted = None if weights is None else weights[rows] / weights[rows].mean()
        rotated, back, mean, variance = whiten(features[rows], counted)
        every = np.ones((1, int(rows.sum()))) if counted is None else counted[None]
        final, offset, _ = solve_path(
            rotated, variance, hot, every, np.array([penalty]), iterations=400, tolerance=5e-4
        )
        weight = (back @ final[0, 0].astype(np.float64)).T
        bias = offset[0, 0].astype(np.float64) - weight @ mean
        return weight, bias
