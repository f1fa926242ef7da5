"""Spending what is left of a budget on other settings: short looks at many, whole trainings of few."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from headstart.methods.base import Recipe, configure, searched
from headstart.registry import load
from headstart.selection.halving import Range, affordable, corrected, draw, survivors
from headstart.selection.worth import prospect
from headstart.workflow.forecast import forecast
from headstart.workflow.search import Search
from headstart.workflow.trials import Trial, glance, trained

__all__ = ["DRAWN", "LOOK", "drawn_settings", "recipe_with", "tune"]

LOOK = 3
"""A look takes one in so many of a whole training's epochs, on the first fold alone."""
FEWEST = 3
DRAWN = 27
FILE = "trials/tune.json"
OTHER = 0.05
"""The share of a fine-tuned text model's errors that other settings may remove: less than the held-out rows
of most sets show, so that looking for them only takes time."""


def tune(search: Search, best: Trial) -> Trial:
    """Try other settings of the methods that trained, while the user's budget allows.

    Settings are drawn evenly over the ranges that the methods' parameters declare. One in three of
    those that had a look is trained whole, judged as every method is, and kept where it surely beats
    the best so far. Each decision is written down before it is acted on, so that a resumed run
    takes the same.

    Args:
        search: whose methods have run.
        best: the trial to beat.

    Returns:
        the trial to keep.
    """
    run = search.run
    if run.plan.budget is None:
        return best
    known: dict[str, Any] = run.remembered(FILE) or {}
    for name in _methods(search):
        if name not in known and (why := _unseen(search, best)):
            known[name] = {"settings": [], "why": why}
            run.remember(FILE, known)
        if name not in known:
            known[name] = _plan(search, name, best)
            run.remember(FILE, known)
        plan = known[name]
        if not plan["settings"]:
            search.skip(f"{name}, other settings", plan["why"])
            continue
        search.reporter.say(f"{name}: a short look at {len(plan['settings'])} other settings")
        for number in range(len(plan["looks"]), len(plan["settings"])):
            if _late(search, plan, best):
                plan["settings"] = plan["settings"][:number]
                run.remember(FILE, known)
                break
            recipe = recipe_with(search, name, plan["settings"][number], LOOK)
            plan["looks"].append(glance(search.bench, search.bench.label(name, number), recipe))
            run.remember(FILE, known)
        going = survivors([-look["loss"] for look in plan["looks"]])
        for number in going:
            best = _whole(search, known, name, number, best, len(going))
        search.clock.save()
    return best


def _unseen(search: Search, best: Trial) -> str:
    """Why what other settings may bring could not be seen; empty where it could, and for pictures."""
    if search.bench.modality != "text":
        return ""
    view = prospect("other settings", search.reached(best), best.judged, OTHER, eager=False)
    return "" if view.go else view.why


def _methods(search: Search) -> list[str]:
    """The methods that were trained and have parameters to search, the best so far first."""
    ran = [trial for trial in search.tried if trial.recipe is not None]
    ran.sort(key=lambda trial: -trial.worth)
    return [trial.method for trial in ran if searched("finetune", trial.method)]


def _plan(search: Search, name: str, best: Trial) -> dict[str, Any]:
    """Draw settings, as many as can be looked at and followed up in the time that is left."""
    bench, drawn = search.bench, drawn_settings(search, name)
    recipe = recipe_with(search, name, {}, 1)
    fixed, each = forecast(bench, name, recipe)
    share = float(bench.data.masks[bench.folds_for(name)[0]].mean()) / bench.passes(name)
    look = each * share * math.ceil(recipe.epochs / LOOK)
    whole = each * recipe.epochs
    left = search.left_for(whole, best) - fixed
    count = affordable([look] * len(drawn), [whole] * len(drawn), left)
    why = ""
    if count < FEWEST:
        needs = FEWEST * look + whole
        why = f"looks and a training take {needs:.0f} s, and {max(left, 0):.0f} s are left"
        count = 0
    costs = {"look": look, "whole": whole, "trainings": len(bench.folds_for(name)) + 1}
    return {"settings": drawn[:count], "looks": [], "goes": {}, "why": why, **costs}


def _late(search: Search, plan: dict[str, Any], best: Trial) -> bool:
    """Whether looks took so much longer than predicted that no whole training would fit any more."""
    if len(plan["looks"]) < FEWEST:
        return False
    whole = _expected(plan)
    return bool(plan["look"] + whole > search.left_for(whole, best))


def _expected(plan: dict[str, Any]) -> float:
    """What a whole training will take, now that there were looks."""
    taken = [look["seconds"] for look in plan["looks"]]
    return corrected(plan["whole"], plan["trainings"], [plan["look"]] * len(taken), taken)


def drawn_settings(search: Search, name: str) -> list[dict[str, Any]]:
    """Settings of a method, spread over the ranges of those parameters that the user left open."""
    given = search.run.plan.settings.get(name) or {}
    kind = search.bench.modality
    space = {
        key: Range(**_for(kind, key, where)) for key, where in searched("finetune", name).items()
    }
    return draw({k: one for k, one in space.items() if k not in given}, DRAWN, search.run.plan.seed)


def _for(modality: str, key: str, where: dict[str, Any]) -> dict[str, Any]:
    """A range without the regularisers that are for rows of another modality."""
    if key != "regularise":
        return where
    fit = [
        one
        for one in where["choices"]
        if not one or modality in load("methods.regularise", one).Method.modalities
    ]
    return {**where, "choices": tuple(fit)}


def _whole(
    search: Search, known: dict[str, Any], name: str, number: int, best: Trial, among: int
) -> Trial:
    """Train one setting whole, if there still is time, and keep it where it surely is better."""
    plan = known[name]
    if str(number) not in plan["goes"]:
        whole = _expected(plan)
        plan["goes"][str(number)] = whole <= search.left_for(whole, best)
        search.run.remember(FILE, known)
    if not plan["goes"][str(number)]:
        return best
    settings = plan["settings"][number]
    recipe = recipe_with(search, name, settings, 1)
    label = search.bench.label(name, number)
    standing = best.score if best.better > 0 else 0.0
    trial = trained(search.bench, label, settings, recipe, standing)
    search.tried.append(trial)
    wins = trial.state is not None and search.beats(trial, best, among)
    search.reporter.say(f"{trial.method}: {search.said(trial)}, {trial.note}")
    return trial if wins else best


def recipe_with(search: Search, name: str, settings: dict[str, Any], share: int) -> Recipe:
    """A method's recipe with some settings, and one in ``share`` of its epochs."""
    method = configure("finetune", name, search.run.plan.settings_of(name))
    recipe = search.recipe(replace(method, **settings))
    known = search.forecast_of(name)
    epochs = math.ceil((known.get("epochs") or recipe.epochs) / share)
    return replace(recipe, epochs=epochs, views=known.get("views", recipe.views))
