"""Regret, weighted Kendall τ, cost and calibration of the rankings in results/ranking.

    python benchmarks/ranking_judge.py

The truth is each candidate's share right of test rows after transfer (benchmarks/ranking.py). The
ranking's last standing, on all learn rows, is taken anew from the held-out rows that it stored, by the
ranker as it is now; what it costs is what it took then, with the hopeless dropped early. Where
something is fitted (the ranker's two constants, a combination of scores), it is fitted on the other sets
than the one it is judged on.
"""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
from scipy.stats import weightedtau

from harness import RESULTS, save
from headstart.selection import ranker

ALONE = (
    "probe",
    "logme",
    "h_score",
    "leep",
    "nleep",
    "sfda",
    "gbc",
    "transrate",
    "nearest_neighbour",
)
DEPARTURES = (0.0, 0.06, 0.12, 0.2, 0.3)
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
BINS = (0.0, 0.05, 0.2, 0.5, 0.8, 1.0001)
STEPS = (0.0, 0.25, 0.5, 1.0)


def loaded() -> dict[str, dict[str, Any]]:
    """The sets of which every candidate was transferred."""
    found = {}
    for path in sorted((RESULTS / "ranking").glob("*.json")):
        known = json.loads(path.read_text())
        if set(known.get("truth", {})) == set(known["hits"]):
            found[path.stem] = known
    return found


def tau(values: list[float], true: list[float]) -> float:
    """Weighted Kendall τ (Vigna 2015), as the papers on transferability scores use it."""
    return float(weightedtau(true, values).statistic)


def column(known: dict[str, Any], score: str) -> list[float]:
    """A score of every candidate; the probe's is its share right of held-out rows."""
    if score == "probe":
        return [bits.count("1") / len(bits) for bits in known["hits"].values()]
    return [known["scores"][name].get(score, np.nan) for name in known["hits"]]


def true(known: dict[str, Any], rule: str = "kept") -> list[float]:
    """The truth of every candidate: the transfer that is kept, or the ``probe`` whatever is kept."""
    found = [known["truth"][name] for name in known["hits"]]
    if rule == "probe":
        return [entry["tried"]["linear_probe"]["test"] for entry in found]
    return [entry["score"] for entry in found]


def with_heads(known: dict[str, Any], ours: list[float]) -> dict[str, Any]:
    """τ of LEEP and of the ranker over the candidates that have a classifier of their own."""
    leep, scores = column(known, "leep"), true(known)
    own = [i for i, value in enumerate(leep) if np.isfinite(value)]
    if len(own) < 3:
        return {}
    kept = [scores[i] for i in own]
    return {
        "candidates": len(own),
        "leep": tau([leep[i] for i in own], kept),
        "ranker": tau([ours[i] for i in own], kept),
    }


def reach(known: dict[str, Any], draws: int = 200) -> float:
    """τ between the truth and itself on resampled test rows: no ranking can be expected to do better.

    NaN where the truth doesn't say which rows were right.
    """
    found = [known["truth"][name] for name in known["hits"]]
    bits = [one["tried"][one["chosen"]].get("right") for one in found]
    if not all(bits):
        return float("nan")
    right = np.array([[int(bit) for bit in row] for row in bits], float)
    random = np.random.default_rng(0)
    rows = right.shape[1]
    taus = [
        tau(right[:, random.integers(0, rows, rows)].mean(axis=1).tolist(), true(known))
        for _ in range(draws)
    ]
    return float(np.mean(taus))


def regret(values: list[float], scores: list[float]) -> float:
    """Points lost by taking the candidate with the largest value."""
    return 100 * (max(scores) - scores[int(np.argmax(values))])


def mixed(known: dict[str, Any], weights: tuple[float, ...], terms: tuple[str, ...]) -> list[float]:
    """Log odds of the probe, plus weighted scores, all in standard deviations over the candidates."""
    total = np.zeros(len(known["hits"]))
    for weight, term in zip(weights, terms, strict=True):
        own = np.array(column(known, term), float)
        if term == "probe":
            own = np.log((own + 0.005) / (1.005 - own))
        total += weight * (own - own.mean()) / max(own.std(), 1e-12)
    return total.tolist()


def combined(all_: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Each set judged by the combination that did best on the others."""
    terms = ("probe", "logme", "h_score", "sfda", "nleep")
    grid = [(1.0, *rest) for rest in itertools.product(STEPS, repeat=len(terms) - 1)]
    taus = {
        name: [tau(mixed(known, weights, terms), true(known)) for weights in grid]
        for name, known in all_.items()
    }
    out = {}
    for name, known in all_.items():
        others = np.mean([taus[other] for other in all_ if other != name], axis=0)
        best = int(np.argmax(others))
        values = mixed(known, grid[best], terms)
        out[name] = {
            "weights": dict(zip(terms, grid[best], strict=True)),
            "tau": taus[name][best],
            "regret": regret(values, true(known)),
        }
    return out


def hits_of(known: dict[str, Any]) -> dict[str, np.ndarray]:
    return {n: np.array([float(b) for b in bits]) for n, bits in known["hits"].items()}


def losses_of(known: dict[str, Any]) -> dict[str, np.ndarray]:
    return {n: np.array(losses) for n, losses in known["losses"].items()}


def chances(known: dict[str, Any], departure: float, share: float) -> list[tuple[float, float]]:
    """(probability of being best, whether it was; ties share) on all rows and on two subsets."""
    hits, losses = hits_of(known), losses_of(known)
    scores = dict(zip(known["hits"], true(known), strict=True))
    top = max(scores.values())
    winners = [name for name, value in scores.items() if value >= top - 1e-9]
    rows = len(next(iter(hits.values())))
    out = []
    for seed, part in enumerate((1.0, 0.5, 0.5)):
        order = np.random.default_rng(seed).permutation(rows)[: int(rows * part)]
        found = ranker.stand(
            {name: own[order] for name, own in hits.items()},
            seed,
            {name: own[order] for name, own in losses.items()},
            departure=departure,
            share=share,
        )
        for one in found:
            out.append((one.best, (one.name in winners) / len(winners)))
    return out


def ranked(known: dict[str, Any], departure: float, share: float) -> dict[str, float]:
    """τ and regret of the ranker's order on all rows, with its constants given."""
    found = {
        one.name: one
        for one in ranker.stand(
            hits_of(known), 0, losses_of(known), departure=departure, share=share
        )
    }
    values = [-found[name].regret for name in known["hits"]]
    return {"tau": tau(values, true(known)), "regret": regret(values, true(known))}


def shares(all_: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The ranker with each share of error rate and log loss, and with the one best on the others."""
    table = {
        share: {name: ranked(known, ranker.DEPARTURE, share) for name, known in all_.items()}
        for share in SHARES
    }
    out: dict[str, Any] = {
        "by_share": {
            str(share): {k: float(np.mean([r[k] for r in row.values()])) for k in ("tau", "regret")}
            for share, row in table.items()
        }
    }
    taken, rows = {}, []
    for name in all_:
        merit = {
            share: np.mean([table[share][other]["tau"] for other in all_ if other != name])
            for share in SHARES
        }
        taken[name] = max(merit, key=lambda share: merit[share])
        rows.append(table[taken[name]][name])
    out["fitted_on_the_others"] = {
        "share": taken,
        **{k: float(np.mean([row[k] for row in rows])) for k in ("tau", "regret")},
        "worst_regret": max(row["regret"] for row in rows),
    }
    return out


def reliability(pairs: list[tuple[float, float]]) -> dict[str, Any]:
    """The binned gap between promised and seen chances, weighted by how many there are."""
    promised, seen = np.array(pairs).T
    place = np.digitize(promised, BINS) - 1
    bins, gap = [], 0.0
    for number in range(len(BINS) - 1):
        own = place == number
        if own.any():
            apart = float(promised[own].mean() - seen[own].mean())
            gap += abs(apart) * own.mean()
            bins.append(
                {
                    "from": BINS[number],
                    "count": int(own.sum()),
                    "promised": float(promised[own].mean()),
                    "seen": float(seen[own].mean()),
                }
            )
    loss = float(((promised - seen) ** 2).mean())
    return {
        "gap": float(gap),
        "worst": max(abs(b["promised"] - b["seen"]) for b in bins),
        "brier": loss,
        "bins": bins,
    }


def calibrated(all_: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Calibration with the constants in use, and with a departure fitted on the other sets."""
    pairs = {
        d: {name: chances(known, d, ranker.SHARE) for name, known in all_.items()}
        for d in DEPARTURES
    }
    fitted, taken = [], {}
    for name in all_:
        losses = {
            d: np.mean(
                [(p - s) ** 2 for other in all_ if other != name for p, s in pairs[d][other]]
            )
            for d in DEPARTURES
        }
        taken[name] = min(losses, key=lambda d: losses[d])
        fitted += pairs[taken[name]][name]
    ours = [pair for name in all_ for pair in chances(all_[name], ranker.DEPARTURE, ranker.SHARE)]
    return {
        "in_use": reliability(ours),
        "fitted_on_the_others": {**reliability(fitted), "departure": taken},
        "by_departure": {
            str(d): {
                k: v
                for k, v in reliability([x for n in all_ for x in pairs[d][n]]).items()
                if k != "bins"
            }
            for d in DEPARTURES
        },
    }


def cost(known: dict[str, Any], full: dict[str, Any]) -> dict[str, float]:
    """The ranking's seconds as a share of transferring every candidate, and of fine-tuning it whole."""
    spent = sum(one["seconds"] for one in known["truth"].values())
    whole = sum(
        full[name]["epoch_seconds"] / full[name]["rows"] * known["learn"] * full[name]["epochs"]
        for name in known["hits"]
        if name in full
    )
    return {
        "ranking_seconds": known["ranking_seconds"],
        "of_these_transfers": known["ranking_seconds"] / spent,
        "of_full_fine_tuning": known["ranking_seconds"] / whole if whole else float("nan"),
    }


def main() -> None:
    all_ = loaded()
    mix = combined(all_) if len(all_) > 2 else {}
    full = {
        name: one["full"]
        for known in all_.values()
        for name, one in known["truth"].items()
        if one["full"]
    }
    table = {}
    for name, known in all_.items():
        scores, probes = true(known), true(known, "probe")
        standings = ranker.stand(hits_of(known), 0, losses_of(known))
        order = [one.name for one in standings]
        ours = [-float(order.index(one)) for one in known["hits"]]
        name_chosen, tied = ranker.choose(standings, known["macs"])
        chosen = list(known["hits"]).index(name_chosen)
        alone = {s: column(known, s) for s in ALONE}
        alone = {s: v for s, v in alone.items() if np.isfinite(v).all()}
        table[name] = {
            "truth": dict(zip(known["hits"], scores, strict=True)),
            "chosen": name_chosen,
            "tied": tied,
            "regret": 100 * (max(scores) - scores[chosen]),
            "tau": tau(ours, scores),
            "probe_as_truth": {
                "tau": tau(ours, probes),
                "regret": 100 * (max(probes) - probes[chosen]),
            },
            "alone": {
                s: {"tau": tau(v, scores), "regret": regret(v, scores)} for s, v in alone.items()
            },
            "with_heads": with_heads(known, ours),
            "tau_within_reach": reach(known),
            "test_rows": known["test"],
            "learn_rows": known["learn"],
            "combined": mix.get(name, {}),
            "cost": cost(known, full),
        }

    def mean(pick: Any) -> float:
        return float(np.mean([pick(row) for row in table.values()]))

    shared = [s for s in ALONE if all(s in row["alone"] for row in table.values())]
    save(
        "ranking",
        {
            "sets": len(table),
            "mean_regret": mean(lambda row: row["regret"]),
            "worst_regret": max(row["regret"] for row in table.values()),
            "mean_tau": mean(lambda row: row["tau"]),
            "probe_as_truth": {
                k: mean(lambda row, k=k: row["probe_as_truth"][k]) for k in ("tau", "regret")
            },
            "combined": {
                k: mean(lambda row, k=k: row["combined"][k]) for k in ("tau", "regret") if mix
            },
            "alone": {
                s: {k: mean(lambda row, s=s, k=k: row["alone"][s][k]) for k in ("tau", "regret")}
                for s in shared
            },
            "cost": {
                k: mean(lambda row, k=k: row["cost"][k])
                for k in ("of_these_transfers", "of_full_fine_tuning")
            },
            "with_heads": {
                k: mean(lambda row, k=k: row["with_heads"].get(k, np.nan))
                for k in ("leep", "ranker")
            },
            "tau_within_reach": float(np.nanmean([r["tau_within_reach"] for r in table.values()])),
            "error_rate_against_log_loss": shares(all_) if len(all_) > 2 else {},
            "calibration": calibrated(all_),
            "by_set": table,
        },
    )


if __name__ == "__main__":
    main()
