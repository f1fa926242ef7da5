"""Solves L2-penalised multinomial logistic regression for a path of penalties, for the probe."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = ["solve_path"]

MEMORY = 12
"""Steps that L-BFGS remembers."""
HALVINGS = 12
"""The most times that a step is halved."""


def solve_path(
    rows: Array,
    variance: Array,
    labels: Array,
    classes: int,
    penalties: Array,
    *,
    iterations: int,
    tolerance: float,
    start: Array | None = None,
) -> Array:
    """Minimise the mean cross-entropy plus λ/2·‖W‖² for each λ, from strong to weak.

    L-BFGS (Nocedal and Wright 2006, algorithm 7.4) from the last penalty's solution. Its first
    guess of the Hessian is that of independent axes, mean p_c(1-p_c)·variance + λ for each class
    and axis (Böhning 1992 bounds it by ½·variance + λ, which for many classes is far too
    much): on principal axes it leaves the memory little to correct.

    Args:
        rows: (n, r) float32, on principal axes.
        variance: (r,) of each axis.
        labels: (n,), 0 to classes - 1.
        classes: how many.
        penalties: (l,), positive.
        iterations: the most steps for each penalty.
        tolerance: stop where the expected gain of a step falls below this many nats.
        start: (l, r + 1, classes), where to begin each penalty; by default at the solution of the
            one before, the first at 0.

    Returns:
        (l, r + 1, classes) float32, in the order of the penalties; the last row is the bias.
    """
    whole = np.hstack([rows, np.ones((len(rows), 1), np.float32)])
    spread = np.append(variance, 1.0).astype(np.float32)[:, None]
    weight = np.zeros((whole.shape[1], classes), np.float32)
    out = np.empty((len(penalties), *weight.shape), np.float32)
    for place in np.argsort(penalties)[::-1]:
        penalty = np.full_like(spread, penalties[place])
        penalty[-1] = 0.0
        problem = _Problem(whole, labels, spread, penalty)
        begin = weight if start is None else start[place]
        weight = _minimise(problem, begin, iterations, tolerance)
        out[place] = weight
    return out


class _Problem:
    """The loss of one penalty, its gradient, and the diagonal that approximates its Hessian."""

    def __init__(self, rows: Array, labels: Array, spread: Array, penalty: Array) -> None:
        self.rows, self.labels, self.spread, self.penalty = rows, labels, spread, penalty
        self.each = np.arange(len(rows))

    def __call__(self, weight: Array) -> tuple[float, Array, Array]:
        """Loss, gradient and curvature, the last two of the weights' shape."""
        chance = self.rows @ weight
        chance -= chance.max(axis=1, keepdims=True)
        right = chance[self.each, self.labels].astype(np.float64)
        np.exp(chance, out=chance)
        total = chance.sum(axis=1, keepdims=True)
        chance /= total
        n = len(chance)
        loss = float((np.log(total[:, 0].astype(np.float64)) - right).mean())
        mean = chance.mean(axis=0) - np.einsum("nc,nc->c", chance, chance) / n
        chance[self.each, self.labels] -= 1.0
        pull = self.penalty * weight
        gradient = self.rows.T @ chance
        gradient /= n
        gradient += pull
        loss += 0.5 * float(np.vdot(pull, weight))
        return loss, gradient, self.spread * np.maximum(mean, 1e-6) + self.penalty


def _minimise(problem: _Problem, weight: Array, iterations: int, tolerance: float) -> Array:
    memory: deque[tuple[Array, Array, float]] = deque(maxlen=MEMORY)
    loss, gradient, curvature = problem(weight)
    for _ in range(iterations):
        step = _direction(gradient, curvature, memory)
        slope = float(np.vdot(gradient, step))
        if -0.5 * slope < tolerance:
            break
        share = 1.0
        for _ in range(HALVINGS):
            new = weight + np.float32(share) * step
            new_loss, new_gradient, curvature = problem(new)
            if new_loss <= loss + 1e-4 * share * slope:
                break
            share /= 2
        else:
            break  # rounding hides what is left to gain
        moved, turned = new - weight, new_gradient - gradient
        bend = float(np.vdot(moved, turned))
        if bend > 0:
            memory.append((moved, turned, 1.0 / bend))
        weight, loss, gradient = new, new_loss, new_gradient
    return weight


def _direction(
    gradient: Array, curvature: Array, memory: deque[tuple[Array, Array, float]]
) -> Array:
    """The step -H⁻¹g, by the two loops over the memory."""
    step = -gradient
    taken = []
    for moved, turned, scale in reversed(memory):
        share = scale * float(np.vdot(moved, step))
        step -= np.float32(share) * turned
        taken.append(share)
    step /= curvature
    for (moved, turned, scale), share in zip(memory, reversed(taken), strict=True):
        step += np.float32(share - scale * float(np.vdot(turned, step))) * moved
    return step
