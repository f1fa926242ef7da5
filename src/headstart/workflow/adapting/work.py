"""One adaptation from features to the result."""

from __future__ import annotations

import time
from dataclasses import asdict
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.data.sealed import Labels
from headstart.data.split import assign
from headstart.errors import DataError
from headstart.methods.domains import Head
from headstart.report.words import candidate
from headstart.selection.chooser import OFFERED, Choice, Estimate, choose, estimate, regime
from headstart.selection.collapse import alarms
from headstart.selection.judged import facts_of, seen_by
from headstart.selection.validators.base import Seen
from headstart.types import Finding, Reporter
from headstart.workflow.adapting import candidates, judge
from headstart.workflow.adapting.candidates import (
    RESHARED,
    SEVERAL,
    SOURCE_ONLY,
    Candidate,
    Evidence,
)
from headstart.workflow.adapting.networks import Networks
from headstart.workflow.adapting.plan import AdaptPlan
from headstart.workflow.adapting.save import save_bundle
from headstart.workflow.adapting.unfrozen import Places, Trained
from headstart.workflow.domains import Domain, Domains
from headstart.workflow.plan import Run

if TYPE_CHECKING:
    from headstart.types import Floats, Ints

__all__ = ["Work"]

MOST = 3000
"""Rows of a domain that methods and validators see at most; the returned head is solved on such, too."""
ALIKE = 0.5
"""Share of the target's rows that are copies of source rows from which the domains count as the same."""
CHANCE = 0.05
"""p-value of the two-sample test above which there is no evidence that the domains differ."""
SLOW = frozenset({"circular"})
"""Validators that cost a further fit for each candidate; what they are worth is not measured yet."""


class Work:
    """One adaptation from features to the result."""

    def __init__(
        self,
        run: Run,
        domains: Domains,
        findings: list[Finding],
        reporter: Reporter,
        begun: float,
    ) -> None:
        self.run, self.data, self.findings, self.reporter = run, domains, findings, reporter
        self.begun = begun
        self.plan: AdaptPlan = run.plan  # type: ignore[assignment]
        self.classes = sorted({c for one in domains.sources for c in one.labels if c is not None})
        for finding in findings:
            if finding.level == "warning":
                reporter.say(f"Note: {finding.message}")
        self.learn, self.test = self._sides()
        self.labels = self._sealed()
        self.evidence = self._evidence()
        self.alone = ""

    def _sides(self) -> tuple[Ints, Ints]:
        """The target's rows that adaptation sees, and those that are held out of it for the verdict."""
        target = self.data.target
        rows = np.arange(len(target.names))
        if not self.plan.evaluate:
            return rows, rows[:0]
        share = self.plan.test_share
        blank = np.zeros(len(rows), np.int64)
        side = assign(blank, target.groups, [1 - share, share], self.plan.seed)
        test = np.array([i for i in np.flatnonzero(side == 1) if target.labels[i] is not None])
        if len(test) < judge.FEWEST:
            raise DataError(
                f"{len(test)} labelled target rows would be held out for --evaluate; at least "
                f"{judge.FEWEST} are needed.",
                "Leave --evaluate out, or raise --test-share.",
            )
        return np.flatnonzero(side == 0), test

    def _sealed(self) -> Labels:
        """The target's labels, none of which is visible: -2 stands for a class the source lacks."""
        place = {name: n for n, name in enumerate(self.classes)}
        known = [place.get(label, -2) for label in self.data.target.labels]  # type: ignore[arg-type]
        return Labels(np.array(known), self.test.tolist(), self.run.ledger)

    def _evidence(self) -> Evidence:
        place = {name: n for n, name in enumerate(self.classes)}
        source = np.concatenate([one.features for one in self.data.sources])
        labels = np.array([place[str(c)] for one in self.data.sources for c in one.labels])
        origins = np.repeat(
            np.arange(len(self.data.sources)), [len(d.names) for d in self.data.sources]
        )
        keys = [f"{d.name} {g}" for d in self.data.sources for g in d.groups]
        linked = np.unique(keys, return_inverse=True)[1]
        self.run.ledger.record("source", len(labels), "adapt", "train and validate")
        rows = _drawn(labels, MOST * len(self.data.sources), self.plan.seed)
        seen = self.learn[_some(len(self.learn), MOST, self.plan.seed)]
        self.drawn = (len(rows), len(seen))
        ready = candidates.prepare(
            source[rows],
            labels[rows],
            self.data.target.features[seen],
            len(self.classes),
            linked=np.unique(linked[rows], return_inverse=True)[1],
            origins=origins[rows],
            seed=self.plan.seed,
        )
        target = len(source) + seen
        self.places = Places(rows[ready.rows], rows[ready.held_rows], target)
        return ready

    def left(self) -> float:
        """Seconds of the budget that are left for trying methods."""
        if self.plan.budget is None:
            return float("inf")
        return 0.8 * self.plan.budget - (time.monotonic() - self.begun)

    def finish(self) -> dict[str, Any]:
        """Fit, judge, choose, save; with ``evaluate`` open the labels last."""
        ready = self.evidence
        auroc, p, weights = candidates.apart(ready)
        table = self.data.modality == "table"
        self.facts = facts_of(ready.domains, ready.reference, ready.accuracy, auroc, table)
        self.alone = self._nothing_to_adapt(auroc, p)
        self.found = found = [] if self.alone else self._fitted()
        self.seen, self.alarms = self._judged(found + self._told_by(found), weights)
        self.choice = self._choose()
        self.expected = self._expected()
        head = self._final()
        self.heads = {c.name: (c.network or ready).place(c.head) for c in found if c.head}
        save_bundle(self, head)
        return judge.conclude(self, head)

    def _nothing_to_adapt(self, auroc: float, p: float) -> str:
        """Why the domains count as one; empty where they don't."""
        known = {digest for domain in self.data.sources for digest in domain.digests}
        same = np.mean([digest in known for digest in self.data.target.digests])
        if same > ALIKE:
            return f"{100 * same:.0f} % of the target's rows are copies of source rows: the domains are the same."
        if p > CHANCE:
            return (
                f"Nothing tells the domains apart (AUROC {auroc:.2f}, p = {p:.2f}): there is no evidence of "
                "a shift to adapt to."
            )
        return ""

    def _fitted(self) -> list[Candidate]:
        plan = self.plan
        asked = [(candidates.family_of(name), name) for name in plan.methods]
        known = candidates.names(self.data.modality.replace("table", "array"))
        alone = len(self.data.sources) < 2
        methods = asked or [one for one in known if not (alone and one[1] in SEVERAL)]
        methods = [one for one in methods if one[0] != candidates.PRETRAIN]
        found = candidates.fit_all(self.evidence, methods, plan.settings, self.reporter, self.left)
        return found + self.networks.fit()

    def _told_by(self, found: list[Candidate]) -> list[Candidate]:
        """What source-only's accuracy is read from, where the user named other methods."""
        had = {one.name for one in found if one.head}
        lacking = [name for name in ("self_training", candidates.CONSENSUS) if name not in had]
        if self.alone or not lacking:
            return []
        methods = [(candidates.family_of(name), name) for name in lacking]
        title = "Estimating the accuracy"
        extra = candidates.fit_all(
            self.evidence, methods, None, self.reporter, self.left, title=title
        )
        return [one for one in extra if one.head]

    @cached_property
    def networks(self) -> Networks:
        """Those that are trained, if any."""
        return Networks(
            self.plan,
            self.data,
            self.evidence,
            self.places,
            len(self.classes),
            self.reporter,
            self.left,
        )

    def network_of(self, name: str) -> Trained | None:
        """The network that a candidate trained; None for a head on frozen features."""
        return next((one.network for one in self.found if one.name == name), None)

    def features_of(self, name: str, rows: Ints) -> Floats:
        """What a candidate's head reads of some target rows, (n, width)."""
        network = self.network_of(name)
        if network is None:
            return self.target.features[rows]
        before = sum(len(one.names) for one in self.data.sources)
        return network.features(before + np.asarray(rows))

    def _judged(
        self, found: list[Candidate], weights: Any
    ) -> tuple[dict[str, dict[str, float]], dict[str, list[str]]]:
        """Every candidate's scores without labels, and what looks like a collapse."""
        ready = self.evidence
        seen = {}
        told = {}
        settings = self.plan.settings
        uneven = regime(self.facts) == "uneven"
        everyone = [Candidate(SOURCE_ONLY, "", ready.reference, 0.0)]
        everyone += [c for c in found if c.head is not None]
        before = ready.reference.probabilities(ready.domains.target)
        with self.reporter.step("Judging without labels", len(everyone)) as step:
            for one in everyone:
                again = (
                    partial(candidates.fitted, one.name, settings=settings)
                    if one.family
                    else (lambda domains: domains.source_only)
                )
                where = one.network or ready
                given = (one.head or ready.reference, ready.reference, where.domains, where.held)
                rest = (ready.held_labels, weights, again)
                seen[one.name] = seen_by(*given, *rest, skip=SLOW, before=before)
                own = Seen(*given, *rest, before=before)
                told[one.name] = alarms(own, self.classes, one.name == RESHARED and uneven)
                step.advance()
        return seen, told

    def _choose(self) -> Choice:
        if self.alone:
            return Choice("", {}, 0.0, self.alone)
        base = self.seen[SOURCE_ONLY]["away"]
        # Where source-only itself sees few of the classes, a good candidate alarms by bringing them back:
        # an alarm counts when the classes' shares end further from the source's than they were.
        safe = {
            name: scores
            for name, scores in self.seen.items()
            if name == SOURCE_ONLY or not self.alarms[name] or scores["away"] <= base
        }
        if not self.plan.trust:
            return choose(self.facts, safe, asked=self._asked())
        chosen = choose(self.facts, self.seen, asked=self._asked(), trusted=True)
        if odd := self.alarms.get(chosen.method):
            said = f"{candidate(chosen.method)} is returned because it was trusted. {' '.join(odd)}"
            self.findings.append(Finding("trusted", "warning", said))
        return chosen

    def _asked(self) -> tuple[str, ...]:
        """What the user has named; without a name, ``--unfreeze`` stands beside what is offered unasked."""
        named = tuple(self.plan.methods)
        trained = tuple(one.name for one in self.found if one.network)
        return (
            (*named, *trained)
            if named or not trained
            else (OFFERED.get(regime(self.facts), ""), *trained)
        )

    def _expected(self) -> dict[str, Estimate]:
        """The accuracy on the target that each candidate is expected to have."""
        out = {SOURCE_ONLY: estimate(self.facts, self.seen)}
        for name, gain in self.choice.gains.items():
            out[name] = estimate(self.facts, self.seen, gain)
        return out

    def _final(self) -> Head:
        """The chosen method on every source row, as sure on the target as it is expected to be right.

        A network isn't trained twice: it stays as the source's training rows made it.
        """
        whole = self.evidence.whole
        name = self.choice.method
        if trained := self.network_of(name):
            own = next(one.head for one in self.found if one.name == name)
            assert own is not None
            wanted = self.expected[name].accuracy
            return trained.place(own.as_sure_as(wanted, trained.domains.target))
        head = whole.source_only
        if name:
            head = candidates.fitted(name, whole, self.plan.settings)
        sure = head.as_sure_as(self.expected[self.returned].accuracy, whole.target)
        return self.evidence.place(sure)

    @property
    def target(self) -> Domain:
        """The target."""
        return self.data.target

    @property
    def returned(self) -> str:
        """The name of what is returned."""
        return self.choice.method or SOURCE_ONLY

    def summary(self) -> dict[str, Any]:
        """What ``--json`` prints, without a verdict."""
        chosen = self.expected[self.returned]
        adapted = bool(self.choice.method)
        listed = [
            {
                **candidates.as_dict(one),
                "expected_gain": _rounded(self.choice.gains.get(one.name)),
                "alarms": self.alarms.get(one.name, []),
                "scores": {k: round(v, 5) for k, v in self.seen.get(one.name, {}).items()},
            }
            for one in self.found
        ]
        return {
            "verb": "adapt",
            "decision": "adapted" if adapted else "source-only",
            "method": self.returned,
            "headline": self._headline(chosen),
            "why": self.choice.why,
            "estimate": {
                "accuracy": round(chosen.accuracy, 4),
                "interval": [round(chosen.low, 4), round(chosen.high, 4)],
                "level": 0.9,
            },
            "source_only": {"estimate": asdict(self.expected[SOURCE_ONLY])},
            "margin": self.choice.margin,
            "candidates": listed,
            "facts": self.facts,
            "source_accuracy": self.evidence.accuracy,
            "modality": self.data.modality,
            "classes": self.classes,
            "sources": [_told(one) for one in self.data.sources],
            "target": {"name": self.target.name, "rows": len(self.target.names)},
            "used": {"source": self.drawn[0], "target": self.drawn[1]},
            "source_model": self.data.source.name if self.data.source else None,
            "findings": [asdict(finding) for finding in self.findings],
            "left_out": [
                {"row": f"{one.name}: {skip.name}", "reason": skip.reason}
                for one in (*self.data.sources, self.target)
                for skip in one.skipped
            ],
            "seed": self.plan.seed,
            "command": self.plan.command(),
            "run": str(self.run.folder),
            "bundle": str(self.run.folder / "model"),
            "report": str(self.run.folder / "report.html"),
        }

    def _headline(self, chosen: Estimate) -> str:
        share = f"{100 * chosen.accuracy:.0f} % [{100 * chosen.low:.0f}, {100 * chosen.high:.0f}]"
        if not self.choice.method:
            return f"source-only: no method is clearly better; {share} expected on the target"
        name = candidate(self.choice.method)
        return f"adapted by {name}; {share} expected on the target"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 5)


def _told(domain: Domain) -> dict[str, Any]:
    return {"name": domain.name, "rows": len(domain.names), "counts": domain.counts}


def _some(count: int, most: int, seed: int) -> Ints:
    """Sorted indices of at most ``most`` rows."""
    rows = np.random.default_rng((seed, 31)).permutation(count)[:most]
    return np.sort(rows)


def _drawn(labels: Ints, most: int, seed: int) -> Ints:
    """At most so many rows, classes in their shares; every class keeps two where it has two."""
    if len(labels) <= most:
        return np.arange(len(labels))
    side = assign(
        labels, np.arange(len(labels)), [most / len(labels), 1 - most / len(labels)], seed
    )
    kept = set(np.flatnonzero(side == 0).tolist())
    for name in np.unique(labels):
        own = np.flatnonzero(labels == name)[:2]
        kept |= set(own.tolist())
    return np.array(sorted(kept))
