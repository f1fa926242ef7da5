"""Trying methods, cheapest first, while the next one has a chance and the budget allows."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart import registry
from headstart.errors import RunError
from headstart.methods.base import Recipe, configure
from headstart.methods.finetune.linear_probe import Method as ProbeMethod
from headstart.methods.regularise.base import settled
from headstart.registry import names
from headstart.selection.allot import GRID, allot
from headstart.selection.worth import SURE, better, prospect, surer
from headstart.tasks.base import check
from headstart.tasks.classify import METRICS
from headstart.train.loop import seconds_per_row
from headstart.types import Reporter, title, written
from headstart.workflow.bench import Bench, plain
from headstart.workflow.forecast import forecast
from headstart.workflow.plan import Run
from headstart.workflow.soup import soup
from headstart.workflow.trials import Trial, solve, trained

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = ["Clock", "Search", "duration", "ranked"]

RESERVE = 15.0
"""Seconds kept back for the verdict, the bundle and the report."""
WORDS_SHARE = 0.3
"""Of a winner's time, kept back for the control from scratch where words alone are a control too."""
MARGIN = 1.25
"""A control gets this many times the winner's work, so that it is rarely the faster one."""
PROBE_EFFORT, TAIL_EFFORT = 2.0, 0.1
"""Work on one row in units of a picture trained at the control's size: its features and a probe's
solution; and one pass through the layers before, or after, a freeze point."""
FEWEST = 0.2
"""A method doesn't run for fewer than this share of its own epochs, nor for fewer than two."""
START_UP = 10.0
"""Seconds of a winner's time that may be start-up (an engine compiled, a file read) and not work."""
LIKELY = 0.6
"""The same as ``SURE`` for texts, where fine-tuning rarely is worse than the probe: with 200 rows to judge
by, longer odds kept a probe that was points behind."""
ANSWER = 0.4
"""An answer in units of a training step on one row: about the forward pass alone."""
RATE = 150.0
"""Pictures in a second, where none was timed."""


class Clock:
    """Seconds spent on a run, over all its sessions."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._begun = time.perf_counter()
        self._before = (run.remembered("clock.json") or {}).get("seconds", 0.0)

    @property
    def spent(self) -> float:
        """Seconds of this session and of those before it."""
        return time.perf_counter() - self._begun + float(self._before)

    def left(self) -> float:
        """Seconds of the budget that trials and controls can still use."""
        return self._run.plan.limit - self.spent - RESERVE

    def save(self) -> None:
        """Write the seconds down, for a resumed run."""
        self._run.remember("clock.json", {"seconds": self.spent})


class Search:
    """The methods of one run.

    Attributes:
        tried: trials, in the order they ran.
        skipped: methods that did not run, and why.
        benches: source model → where its methods run.
    """

    def __init__(self, run: Run, bench: Bench, clock: Clock, reporter: Reporter) -> None:
        self.run, self.bench, self.clock, self.reporter = run, bench, clock, reporter
        self.tried: list[Trial] = []
        self.skipped: list[dict[str, str]] = []
        self.benches = {bench.source.name: bench}
        self._forecasts: dict[str, Any] = run.remembered("trials/forecasts.json") or {}

    def on(self, bench: Bench) -> Search:
        """The same search on another source model: what is tried, skipped and decided is common."""
        other = copy.copy(self)
        other.bench = self.benches[bench.source.name] = bench
        return other

    def best(self) -> Trial:
        """Run the methods and return the one to keep.

        Raises:
            RunError: none could be run.
        """
        plan = self.run.plan
        best: Trial | None = None
        for name in self._order():
            method = configure("finetune", name, plan.settings_of(name))
            if not self._wanted(name, method):
                continue
            if isinstance(method, ProbeMethod):
                trial: Trial | None = solve(self.bench, method)
                assert trial is not None
                self.reporter.say(f"linear probe: {self.said(trial)} in {trial.seconds:.1f} s")
            elif hasattr(method, "combine"):
                trial = soup(self.bench, method, self.tried)
                if trial is None:
                    self.skip(name, "it needs two fine-tuned networks: name two more methods")
                else:
                    self.reporter.say(f"{name}: {self.said(trial)}, of {trial.parameters['of']}")
            else:
                trial = self._trained(name, method, best)
            if trial is None:
                continue
            self.tried.append(trial)
            usable = trial.head is not None or trial.state is not None
            if usable and (best is None or self.beats(trial, best)):
                best = trial
            self.clock.save()
        if best is None:
            why = "; ".join(f"{entry['method']}: {entry['why']}" for entry in self.skipped)
            raise RunError(
                f"No method could be run. {why}.",
                "Give more time (--budget 30m) or fewer limits (--method).",
            )
        return best

    def _order(self) -> list[str]:
        """The methods, cheapest first; of texts the whole network before a part of it.

        A text network's layers are alike, and its features less ready for another task than those of
        photographs: where there is time for ``full``, ``partial`` hardly ever is as good.
        """
        names = ranked("finetune")
        if self.bench.modality == "text":
            names.insert(names.index("partial"), names.pop(names.index("full")))
        return names

    def _wanted(self, name: str, method: Any) -> bool:
        """Whether a method is for these rows and was asked for, or comes unasked."""
        asked = self.run.plan.methods
        whole = any(plain(trial.method) == "full" for trial in self.tried)
        if name == "partial" and whole and not asked and self.bench.modality == "text":
            self.skip(name, "full was trained, of which it would be a part")
            return False
        fits = self.bench.modality in method.modalities
        if name in asked:
            if not fits:
                self.skip(name, f"it isn't for {self.bench.modality}s")
            return fits
        if asked and method.unasked and fits:
            self.skip(name, "not asked for (--method)")
        return bool(method.unasked and fits and not asked)

    def control(self, name: str, recipe: Recipe, winner: Trial) -> Recipe | None:
        """Give a trained control as many epochs as the winner's work amounts to.

        Counted, not timed, so that the same seed gives the same control; the recipe's own epochs
        are the fewest, unless the budget leaves no room for them. Where the user gave a budget, a
        control that would be faster than the winner gets its longer time at once, as far as the
        budget reaches. None where it has no room for a single epoch, and texts have another control
        that uses no source model.
        """
        known = self._forecasts.get(name)
        if known is None:
            rows = self.bench.learn[self.bench.fit_rows].tolist()
            pixel = self.bench.pixels(recipe)
            try:
                tail = self.bench.tail(self.bench.network(recipe, None), recipe, pixel)
                each = seconds_per_row(tail, pixel, rows, recipe) * len(rows)
            finally:
                pixel.close()
            needed = math.ceil(MARGIN * self._effort(winner, recipe) / len(rows))
            left = self.clock.left()
            if self.run.plan.budget is not None:  # its answers to the test rows come after it
                left -= ANSWER * each / len(rows) * len(self.bench.data.split.test)
            room = int(max(left, 0) / max(each * 1.15, 1e-9))
            wanted = _step(max(needed, min(recipe.epochs, max(room, 1))))
            if self.run.plan.budget is not None:
                if needed * each < winner.seconds - START_UP:
                    wanted = max(wanted, math.ceil(MARGIN * winner.seconds / max(each, 1e-9)))
                wanted = max(min(wanted, room), 0 if self.bench.modality == "text" else 1)
            known = self._remember(name, {"each": each, "epochs": wanted, "needed": needed})
            if note := self.shortfall(name):
                self.reporter.say(f"{name}: {note}")
        if not known["epochs"]:
            self.skip(name, "the budget has no room for an epoch of it")
            return None
        return replace(recipe, epochs=known["epochs"])

    def shortfall(self, name: str) -> str:
        """A sentence where the budget had no room for all that a control should get."""
        known = self._forecasts.get(name) or {}
        if known.get("epochs", 0) >= known.get("needed", 0):
            return ""
        return (
            f"the budget has room for {known['epochs']} of the {known['needed']} epochs that match "
            "the model's work, so the gain over it may look larger than it is"
        )

    def longer(self, name: str, recipe: Recipe, took: float, winner: Trial) -> Recipe | None:
        """More epochs for a control that was faster than its work promised.

        None if it was not, or if the user's budget leaves no room for more than it had.
        """
        if took >= winner.seconds - START_UP:
            return None
        again = f"{name} again"
        known = self._forecasts.get(again)
        if known is None:
            wanted = _step(math.ceil(MARGIN * recipe.epochs * winner.seconds / max(took, 1e-9)))
            if self.run.plan.budget is not None:
                wanted = min(wanted, int(self.clock.left() * recipe.epochs / max(took, 1e-9)))
            known = self._remember(again, {"took": took, "epochs": wanted})
        return replace(recipe, epochs=known["epochs"]) if known["epochs"] > recipe.epochs else None

    def _effort(self, winner: Trial, control: Recipe) -> float:
        """The winner's work, in pictures trained at the control's size."""
        rows = len(self.bench.learn)
        effort = PROBE_EFFORT * rows
        if winner.parts:
            return sum(self._effort(trial, control) for trial in winner.parts)
        if winner.recipe is None:
            return effort
        recipe, passes = winner.recipe, self.bench.passes(winner.method)
        if recipe.further:
            effort += rows * recipe.further.epochs
        size = (recipe.size / control.size) ** 2
        if recipe.point == "input":
            return effort + rows * passes * recipe.epochs * size
        return effort + rows * size * TAIL_EFFORT * (recipe.views + 1 + passes * recipe.epochs)

    def recipe(self, method: Any) -> Recipe:
        """A method's recipe here, its regularisers with the parameters that the plan sets."""
        settings = self.run.plan.settings
        asked = settings.get(method.name()) or {}
        recipe: Recipe = self.bench.suited(method.recipe(self.bench.situation()), asked)
        return replace(
            recipe,
            regularise=settled(recipe.regularise, settings),
            keep=settled(recipe.keep, settings, "keep"),
        )

    def forecast_of(self, name: str) -> dict[str, Any]:
        """What was predicted and decided for a method on this source model; empty where nothing was."""
        return dict(self._forecasts.get(self.bench.label(name)) or {})

    def left_for(self, whole: float, best: Trial) -> float:
        """Seconds that are left for looks and trainings.

        Kept back is the control of the dearer one: of a training of so many seconds, should it
        win, or of the best so far, should it stay.
        """
        work = max(whole + self.bench.sweep_seconds, best.seconds)
        return self.clock.left() - self._for_control() * work - self._answers()

    def _for_control(self) -> float:
        """What is kept back for the control from scratch, in units of a winner's time.

        Texts have a control that costs seconds, and is harder to beat: words alone.
        """
        return WORDS_SHARE if self.bench.modality == "text" else MARGIN

    def _answers(self) -> float:
        """Seconds in which a trained winner and its control answer the test rows."""
        rate = self.bench.data.sweep.rate or RATE
        return 2 * len(self.bench.data.split.test) / max(rate, 1.0)

    def _trained(self, name: str, method: Any, best: Trial | None) -> Trial | None:
        """Run a trained method if it has a chance and fits the budget."""
        plan, bench = self.run.plan, self.bench
        recipe = self.recipe(method)
        if best is not None and name not in plan.methods:
            judged = min(best.judged, bench.judged_by(name))
            gain, eager = method.relative_gain, plan.budget is not None
            view = prospect(name, self.reached(best), judged, gain, eager=eager)
            if not view.go:
                self.skip(name, view.why)
                return None
        if why := bench.lacks(recipe):
            self.skip(name, why)
            return None
        known = self.decide(name, recipe, best)
        if not known["epochs"]:
            return None
        recipe = replace(recipe, epochs=known["epochs"], views=known.get("views", recipe.views))
        expected = known["fixed"] + known["each"] * recipe.epochs
        self.reporter.say(f"{name}: {recipe.epochs} epochs, about {duration(expected)}")
        trial = trained(
            bench, name, method.values(), recipe, bench.standing(best.score) if best else 0.0
        )
        self.reporter.say(
            f"{name}: {self.said(trial)} in {duration(trial.seconds)} {trial.note}".rstrip()
        )
        return trial

    def decide(self, name: str, recipe: Recipe, best: Trial | None) -> dict[str, Any]:
        """The cost of a method here, and its folds, views and epochs.

        The epochs are 0, with a word to the user, where too few fit.
        """
        label = self.bench.label(name)
        known = self._forecasts.get(label) or self._forecast(label, recipe, best)
        if "folds" in known:
            self.bench.most_folds[name] = known["folds"]
        fewest = min(max(2, math.ceil(FEWEST * recipe.epochs)), recipe.epochs)
        if known["epochs"] >= fewest:
            return dict(known)
        needs = duration(known["fixed"] + fewest * known["each"])
        left = duration(max(known["left"], 0))
        self.skip(label, f"it would take {needs} at least, and {left} are left for it")
        return {**known, "epochs": 0}

    def _forecast(self, name: str, recipe: Recipe, best: Trial | None) -> dict[str, Any]:
        """Predict the cost and choose folds, views and epochs that fit what is left for this method.

        The larger half belongs to the control: it gets as long as the winner took, features
        included, in whole epochs. Of a user's budget, the control of the best so far is kept too.
        Folds are given up only as long as a gain could still be seen.
        """
        bench = self.bench
        fixed, each = forecast(bench, name, recipe)
        whole, kept = self.clock.left(), 0.0
        if best is not None and self.run.plan.budget is not None:
            whole -= self._answers()
            kept = self._for_control() * best.seconds
        left = min((whole - bench.sweep_seconds) / (1 + self._for_control()), whole - kept)
        gain = registry.load("methods.finetune", plain(name)).Method.relative_gain
        most, passes = len(bench.folds_for(name)), [bench.passes(name)]
        for folds in range(most - 1, 0, -1):
            judged = min(best.judged if best else 0, bench.judged_by(name, folds))
            if best and not prospect(name, self.reached(best), judged, gain, eager=True).go:
                break
            passes.append(bench.passes(name, folds))
        found = allot(left, recipe.epochs, recipe.views, fixed, each, passes)
        known = {**asdict(found), "folds": most - found.given_up, "left": left}
        return self._remember(name, known)

    def _remember(self, name: str, known: dict[str, Any]) -> dict[str, Any]:
        """Write a decision down before acting on it, so that a resumed run takes the same."""
        self._forecasts[name] = known
        self.run.remember("trials/forecasts.json", self._forecasts)
        return known

    def skip(self, name: str, why: str) -> None:
        """Note a method that does not run, and tell the user why."""
        self.skipped.append({"method": name, "why": why})
        if "not asked" not in why:
            self.reporter.say(f"{name}: skipped, as {why}")

    def beats(self, new: Trial, old: Trial, among: int = 1) -> bool:
        """Whether a dearer method earned its cost on the rows that both were judged on.

        Of several that compete for the place each must be surer: the best of many looks good by
        chance alone (Bonferroni's bound).
        """
        both = ~np.isnan(new.held_out[:, 0]) & ~np.isnan(old.held_out[:, 0])
        targets = self.bench.targets[both]
        if self.run.plan.metric not in METRICS or self.run.plan.task != "classify":
            return self._beats(new, old, both, among)
        weigh = self._row_weights(targets)
        ours = (new.held_out[both].argmax(axis=1) == targets) * weigh
        theirs = (old.held_out[both].argmax(axis=1) == targets) * weigh
        chance = better(ours, theirs, self.run.plan.seed)
        wins = chance >= 1 - (1 - self._sure()) / among
        sign = "beats" if wins else "does not surely beat"
        new.note = (
            f"{sign} {old.method} on the same {int(both.sum())} rows "
            f"({ours.mean() * 100:.1f} against {theirs.mean() * 100:.1f} %, chance {chance * 100:.0f} %)"
        )
        return wins

    def _sure(self) -> float:
        """The chance from which a dearer method replaces a cheaper one."""
        return LIKELY if self.bench.modality == "text" else SURE

    def _beats(self, new: Trial, old: Trial, both: Array, among: int) -> bool:
        """The same by a metric that is no mean over rows: it is resampled as a whole."""
        measure = self.bench.task.measure
        targets = self.bench.targets[both]
        ours, theirs = new.held_out[both], old.held_out[both]
        chance = surer(measure, targets, ours, theirs, self.run.plan.seed)
        wins = chance >= 1 - (1 - self._sure()) / among
        sign = "beats" if wins else "does not surely beat"
        scores = [written(measure.exact(targets, one), measure.share) for one in (ours, theirs)]
        new.note = (
            f"{sign} {old.method} on the same {int(both.sum())} rows "
            f"({scores[0]} against {scores[1]}, chance {chance * 100:.0f} %)"
        )
        return wins

    def reached(self, trial: Trial) -> float:
        """The share of what can be had that a trial has; of numbers, of their variance."""
        task = self.bench.task
        if task.name != "regress":
            return trial.score
        judged = ~np.isnan(trial.held_out[:, 0])
        error = task.losses(trial.held_out[judged], self.bench.targets[judged]).mean()
        return max(0.0, 1.0 - float(error))

    def said(self, trial: Trial) -> str:
        """A trial's score in words."""
        measure = check(self.run.plan.task, self.run.plan.metric)
        name = "" if measure.share else f"{title(measure.name)} "
        return f"{name}{written(trial.score, measure.share, measure.name)} on {trial.judged} validation rows"

    def _row_weights(self, targets: Array) -> Array:
        """One for every row; for class-balanced metrics, the same total for every class."""
        if self.run.plan.metric == "accuracy":
            return np.ones(len(targets))
        counts = np.bincount(targets, minlength=self.bench.classes)
        weights: Array = len(targets) / (self.bench.classes * counts[targets].astype(np.float64))
        return weights


def _step(epochs: int) -> int:
    """The next number of epochs on the grid."""
    return next((step for step in GRID if step >= epochs), epochs)


def ranked(family: str) -> list[str]:
    """The methods of a family, cheapest first."""
    found = names(f"methods.{family}")
    return sorted(found, key=lambda name: int(registry.load(f"methods.{family}", name).RANK))


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
