"""Judging a method's folds, and choosing how much of the source model is kept in what they trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.methods.base import Recipe
from headstart.methods.keep.wise_ft import interpolate
from headstart.methods.regularise.base import read
from headstart.sources.base import Network
from headstart.train.average import copy_of
from headstart.workflow.bench import Bench

if TYPE_CHECKING:
    from torch import Tensor, nn

    from headstart.types import Array

__all__ = ["Keeper"]


class Keeper:
    """Predictions on held-out rows, at every share of the trained weights that is tried.

    The share is chosen as a probe's penalty is: by the mean loss (of classes the log loss) over the rows that were held
    out of their fold. No training row and no test row has a part in it.
    """

    def __init__(self, bench: Bench, recipe: Recipe) -> None:
        self.bench, self.recipe = bench, recipe
        found = read(recipe.keep, "keep")
        self.method: Any = found[0] if found else None
        self.shares = self.method.shares() if self.method else np.ones(1)
        self.held_out = np.full((len(self.shares), len(bench.learn), bench.classes), np.nan)
        self.share = 1.0

    def judge(self, network: Network, mask: Array, tail: nn.Sequential, feed: Any) -> None:
        """Predict the rows outside a fold with its network, which keeps its weights."""
        rows = self.bench.learn[~mask].tolist()
        start = self._start(mask) if self.method else {}
        end = copy_of(network.model) if self.method else {}
        for index, share in enumerate(self.shares):
            if self.method:
                network.model.load_state_dict(interpolate(start, end, float(share)))
            self.held_out[index, ~mask] = self.bench.answers(tail, feed, rows, self.recipe)
        if self.method:
            network.model.load_state_dict(end)

    def chosen(self) -> tuple[Array, dict[str, Any]]:
        """Held-out predictions (learn rows, classes) at the chosen share, and how it was chosen."""
        if not self.method:
            return self.held_out[0], {}
        judged = ~np.isnan(self.held_out[0, :, 0])
        targets = self.bench.targets[judged]
        task = self.bench.task
        each = [task.losses(one[judged], targets) for one in self.held_out]
        losses = np.stack(each, axis=1).mean(axis=0)
        self.share = self.method.choose(losses)
        path = {"shares": self.shares.tolist(), "losses": losses.tolist(), "chosen": self.share}
        return self.held_out[int(np.argmin(np.abs(self.shares - self.share)))], path

    def settle(self, network: Network, mask: Array) -> None:
        """Give the final network the chosen share of its trained weights."""
        if self.method and self.share < 1.0:
            end = copy_of(network.model)
            network.model.load_state_dict(interpolate(self._start(mask), end, self.share))

    def _start(self, mask: Array) -> dict[str, Tensor]:
        return copy_of(self.bench.network(self.recipe, mask).model)
