"""Fits what ``adapt`` chooses by, and says how well it chooses on families of data sets it has not seen.

    python benchmarks/adaptation/fit_chooser.py TASKS.jsonl [--practice PRACTICE.jsonl] [--unseen MADE.jsonl] [--ship]

TASKS.jsonl is what ``tasks.py`` wrote, PRACTICE.jsonl what ``practice.py`` did. For each family in turn the
chooser (see ``headstart/selection/chooser.py``) is fitted on the other families, its margin included, and then
chooses for this one: no figure below comes from a family that the choice was fitted on, and pairs drawn from a
family for practice are left out with it. Practice pairs are fitted on and counted in no figure; class pairs as
they come count in the margins too.
MADE.jsonl holds practice pairs that are not fitted on either: the chooser of all the others is asked about them.
With --ship the weights fitted on all families replace those in the package.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness import RESULTS, save
from headstart.selection.chooser import (
    CLOSED,
    OFFERED,
    SHIPPED,
    Linear,
    Weights,
    agreed,
    choose,
    described,
    estimate,
    guess,
    regime,
)

STRENGTH = 300.0
"""Ridge penalty, in rows of weight one."""
HARM = 0.01
"""A task is harmed when the accuracy falls by more than a point."""
MARGINS = (*(n / 200 for n in range(4)), *(n / 100 for n in range(2, 12)), CLOSED)
NAMED = tuple(n / 100 for n in range(1, 16))
NAMED_HARM, FEWEST = 0.1, 50
"""Of candidates that a user names: the share of those above a margin that may be harmed, and how many show it."""
QUANTILES = (0.05, 0.95)
LEVEL = ("task.tilted", "own.entropy", "own.atc")
"""What the plain estimate of the accuracy is corrected by: few numbers, as there are seven families."""
FACTS = (
    "task.tilted",
    "task.auroc",
    "task.accuracy",
    "task.confidence",
    "task.classes",
    "task.along",
)
METHODS = tuple(dict.fromkeys(OFFERED.values()))
"""Candidates that may be returned; the others are fitted and shown."""
Task = dict[str, Any]


def group_of(task: Task) -> str:
    """What counts as one family in a fit: a family, what was drawn from one, or all tables for practice."""
    if not task.get("practice"):
        return str(task["family"])
    table = task["family"].startswith("table_")
    return "tables" if table else f"{task['family']}, drawn"


def even_weights(tasks: list[Task]) -> Any:
    """Weights by which families count the same, with a mean of 1."""
    sizes: dict[str, int] = defaultdict(int)
    for task in tasks:
        sizes[group_of(task)] += 1
    weights = np.array([1.0 / sizes[group_of(task)] for task in tasks])
    return weights * len(tasks) / weights.sum()


def natural(task: Task) -> bool:
    """Whether a run is as a user's might be: a family's, or two classes of a pair as they come."""
    return not task.get("practice") or str(task.get("drawn", "")).endswith("@0.0")


def counted(tasks: list[Task]) -> list[Task]:
    """Without those for practice."""
    return [task for task in tasks if not task.get("practice")]


def read(name: str) -> bool:
    """Whether the gain is predicted from this number: changes against source-only, and facts of the pair."""
    return name.startswith("gain.") or name in FACTS


def ridge(
    rows: list[dict[str, float]], names: list[str], y: Any, weights: Any, strength: float
) -> Linear:
    """Weighted ridge regression on standardised numbers."""
    x = np.array([[row.get(name, 0.0) for name in names] for row in rows])
    share = weights / weights.sum()
    centre = share @ x
    scale = np.sqrt(share @ (x - centre) ** 2) + 1e-9
    z = np.clip((x - centre) / scale, -4, 4)
    middle, level = share @ z, float(share @ y)
    own = z - middle
    gram = (own * weights[:, None]).T @ own + strength * np.eye(z.shape[1])
    weight = np.linalg.solve(gram, (own * weights[:, None]).T @ (y - level))
    found = (centre.tolist(), scale.tolist(), weight.tolist())
    return Linear(tuple(names), *map(tuple, found), level - float(middle @ weight))


def base_of(task: Task) -> dict[str, Any]:
    """Source-only."""
    found: dict[str, Any] = task["candidates"]["source_only"]
    return found


def gained(task: Task, name: str) -> float:
    """What a candidate gains over source-only in truth; 0 where there is none."""
    own = task["candidates"].get(name)
    return float(own["truth"] - base_of(task)["truth"]) if own else 0.0


def fitted(tasks: list[Task], strength: float = STRENGTH) -> Weights:
    """Weights of each candidate's gain and of source-only's accuracy; every margin closed."""
    gains = {}
    for method in METHODS:
        own = [task for task in tasks if method in task["candidates"] and fits(task, method)]
        if not own:
            continue
        numbers = [
            described(t["facts"], base_of(t)["seen"], t["candidates"][method]["seen"]) for t in own
        ]
        names = sorted({name for row in numbers for name in row if read(name)})
        y = np.clip([gained(task, method) for task in own], -0.25, 0.25)
        gains[method] = ridge(numbers, names, y, even_weights(own), strength)
    closed = dict.fromkeys(OFFERED, CLOSED)
    return Weights(gains, closed, level_of(tasks), told_of(tasks), (-0.1, 0.1))


def fits(task: Task, method: str) -> bool:
    """Whether a candidate's gain is learned from this run: those of its own regime, for the first from all."""
    return method == METHODS[0] or OFFERED.get(regime(task["facts"])) == method


def level_of(tasks: list[Task], strength: float = 10.0) -> Linear:
    """How far the plain estimate of source-only's accuracy is off."""
    rows = [described(t["facts"], base_of(t)["seen"], base_of(t)["seen"]) for t in tasks]
    off = [base_of(t)["truth"] - guess(t["facts"], base_of(t)["seen"]) for t in tasks]
    return ridge(rows, list(LEVEL), np.array(off), even_weights(tasks), strength)


def told_of(tasks: list[Task], strength: float = 3.0) -> Linear:
    """Source-only's accuracy by how far others agree with it."""
    known = [(task, agreed(task["facts"], views(task))) for task in tasks]
    known = [(task, numbers) for task, numbers in known if numbers]
    own = [task for task, _ in known]
    truth = np.array([base_of(task)["truth"] for task in own])
    rows = [numbers for _, numbers in known]
    return ridge(rows, sorted(rows[0]), truth, even_weights(own), strength)


def views(task: Task) -> dict[str, Any]:
    """Every candidate's scores without labels."""
    return {name: own["seen"] for name, own in task["candidates"].items()}


def outcome(task: Task, weights: Weights) -> dict[str, Any]:
    """What is returned on one task, and what that was worth."""
    seen = views(task)
    made = choose(task["facts"], seen, weights)
    truth = {name: own["truth"] for name, own in task["candidates"].items()}
    base, best = truth["source_only"], max(truth.values())
    returned = truth[made.method or "source_only"]
    gain = made.gains.get(made.method, 0.0)
    said = estimate(task["facts"], seen, gain, weights)
    return {
        "family": task["family"], "source": task["source"], "target": task["target"],
        "seed": task["seed"], "regime": regime(task["facts"]), "method": made.method or "source_only", "base": base,
        "returned": returned, "best": best, "supervised": task["supervised"],
        "expected": gain, "estimate": said.accuracy, "low": said.low, "high": said.high,
    }  # fmt: skip


def families(tasks: list[Task]) -> list[str]:
    """Their names, sorted; without those for practice."""
    return sorted({task["family"] for task in counted(tasks)})


def margins_of(tasks: list[Task], strength: float, most: float) -> dict[str, float]:
    """For each regime the margin, so that together they close most with at most so many runs harmed.

    Families are left out in turn: a run is judged by weights from the other families. Of margins that
    do the same the smallest stands.
    """
    gap: dict[str, float] = defaultdict(float)
    known = [task for task in tasks if natural(task)]
    for task in known:
        gap[group_of(task)] += task["supervised"] - base_of(task)["truth"]
    seen: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for family in families(tasks):
        weights = fitted([t for t in tasks if t["family"] != family], strength)
        for task in (t for t in known if t["family"] == family):
            where = regime(task["facts"])
            name = OFFERED.get(where, "")
            own = task["candidates"].get(name)
            if own is not None:
                numbers = described(task["facts"], base_of(task)["seen"], own["seen"])
                expected = weights.gain(name, numbers)
                gain = gained(task, name)
                seen[where].append((expected, gain, gain / gap[group_of(task)]))
    allowed = int(most * len(known) + 1e-9)
    plans: dict[int, tuple[float, dict[str, float]]] = {0: (0.0, dict.fromkeys(OFFERED, CLOSED))}
    for where, rows in seen.items():
        expected, gain, closed = np.array(rows).T
        new: dict[int, tuple[float, dict[str, float]]] = {}
        for margin in sorted(MARGINS, reverse=True):
            taken = expected > margin
            count, value = int((gain[taken] < -HARM).sum()), float(closed[taken].sum())
            for before, (so_far, plan) in plans.items():
                total = before + count
                if total <= allowed and so_far + value >= new.get(total, (-np.inf,))[0]:
                    new[total] = (so_far + value, {**plan, where: margin})
        plans = new
    return max(plans.values(), key=lambda found: found[0])[1]


def named_margins(tasks: list[Task], strength: float, most: float) -> dict[str, float]:
    """For each regime the margin of candidates that a user names, each by itself, so that of those which exceed
    it at most a share ``most`` harms; closed where no margin does.

    Families are left out in turn, as in :func:`margins_of`; all pairs count, practice among them.
    """
    seen: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for family in families(tasks):
        weights = fitted([t for t in tasks if t["family"] != family], strength)
        for task in (t for t in tasks if t["family"] == family):
            where, base = regime(task["facts"]), base_of(task)["seen"]
            for name, own in task["candidates"].items():
                if name in ("source_only", OFFERED.get(where)) or "seen" not in own:
                    continue
                expected = weights.gain("", described(task["facts"], base, own["seen"]))
                seen[where].append((expected, gained(task, name)))
    out = {}
    for where, rows in seen.items():
        expected, gain = np.array(rows).T
        safe = [
            margin
            for margin in NAMED
            if (expected > margin).sum() >= FEWEST
            and (gain[expected > margin] < -HARM).mean() <= most
        ]
        out[f"named.{where}"] = min(safe, default=CLOSED)
    return out


def harmed(outcomes: list[dict[str, Any]]) -> float:
    """The share of tasks that what is returned harms by more than a point."""
    return float(np.mean([one["returned"] < one["base"] - HARM for one in by_pair(outcomes)]))


def harmed_runs(outcomes: list[dict[str, Any]]) -> float:
    """The same for every seed by itself: finer, so the margin is picked by it."""
    return float(np.mean([one["returned"] < one["base"] - HARM for one in outcomes]))


def by_pair(outcomes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The mean over seeds of each pair."""
    pairs: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for one in outcomes:
        pairs[one["family"], one["source"], one["target"]].append(one)
    keys = ("base", "returned", "best", "supervised")
    return [
        {"family": pair[0], "source": pair[1], "target": pair[2]}
        | {key: float(np.mean([one[key] for one in own])) for key in keys}
        for pair, own in pairs.items()
    ]


def closure(outcomes: list[dict[str, Any]], key: str = "returned") -> dict[str, float]:
    """Gap closure of each family, and their mean."""
    out = {}
    for family in sorted({one["family"] for one in outcomes}):
        own = [one for one in outcomes if one["family"] == family]
        gained = sum(one[key] - one["base"] for one in own)
        gap = sum(one["supervised"] - one["base"] for one in own)
        out[family] = gained / gap if gap > 0 else 0.0
    out["mean"] = float(np.mean([out[f] for f in out]))
    return out


def left_out(tasks: list[Task], strength: float, most: float) -> list[dict[str, Any]]:
    """Outcomes on every family by a chooser that has not seen it."""
    outcomes: list[dict[str, Any]] = []
    for family in families(tasks):
        rest = [t for t in tasks if t["family"] != family]
        weights = replace(fitted(rest, strength), margins=margins_of(rest, strength, most))
        weights = replace(weights, errors=errors_of(rest, weights, strength))
        outcomes += [
            {**outcome(t, weights), "margins": weights.margins}
            for t in counted(tasks)
            if t["family"] == family
        ]
    return outcomes


def practised(tasks: list[Task], strength: float, most: float) -> dict[str, Any]:
    """What a chooser that hasn't seen their family returns on the practice pairs, by group."""
    found: list[tuple[str, dict[str, Any]]] = []
    practice = [task for task in tasks if task.get("practice")]
    for family in sorted({task["family"] for task in practice}):
        rest = [t for t in tasks if t["family"] != family]
        weights = replace(fitted(rest, strength), margins=margins_of(rest, strength, most))
        for task in (t for t in practice if t["family"] == family):
            group = group_of(task) + (", as they come" if natural(task) else "")
            found.append((group, outcome(task, weights)))
    return by_group(found)


def by_group(found: list[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """How often each group was adapted and harmed, and what that gained in points."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for group, row in found:
        groups[group].append(row)
    return {
        group: {
            "runs": len(rows),
            "adapted": sum(row["method"] != "source_only" for row in rows),
            "harmed": sum(row["returned"] < row["base"] - HARM for row in rows),
            "mean_gain": round(100 * float(np.mean([r["returned"] - r["base"] for r in rows])), 2),
            "estimate_error": round(
                100 * float(np.mean([abs(r["returned"] - r["estimate"]) for r in rows])), 2
            ),
        }
        for group, rows in sorted(groups.items())
    }


def errors_of(tasks: list[Task], weights: Weights, strength: float) -> tuple[float, float]:
    """Quantiles of the estimate's error on families left out."""
    misses = []
    for family in families(tasks):
        rest = [t for t in tasks if t["family"] != family]
        own = replace(fitted(rest, strength), margins=weights.margins)
        for task in counted(tasks):
            if task["family"] == family:
                found = outcome(task, own)
                misses.append(found["returned"] - found["estimate"])
    low, high = np.quantile(misses, QUANTILES)
    return float(min(low, 0.0)), float(max(high, 0.0))


def told(outcomes: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures that the chooser is judged by."""
    pairs = by_pair(outcomes)
    returned, best = closure(outcomes), closure(outcomes, "best")
    gains = sum(one["returned"] - one["base"] for one in outcomes)
    most = sum(one["best"] - one["base"] for one in outcomes)
    misses = np.array([one["returned"] - one["estimate"] for one in outcomes])
    inside = [one["low"] <= one["returned"] <= one["high"] for one in outcomes]
    methods: dict[str, int] = defaultdict(int)
    for one in outcomes:
        methods[one["method"]] += 1
    return {
        "tasks": len(pairs),
        "runs": len(outcomes),
        "harmed": harmed(outcomes),
        "harmed_runs": harmed_runs(outcomes),
        "closure": returned,
        "best_closure": best,
        "share_of_best": gains / most if most else 0.0,
        "estimate_error": float(np.abs(misses).mean()),
        "covered": float(np.mean(inside)),
        "returned": dict(sorted(methods.items(), key=lambda item: -item[1])),
        "margins": {one["family"]: one["margins"] for one in outcomes if "margins" in one},
    }


def each_method(tasks: list[Task]) -> dict[str, dict[str, float]]:
    """Gap closure and harm of every method if it were always returned."""
    out = {}
    names = sorted({n for t in tasks for n in t["candidates"]} - {"source_only"})
    for name in names:
        outcomes = [
            {
                "family": t["family"], "source": t["source"], "target": t["target"],
                "base": t["candidates"]["source_only"]["truth"], "supervised": t["supervised"],
                "best": 0.0,
                "returned": t["candidates"].get(name, t["candidates"]["source_only"])["truth"],
            }
            for t in tasks
        ]  # fmt: skip
        out[name] = {"closure": closure(outcomes)["mean"], "harmed": harmed(outcomes)}
    return out


def main() -> None:
    """Judge by leaving families out; ship on request."""
    parser = argparse.ArgumentParser()
    parser.add_argument("tasks", type=Path)
    parser.add_argument("--practice", type=Path)
    parser.add_argument("--unseen", type=Path)
    parser.add_argument("--ship", action="store_true")
    parser.add_argument("--strength", type=float, default=STRENGTH)
    parser.add_argument("--harm", type=float, default=0.03)
    given = parser.parse_args()
    files = [given.tasks, *([given.practice] if given.practice else [])]
    tasks = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    outcomes = left_out(tasks, given.strength, given.harm)
    result = told(outcomes)
    print(json.dumps(result, indent=1))
    drawn = practised(tasks, given.strength, given.harm)
    print(json.dumps(drawn, indent=1))
    alone = each_method(counted(tasks))
    for name, own in sorted(alone.items(), key=lambda item: -item[1]["closure"]):
        print(f"{name:<24}{100 * own['closure']:7.1f} % closed{100 * own['harmed']:7.1f} % harmed")
    margins = margins_of(tasks, given.strength, given.harm)
    margins |= named_margins(tasks, given.strength, NAMED_HARM)
    weights = replace(fitted(tasks, given.strength), margins=margins)
    weights = replace(weights, errors=errors_of(tasks, weights, given.strength))
    new = given.unseen.read_text().splitlines() if given.unseen else []
    unseen = by_group([(t["family"], outcome(t, weights)) for t in map(json.loads, new)])
    print(json.dumps(unseen, indent=1))
    if not given.ship:
        return
    SHIPPED.parent.mkdir(exist_ok=True)
    note = "Written by benchmarks/adaptation/fit_chooser.py; see there."
    values = {"note": note, "tasks": len(outcomes), "weights": weights.as_dict()}
    SHIPPED.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    RESULTS.mkdir(exist_ok=True)
    save(
        "adaptation",
        {**result, "practice": drawn, "unseen": unseen, "methods": alone, "outcomes": outcomes},
    )


if __name__ == "__main__":
    main()
