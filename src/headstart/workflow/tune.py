"""Spending what is left of a budget on other settings: short looks at many, whole trainings of few."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.methods.base import Recipe, configure, searched
from headstart.selection.halving import ETA, Range, affordable, draw, survivors
from headstart.workflow.trials import Trial, forecast, glance, trained

if TYPE_CHECKING:
    from headstart.workflow.search import Search

__all__ = ["tune"]

LOOK = 3
"""A look has one in so many of a whole training's epochs, on the first fold alone."""
FEWEST_LOOKS = 3
DRAWN = 27


def tune(search: Search, best: Trial) -> Trial:
    """Look for better settings of the methods that train, while the budget allows.

    Settings are drawn evenly over the ranges that the methods' parameters declare for it. One in
    three of those that were looked at is trained whole and judged as every method is; it is kept
    where it surely beats the best so far. What was decided is written down first, so that a
    resumed run decides alike.

    Args:
        search: whose methods have run.
        best: the trial to beat.
    """
    run, bench = search.run, search.bench
    if run.plan.budget is None:
        return best
    known: dict[str, Any] = run.remembered("trials/tune.json") or {}
    for name in _methods(search):
        plan = known.get(name) or _plan(search, name)
        known[name] = plan
        run.remember("trials/tune.json", known)
        if not plan["settings"]:
            search.skip(f"{name} with other settings", plan["why"])
            continue
        looks = plan["looks"]
        search.reporter.say(f"{name}: a short look at {len(plan['settings'])} other settings")
        for number, settings in enumerate(plan["settings"]):
            if number < len(looks):
                continue
            looks.append(glance(bench, _label(name, number), _recipe(search, name, settings, LOOK)))
            run.remember("trials/tune.json", known)
        for number in survivors([look["score"] for look in looks]):
            best = _whole(search, known, name, number, best)
        search.clock.save()
    return best


def _methods(search: Search) -> list[str]:
    """Methods that were trained, or could be, with parameters to search; the best so far first."""
    run = [trial for trial in search.tried if trial.recipe is not None]
    order = sorted(run, key=lambda trial: -trial.score)
    return [trial.method for trial in order if searched("finetune", trial.method)]


def _plan(search: Search, name: str) -> dict[str, Any]:
    """Draw the settings, and keep as many as the time allows."""
    bench, given = search.bench, search.run.plan.settings.get(name) or {}
    space = {key: Range(*spec) for key, spec in searched("finetune", name).items()}
    space = {key: one for key, one in space.items() if key not in given}
    drawn = draw(space, DRAWN, bench.seed)
    recipe = _recipe(search, name, {}, 1)
    fixed, each = forecast(bench, name, recipe)
    passes = bench.passes(name)
    share = float(bench.data.masks[bench.folds_for(name)[0]].mean())
    look = each * share / passes * max(1, math.ceil(recipe.epochs / LOOK))
    whole = each * recipe.epochs
    left = search.clock.left() - fixed - search.after(whole)
    count = affordable([look] * len(drawn), [whole] * len(drawn), left)
    why = ""
    if count < FEWEST_LOOKS:
        needs = FEWEST_LOOKS * look + whole + fixed
        why = f"three looks and a training would take {needs:.0f} s, and {max(left, 0):.0f} s are left"
        count = 0
    return {"settings": drawn[:count], "looks": [], "whole": whole, "trained": {}, "why": why}


def _whole(
    search: Search, known: dict[str, Any], name: str, number: int, best: Trial
) -> Trial:
    """Train one setting whole, if there still is time, and keep it where it surely is better."""
    plan, bench = known[name], search.bench
    if str(number) not in plan["trained"]:
        fits = plan["whole"] <= search.clock.left() - search.after(plan["whole"])
        plan["trained"][str(number)] = fits
        search.run.remember("trials/tune.json", known)
    if not plan["trained"][str(number)]:
        return best
    settings = plan["settings"][number]
    recipe = _recipe(search, name, settings, 1)
    trial = trained(bench, _label(name, number), settings, recipe, best.score)
    search.tried.append(trial)
    return search.better_of(trial, best)


def _recipe(search: Search, name: str, settings: dict[str, Any], share: int) -> Recipe:
    """A method's recipe with some settings, and a share of its epochs."""
    given = search.run.plan.settings.get(name) or {}
    method = configure("finetune", name, given)
    recipe = search.settled(replace(method, **settings).recipe(search.bench.situation()))
    decided = search.epochs_of(name) or recipe.epochs
    return replace(recipe, epochs=max(1, math.ceil(decided / share)))


def _label(name: str, number: int) -> str:
    return f"{name}~{number + 1}"
