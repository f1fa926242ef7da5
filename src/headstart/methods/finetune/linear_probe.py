"""Freezes the whole source model and solves a linear head on its features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from headstart.methods.base import Base, param
from headstart.methods.finetune import _heads
from headstart.methods.finetune._path import Gradient
from headstart.tasks.classify import class_weights, softmax

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = ["Method", "Probe", "solve_path", "whiten"]

RANK = 1
ITERATIONS = 120
SETTLED = 0.01
"""A problem whose weights move by less than this share of the tolerance is left as it is."""
RIDGE = 10.0
"""Ridge penalties over those of the logistic probe, whose loss bends less than half as much."""
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
    sigmoid: bool = False,
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
        sigmoid: solve c logistic regressions instead, one for each column of targets from 0 to 1;
            the bound is then ¼ of the second moment.

    Returns:
        weights (m, l, r, c), biases (m, l, c), and the steps taken.
    """
    n, r = rotated.shape
    c, count = targets.shape[1], len(masks) * len(penalties)
    penalty = np.tile(np.asarray(penalties, np.float32), len(masks))
    mask = np.asarray(masks, np.float32)
    total = mask.sum(axis=1)
    share = np.repeat(mask / total[:, None], len(penalties), axis=0)
    bent = 0.25 if sigmoid else 0.5
    curved = bent * variance[None].astype(np.float32) * (n / total)[:, None].astype(np.float32)
    step = (1.0 / (np.repeat(curved, len(penalties), axis=0) + penalty[:, None]))[:, None]
    weight: Array = np.zeros((count, c, r), np.float32)
    bias: Array = np.zeros((count, c), np.float32)
    solved, solved_bias, place = weight.copy(), bias.copy(), np.arange(count)
    look, look_bias = weight, bias
    pace: Array = np.ones(count, np.float32)
    done = 0
    with Gradient(rotated, targets, count, sigmoid=sigmoid) as gradients:
        for done in range(1, iterations + 1):  # noqa: B007
            gradient, slope = gradients.at(look, look_bias, share)
            gradient += penalty[:, None, None] * look
            new, new_bias = look - step * gradient, look_bias - slope / bent
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
    balance: str = param(
        "none",
        "even out classes of unequal size by the weights of their rows",
        choices=("none", "weights"),
    )

    def solve(
        self,
        features: Array,
        targets: Array,
        folds: Array,
        refit: Array,
        tick: Callable[[int], None] | None = None,
        weights: Array | None = None,
        task: Any = None,
    ) -> Probe:
        """Choose the penalty on the folds and solve the final head.

        Args:
            features: (n, width).
            targets: (n,) class indices; for other tasks as the task has them.
            folds: (k, n) bool; fold j trains where it is True and is judged where it is False,
                among the rows in ``refit`` or outside it.
            refit: (n,) bool, the rows that the final head is solved on.
            tick: called with 1 after each step of the solver, of which there are at most
                :data:`ITERATIONS` for each group of folds.
            weights: (n,), how much each row counts, in training and in the choice; positive.
            task: what is learned, where it isn't one of several classes: ridge regression for
                numbers, a logistic regression for each of several labels.

        Returns:
            the probe.
        """
        if task is not None and task.name != "classify":
            return self._other(features, targets, folds, refit, task, tick)
        classes = int(targets.max()) + 1
        if self.balance == "weights":
            own = class_weights(targets[refit]).astype(np.float64)
            even = np.pad(own, (0, classes - len(own)), constant_values=1.0)[targets]
            weights = even if weights is None else even * weights
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

    def _other(
        self,
        features: Array,
        targets: Array,
        folds: Array,
        refit: Array,
        task: Any,
        tick: Callable[[int], None] | None,
    ) -> Probe:
        """The same choice by held-out loss, for numbers or for several labels."""
        low, high = sorted((self.weakest, self.strongest))
        penalties = np.geomspace(low, high, self.steps)
        if task.name == "regress":
            penalties = RIDGE * np.geomspace(low, high, 2 * self.steps - 1)
        sums = np.zeros((len(penalties), len(features), task.outputs))
        times = np.zeros(len(features))
        used = 0
        rotated, back, mean, _ = whiten(features)
        together = max(1, int(MEMORY // (len(features) * len(penalties) * task.outputs)))
        for start in range(0, len(folds), together):
            group = folds[start : start + together]
            if task.name == "regress":
                found = _heads.numbers_path(rotated, task.standard(targets), group, penalties)
                heads, biases = found[0][:, :, None] @ back.T, found[1][:, :, None]
                biases = biases - heads @ mean
            else:
                even = self.balance == "weights"
                given = features, targets, group, penalties, even
                heads, biases, taken = _heads.labels_path(solve_path, whiten, *given, tick=tick)
                used = max(used, taken)
            for train, w, b in zip(group, heads, biases, strict=True):
                logits = np.einsum("nd,lcd->lnc", features[~train], w, optimize=True) + b[:, None]
                sums[:, ~train] += task.answers(logits)
                times[~train] += 1
        judged = times > 0
        held = sums[:, judged] / times[judged][:, None]
        losses = np.array([task.losses(one, targets[judged]).mean() for one in held])
        chosen = int(np.argmin(losses))
        held_out = np.full((len(features), task.outputs), np.nan)
        held_out[judged] = held[chosen]
        weight, bias = self.head(features, targets, refit, float(penalties[chosen]), task=task)
        fitted = task.answers(features.astype(np.float64) @ weight.T + bias)
        return Probe(weight, bias, penalties, losses, chosen, held_out, fitted, used)

    def head(
        self,
        features: Array,
        targets: Array,
        rows: Array,
        penalty: float,
        weights: Array | None = None,
        task: Any = None,
    ) -> tuple[Array, Array]:
        """Solve one head on some rows with a penalty that was chosen before.

        Args:
            features, targets: of every row.
            rows: (n,) bool, the rows to solve on.
            penalty: from the chosen place on the path.
            weights: (n,), how much each row counts.
            task: as for :meth:`solve`.

        Returns:
            weight (classes, width) and bias (classes,).
        """
        if task is not None and task.name == "regress":
            values = task.standard(targets[rows])
            return _heads.numbers_head(whiten, features[rows], values, penalty)
        if task is not None and task.name == "multilabel":
            even = self.balance == "weights"
            own = features[rows], targets[rows]
            return _heads.labels_head(solve_path, whiten, *own, penalty, even)
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
