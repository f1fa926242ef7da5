"""What methods work on: one prepared data set with one source model, its folds and its feeds."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.errors import UsageError
from headstart.features.cache import Cache
from headstart.methods.base import Recipe, Situation
from headstart.methods.finetune.linear_probe import Method as ProbeMethod
from headstart.methods.regularise.base import read
from headstart.sources.base import Contract, ImageSource, Network
from headstart.sources.norms import untold
from headstart.tasks.base import Task
from headstart.train.feeds import ActivationFeed, PixelFeed, augment_of
from headstart.train.loop import logits
from headstart.types import Reporter
from headstart.workflow.pictures import Pictures
from headstart.workflow.plan import Run

if TYPE_CHECKING:
    from torch import nn

    from headstart.types import Array

__all__ = ["Bench", "resized"]

JUDGED_ROWS = {"partial": 400, "full": 150}
"""Validation rows that a trained method is judged on: more folds are trained until there are as many."""
REFIT_ROWS = 4000
"""From as many rows on, the model trained beside one held-out fold is kept as it is."""


def resized(contract: Contract, size: int) -> Contract:
    """The same preprocessing for another input size."""
    if size == contract.size:
        return contract
    return replace(contract, size=size, resize=round(size * contract.resize / contract.size))


class Bench:
    """One prepared data set with one source model."""

    def __init__(
        self, run: Run, data: Pictures, source: ImageSource, cache: Cache, reporter: Reporter
    ) -> None:
        self.run, self.data, self.source, self.cache, self.reporter = (
            run,
            data,
            source,
            cache,
            reporter,
        )
        self.learn = np.array(data.split.learn)
        self.task: Task = data.task
        opened = data.labels.open("selection", "train and validate")
        self.targets = opened[self.learn]
        self.all_targets = np.full_like(opened, np.nan if opened.dtype.kind == "f" else -1)
        self.all_targets[self.learn] = self.targets
        self.classes = self.task.outputs
        self._features: Array | None = None
        self.penalty = 0.05

    @property
    def seed(self) -> int:
        """The run's seed."""
        return self.run.plan.seed

    @property
    def fit_rows(self) -> Array:
        """Mask over the learn rows: those that a final model trains on."""
        mask = np.ones(len(self.learn), bool)
        if self.data.split.val:
            mask &= ~np.isin(self.learn, self.data.split.val)
        return mask

    def features(self) -> Array:
        """Frozen features of the learn rows, read once."""
        if self._features is None:
            self._features = self.data.features(self.learn)
        return self._features

    def situation(self) -> Situation:
        """What methods may know."""
        return Situation(
            int(self.fit_rows.sum()),
            self.classes,
            self.data.native,
            self.source.contract.size,
            self.source.freeze_point,
            self.run.plan.turnable,
            self.folded_norm,
        )

    @cached_property
    def folded_norm(self) -> bool:
        """Whether the source model's BatchNorm layers were folded into its convolutions."""
        return self.source.weights is not None and untold(self.source.weights())

    @cached_property
    def source_head(self) -> tuple[Array, Array] | None:
        """Weight and bias of the source model's own head; None where it has none."""
        return self.source.own_head()

    def holding(self, recipe: Recipe) -> dict[str, Any]:
        """What the loop needs for a recipe's regularisers, and the task."""
        regularisers = read(recipe.regularise)
        asked = any("source_head" in one.needs for one in regularisers)
        return {
            "regularisers": regularisers,
            "source_head": self.source_head if asked else None,
            "task": self.task,
        }

    def measure(self, held_out: Array, judged: Array) -> float:
        """The run's metric on judged rows."""
        return self.task.measure.exact(self.targets[judged], held_out[judged])

    def standing(self, score: float) -> float:
        """A score as a share that can't be exceeded: 0 where the metric's values are no such shares."""
        measure = self.task.measure
        return max(score, 0.0) if measure.higher else 0.0

    def answers(self, tail: nn.Module, feed: Any, rows: list[int], recipe: Recipe) -> Array:
        """A tail's outputs on the plain views of some rows."""
        shown = logits(tail, feed, rows, averaged=recipe.averaged, merge=self.task.merge)
        return self.task.answers(shown)

    def network(self, recipe: Recipe, mask: Array | None) -> Network:
        """A fresh network for a recipe: pretrained or random, its head warm where asked."""
        import torch

        torch.manual_seed(self.seed)
        network = self.source.build(pretrained=recipe.pretrained, classes=self.classes)
        if not recipe.pretrained and hasattr(network.head, "weight"):
            head: Any = network.head
            with torch.no_grad():  # equal shares at first, as a head that knows nothing should give
                head.weight.zero_()
                head.bias.zero_()
        if recipe.warm_head and mask is not None:
            weight, bias = ProbeMethod().head(
                self.features(), self.targets, mask, self.penalty, task=self.task
            )
            head = network.head
            if not (hasattr(head, "weight") and head.weight.shape == weight.shape):
                raise UsageError(f"{self.source.name} has no linear head that a probe could start.")
            with torch.no_grad():
                head.weight.copy_(torch.from_numpy(weight))
                head.bias.copy_(torch.from_numpy(bias))
        return network

    def pixels(self, recipe: Recipe) -> PixelFeed:
        """A feed of pictures at the recipe's size."""
        data = self.data
        origins = [row.origin for row in data.dataset.rows]
        contract = resized(self.source.contract, recipe.size)
        return PixelFeed(
            data.digests, origins, data.sweep.frames, contract, augment_of(recipe), self.seed
        )

    def tail(self, network: Network, recipe: Recipe, feed: PixelFeed) -> nn.Sequential:
        """The part that trains; for a whole network with the pixel preparation in front."""
        from torch import nn

        from headstart.features.engine import pixels

        if recipe.point == "input":
            whole = network.part(head=True)
            named = [("pixels", pixels(feed.contract)), *whole.named_children()]
            return nn.Sequential(OrderedDict(named))
        return network.part(network.position(recipe.point), head=True)

    def activations(self, pixel: PixelFeed, recipe: Recipe) -> ActivationFeed:
        """A feed of activations at the recipe's freeze point."""
        network = self.source.build()
        return ActivationFeed(
            pixel,
            self.learn.tolist(),
            network,
            self.cache,
            recipe,
            identity={"source": self.source.key},
            half_from=self.source.half_from,
            reporter=self.reporter,
            seed=self.seed,
        )

    def folds_for(self, method: str) -> list[int]:
        """Which folds a trained method is judged on; after ``~`` its name may have a number."""
        masks = self.data.masks
        need = JUDGED_ROWS.get(method.partition("~")[0], 200)
        once = masks[: _folds_in_one_repeat(masks)]
        chosen, rows = [], 0
        for index, mask in enumerate(once):
            chosen.append(index)
            rows += int((~mask).sum())
            if rows >= need:
                break
        return chosen

    def judged_by(self, method: str) -> int:
        """How many validation rows a trained method is judged on."""
        return max(1, sum(int((~self.data.masks[index]).sum()) for index in self.folds_for(method)))

    def points(self) -> list[str]:
        """The source model's freeze points."""
        return list(self.source.build(pretrained=False).stages)[:-1]

    def passes(self, method: str) -> float:
        """How many trainings on all rows a trial amounts to: its folds and the final one."""
        total = sum(self.data.masks[index].mean() for index in self.folds_for(method))
        return float(total + (0 if self.keeps_fold(method) else self.fit_rows.mean()))

    def keeps_fold(self, method: str) -> bool:
        """Whether the model of the first fold is the final one."""
        return bool(self.data.split.val) or len(self.learn) >= REFIT_ROWS


def _folds_in_one_repeat(masks: Array) -> int:
    """How many masks it takes until every row was held out once."""
    held = np.zeros(masks.shape[1], int)
    for index, mask in enumerate(masks):
        held += ~mask
        if held.min() >= 1:
            return index + 1
    return len(masks)
