"""Two domains on cached features, and the linear head that every shallow adaptation ends in.

Whatever a method does to the features (moves them, projects them, weighs their rows), what is left of
it for a new row of the target is an affine map and a linear classifier, so a :class:`Head` holds it, and
every adapted model is saved, loaded and run as a linear probe is.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from headstart.methods.finetune.linear_probe import solve_path, whiten
from headstart.tasks.classify import softmax

if TYPE_CHECKING:
    from headstart.types import Array, Floats, Ints

__all__ = ["Domains", "Head", "class_means"]

STEPS = 300
"""Most steps of the solver for one head."""
TOLERANCE = 1e-3
COMPONENTS = 50
"""Principal axes of the target on which its rows are compared and clustered."""
NEIGHBOURS = 10
BLOCK = 1024
"""Rows whose distances to all the others are held at once."""


@dataclass(frozen=True)
class Head:
    """A linear classifier on features as they come.

    Attributes:
        weight: float64 (classes, d).
        bias: float64 (classes,).
    """

    weight: Floats
    bias: Floats

    def logits(self, features: Array) -> Floats:
        """Float64 (n, classes)."""
        found: Floats = np.asarray(features, np.float64) @ self.weight.T + self.bias
        return found

    def probabilities(self, features: Array) -> Floats:
        """Float64 (n, classes); rows sum to 1."""
        found: Floats = softmax(self.logits(features))
        return found

    def predict(self, features: Array) -> Ints:
        """The likeliest class of each row, (n,)."""
        found: Ints = self.logits(features).argmax(axis=1)
        return found

    def after(self, matrix: Array, shift: Array | float = 0.0) -> Head:
        """The same classifier on ``x`` where this one reads ``x @ matrix + shift``.

        Args:
            matrix: (d, k), k being this head's width.
            shift: (k,).

        >>> head = Head(np.eye(2), np.zeros(2))
        >>> head.after(2 * np.eye(2), np.array([1.0, 0.0])).logits(np.array([[1.0, 1.0]])).tolist()
        [[3.0, 2.0]]
        """
        width = self.weight.shape[1]
        moved = self.weight @ np.broadcast_to(np.asarray(shift, np.float64), (width,))
        return Head(self.weight @ np.asarray(matrix, np.float64).T, self.bias + moved)

    def evened(self, features: Array) -> Head:
        """The same answers, with logits whose mean over classes is 0 and whose spread on some rows is 1."""
        weight, bias = self.weight - self.weight.mean(axis=0), self.bias - self.bias.mean()
        centred = Head(weight, bias)
        return centred.scaled(max(float(centred.logits(features).std()), 1e-12))

    def as_sure_as(self, accuracy: float, features: Array) -> Head:
        """The same answers, as sure on average as they are expected to be right.

        Args:
            accuracy: that the mean of the largest probabilities is brought to, as near as a temperature
                from 0.05 to 50 comes.
            features: of the rows that the mean is over.
        """
        logits = self.logits(features)
        low, high = np.log(0.05), np.log(50.0)
        for _ in range(30):
            middle = (low + high) / 2
            sure = softmax(logits / np.exp(middle)).max(axis=1).mean()
            low, high = (middle, high) if sure > accuracy else (low, middle)
        return self.scaled(float(np.exp((low + high) / 2)))

    def scaled(self, temperature: float) -> Head:
        """The same answers with probabilities softened by a temperature."""
        return Head(self.weight / temperature, self.bias / temperature)


def class_means(features: Array, labels: Array, classes: int) -> Floats:
    """The mean of each class's rows, float64 (classes, d); every class has a row."""
    rows = np.asarray(features, np.float64)
    return np.stack([rows[labels == k].mean(axis=0) for k in range(classes)])


@dataclass(frozen=True)
class Domains:
    """A labelled source domain and an unlabelled target domain, by their features.

    Attributes:
        source: float (n_s, d).
        labels: (n_s,) class indices, 0 to classes - 1; each class has a row.
        target: float (n_t, d); none of its labels is here.
        classes: c ≥ 2.
        penalty: L2 penalty of the source-only head, chosen by cross-validation on the source; on
            standardised features, for each row.
        origins: (n_s,) which of several source domains a row comes from; all 0 for one.
        seed: of whatever a method draws.
        start: a head to start from instead of the source's own, where a method follows another.
    """

    source: Floats
    labels: Ints
    target: Floats
    classes: int
    penalty: float = 0.05
    origins: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    seed: int = 0
    start: Head | None = None

    @property
    def width(self) -> int:
        """d, the features of a row."""
        return int(self.source.shape[1])

    @cached_property
    def one_hot(self) -> Floats:
        """The source's labels, float64 (n_s, classes)."""
        found: Floats = np.eye(self.classes)[self.labels]
        return found

    @cached_property
    def source_only(self) -> Head:
        """The head of the source as it is, with the same penalty: what every method starts from."""
        if self.start is not None:
            return self.start
        return self.solve(self.source, self.labels)

    @cached_property
    def reduced_target(self) -> Floats:
        """The target's standardised features on at most 50 principal axes, float32 (n_t, k)."""
        rotated, _, _, _ = whiten(np.asarray(self.target, np.float64))
        found: Floats = rotated[:, -COMPONENTS:]
        return found

    @cached_property
    def target_neighbours(self) -> Ints:
        """The 10 rows of the target nearest to each of its rows by cosine, (n_t, 10 or n_t - 1)."""
        rows = self.reduced_target
        unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        wanted = min(NEIGHBOURS, len(rows) - 1)
        found = np.empty((len(rows), wanted), np.int64)
        for start in range(0, len(rows) if wanted else 0, BLOCK):
            near = unit[start : start + BLOCK] @ unit.T
            own = np.arange(len(near))
            near[own, start + own] = -np.inf
            found[start : start + BLOCK] = np.argpartition(-near, wanted - 1, axis=1)[:, :wanted]
        return found

    @cached_property
    def target_clusters(self) -> Ints:
        """A k-means cluster for each row of the target, of as many as there are classes, (n_t,)."""
        from sklearn.cluster import KMeans

        rows = self.reduced_target
        if len(np.unique(rows, axis=0)) <= self.classes:
            found: Ints = np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)
            return found
        found = KMeans(self.classes, n_init=4, random_state=self.seed).fit(rows).labels_
        return found

    def solve(
        self,
        features: Array,
        targets: Array,
        weights: Array | None = None,
        penalty: float | None = None,
    ) -> Head:
        """L2-penalised multinomial logistic regression on some features.

        Args:
            features: (n, k), any rows in any space.
            targets: (n,) class indices; or (n, classes), shares of each class that sum to 1.
            weights: (n,) how much each row counts, at least 0; None counts all alike.
            penalty: instead of :attr:`penalty`.
        """
        features = np.asarray(features, np.float64)
        shares = np.eye(self.classes)[targets] if np.ndim(targets) == 1 else np.asarray(targets)
        if weights is not None:
            kept = np.asarray(weights) > 0
            features, shares = features[kept], shares[kept]
            weights = np.asarray(weights, np.float64)[kept] / np.mean(weights[kept])
        rotated, back, mean, variance = whiten(features, weights)
        rows = np.ones((1, len(features))) if weights is None else weights[None]
        wanted = np.array([self.penalty if penalty is None else penalty])
        found, bias, _ = solve_path(
            rotated,
            variance,
            shares.astype(np.float32),
            rows,
            wanted,
            iterations=STEPS,
            tolerance=TOLERANCE,
        )
        weight = (back @ found[0, 0].astype(np.float64)).T
        return Head(weight, bias[0, 0].astype(np.float64) - weight @ mean)

    def on(self, source: Array, target: Array) -> Domains:
        """The same domains in another space; the rows and labels stay."""
        return replace(self, source=source, target=target, start=None)

    def subset(self, rows: Array) -> Domains:
        """With some of the source's rows (a mask or indices)."""
        origins = self.origins[rows] if len(self.origins) else self.origins
        return replace(
            self, source=self.source[rows], labels=self.labels[rows], origins=origins, start=None
        )
