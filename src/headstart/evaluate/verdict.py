"""The verdict: does the transferred model help, is there no evidence, or does it harm?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headstart.evaluate.paired import (
    difference,
    discordant,
    exact_p,
    gained,
    interval,
    scored,
    swapped,
    swapped_p,
)
from headstart.tasks.base import Task
from headstart.tasks.classify import METRICS
from headstart.types import Interval

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = ["Comparison", "Verdict", "judge", "judge_outputs"]

HELPS, UNCLEAR, HARMS = "helps", "no evidence", "harms"
LEVEL = 0.05


@dataclass(frozen=True)
class Comparison:
    """The model against one control on the same sealed rows.

    Attributes:
        control: its name.
        score: the control's score.
        gain: the model's score minus the control's, with its interval; where less is better, the
            control's minus the model's.
        wins, losses: rows that only the model, or only the control, has right; of numbers, rows
            where it is nearer.
        p: of the exact McNemar test, or for other metrics than accuracy of the randomisation test.
        says: helps, no evidence or harms.
    """

    control: str
    score: float
    gain: Interval
    wins: int
    losses: int
    p: float
    says: str


@dataclass(frozen=True)
class Verdict:
    """What the sealed test rows say.

    Attributes:
        says: ``helps`` when the model beats every control, ``harms`` when one beats it, else
            ``no evidence``.
        metric: the metric's name.
        test: the model's score with its interval.
        rows: test rows.
        comparisons: one for each control, the controls first and then the reference methods.
        share: whether the metric is written in per cent.
    """

    says: str
    metric: str
    test: Interval
    rows: int
    comparisons: tuple[Comparison, ...]
    share: bool = True

    @property
    def main(self) -> Comparison:
        """The comparison that the headline quotes: from scratch, or the last control there is."""
        named = {comparison.control: comparison for comparison in self.comparisons}
        return named.get("from_scratch", self.comparisons[-1])

    def __str__(self) -> str:
        over = self.main.control.replace("_", " ")
        return f"{self.says}: {self.main.gain.gain(self.metric, self.share)} over {over}"


def compare(
    name: str, targets: Array, ours: Array, theirs: Array, classes: int, control: str, seed: int
) -> Comparison:
    """Compare predictions on the same rows.

    The interval must leave zero out, and a test that holds on any number of rows must agree: on a
    handful of them the bootstrap alone is too sure.
    """
    gain = difference(name, targets, ours, theirs, classes, seed)
    score = interval(name, targets, theirs, classes, seed).value
    wins, losses = discordant(targets, ours, theirs)
    if name == "accuracy":
        p = exact_p(wins, losses)
    else:
        p = swapped_p(name, targets, ours, theirs, classes, seed)
    return Comparison(control, score, gain, wins, losses, p, _says(gain, p))


def _says(gain: Interval, p: float) -> str:
    sure = gain.excludes_zero and p < LEVEL
    return UNCLEAR if not sure else HELPS if gain.low > 0 else HARMS


def _overall(made: dict[str, Comparison], controls: Iterable[str]) -> str:
    """Helps where the model beats every control, harms where one beats it."""
    says = [made[control].says for control in controls]
    if HARMS in says:
        return HARMS
    return HELPS if says and all(one == HELPS for one in says) else UNCLEAR


def judge(
    name: str,
    targets: Array,
    ours: Array,
    controls: dict[str, Array],
    references: dict[str, Array],
    classes: int,
    seed: int,
) -> Verdict:
    """Judge a model against its controls on the sealed rows.

    Args:
        name: the metric.
        targets: (n,) class indices.
        ours: (n,) the model's predictions.
        controls: predictions of the controls; they make the verdict.
        references: predictions of other methods of the run, reported beside the controls.
        classes: number of classes.
        seed: of the bootstrap.
    """
    made = {
        control: compare(name, targets, ours, theirs, classes, control, seed)
        for control, theirs in {**controls, **references}.items()
    }
    test = interval(name, targets, ours, classes, seed)
    return Verdict(_overall(made, controls), name, test, len(targets), tuple(made.values()))


def judge_outputs(
    task: Task,
    targets: Array,
    ours: Array,
    controls: dict[str, Array],
    references: dict[str, Array],
    seed: int,
) -> Verdict:
    """Judge a model of any task by its outputs, in the same way.

    Args:
        task: with the run's metric.
        targets: of the sealed rows, as the task has them.
        ours: (n, outputs).
        controls, references: as for :func:`judge`, (n, outputs).
        seed: of the bootstrap.
    """
    measure = task.measure
    if task.name == "classify" and measure.name in METRICS:
        return judge(
            measure.name,
            targets,
            ours.argmax(axis=1),
            {name: outputs.argmax(axis=1) for name, outputs in controls.items()},
            {name: outputs.argmax(axis=1) for name, outputs in references.items()},
            ours.shape[1],
            seed,
        )
    made = {}
    for name, theirs in {**controls, **references}.items():
        gain = gained(measure, targets, ours, theirs, seed)
        better = task.marks(ours, targets) - task.marks(theirs, targets)
        wins, losses = int((better > 0).sum()), int((better < 0).sum())
        p = swapped(measure, targets, ours, theirs, seed)
        score = measure.exact(targets, theirs)
        made[name] = Comparison(name, score, gain, wins, losses, p, _says(gain, p))
    test = scored(measure, targets, ours, seed)
    overall = _overall(made, controls)
    return Verdict(overall, measure.name, test, len(targets), tuple(made.values()), measure.share)
