"""From what the user gave to rows that can be used: read, sweep, inspect, split, seal."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart import registry
from headstart.data.dataset import Columns, Dataset, read
from headstart.data.duplicates import components, exact, near
from headstart.data.lint import inspect_classes, inspect_duplicates, inspect_pictures
from headstart.data.sealed import Labels
from headstart.data.split import Split, assign, folds
from headstart.errors import DataError, RunError
from headstart.features.cache import Cache
from headstart.features.extract import Sweep, sweep
from headstart.sources.base import ImageSource
from headstart.types import Finding, Reporter, Skip
from headstart.workflow.plan import Run

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = ["Prepared", "prepare", "read_given"]

FEWEST_TEST = 2


@dataclass
class Prepared:
    """Everything known before the first method runs.

    Attributes:
        dataset: the usable rows.
        digests, origins: of each row.
        classes: names, in the order of the targets.
        labels: sealed for the test part.
        split: row indices of each part.
        masks: (folds, learn rows) training masks, over ``split.learn``.
        findings, skipped: of the inspection.
        sweep: features and frames.
        rows: for each usable row, its place in the sweep.
        native: median short side of the pictures, px.
        fingerprint: of names, contents and labels.
    """

    dataset: Dataset
    digests: list[str]
    classes: list[str]
    labels: Labels
    split: Split
    masks: Array
    findings: list[Finding]
    sweep: Sweep
    rows: list[int]
    native: int
    fingerprint: str

    @property
    def repeats(self) -> int:
        """How often the cross-validation was repeated."""
        return max(1, int((~self.masks).sum(axis=0).max()))

    def features(self, indices: Any) -> Array:
        """Features of usable rows by their index."""
        return self.sweep.matrix([self.rows[index] for index in indices])


def prepare(
    run: Run, dataset: Dataset, source: ImageSource, cache: Cache, reporter: Reporter
) -> Prepared:
    """Read every picture once, list what can't be used, split the rest and seal the test labels.

    Raises:
        DataError: fewer than two classes are left, or a part is empty.
        RunError: the data are not those that a resumed run began with.
    """
    _need_classes(dataset)
    swept = sweep(dataset.rows, source, None, cache, reporter)
    place = {row.name: index for index, row in enumerate(dataset.rows)}
    usable = dataset.without(swept.skips)
    usable, findings = _testable(usable)
    _need_classes(usable)
    rows = [place[row.name] for row in usable.rows]
    digests = [swept.digests[index] for index in rows]
    facts = [swept.facts[index] for index in rows]
    labels = [str(row.label) for row in usable.rows]
    same = exact(digests)
    alike = near(swept.thumbs[rows], np.ones(len(rows), bool))
    given = {index: row.part for index, row in enumerate(usable.rows) if row.part}
    findings += inspect_duplicates(usable.rows, labels, same, alike, given)
    classes = usable.classes
    numbers = {name: number for number, name in enumerate(classes)}
    targets = np.array([numbers[label] for label in labels])
    linked = components(len(rows), [*same, *alike], [row.group for row in usable.rows])
    split, more = _split(usable, targets, linked, same, run.plan.seed, run.plan.test_share)
    findings += more
    print_of = _fingerprint(usable, digests)
    _same_data(run, print_of, split)
    if not run.ledger.entries:
        run.ledger.record("all", len(rows), "inspect", "class counts, and labels of duplicate rows")
        if split.how.startswith("split here"):
            run.ledger.record("all", len(rows), "split", "stratify before the test part is sealed")
        run.ledger.record("test", 0, "seal", f"{len(split.test)} rows sealed until the verdict")
    sides = [min(fact.width, fact.height) for fact in facts if fact]
    findings = [
        *usable.findings,
        *inspect_classes(usable.counts),
        *inspect_pictures(usable.rows, facts),
        *findings,
    ]
    masks = _masks(split, targets, linked, run.plan.seed)
    native = int(np.median(sides))
    sealed = Labels(targets, split.test, run.ledger)
    return Prepared(
        usable, digests, classes, sealed, split, masks, findings, swept, rows, native, print_of
    )


def read_given(given: Any, columns: Columns) -> Dataset:
    """Read what the user gave; ``sample:NAME`` is one of the sample sets."""
    if isinstance(given, str) and given.startswith("sample:"):
        sample: Dataset = registry.load("data.samples", given.removeprefix("sample:")).load()
        return sample
    return read(given, columns)


def _need_classes(dataset: Dataset) -> None:
    if len(dataset.classes) >= 2:
        return
    only = f"only one class, {dataset.classes[0]!r}," if dataset.classes else "no class"
    reasons = Counter(skip.reason for skip in dataset.skipped).most_common(3)
    why = "; ".join(f"{count} × {reason}" for reason, count in reasons)
    raise DataError(
        f"{dataset.where} has {only} that can be used; at least two are needed."
        + (f" Left out: {why}." if why else ""),
        "Put each class's pictures in a folder of its own: photos/cat/1.jpg, photos/dog/2.jpg.",
    )


def _testable(dataset: Dataset) -> tuple[Dataset, list[Finding]]:
    """Leave out rows whose class can't be both learned from and tested."""
    skips: list[Skip] = []
    counts = dataset.counts
    trained = {row.label for row in dataset.rows if row.part in (None, "train")}
    for row in dataset.rows:
        label = str(row.label)
        if counts[label] == 1:
            skips.append(
                Skip(
                    row.name,
                    f"the only picture of the class {label!r}: can't be learned and tested",
                )
            )
        elif label not in trained:
            skips.append(Skip(row.name, f"the class {label!r} has no training picture"))
    if not skips:
        return dataset, []
    gone = sorted(set(dataset.classes) - set(dataset.without(skips).classes))
    text = f"{len(gone)} classes were left out, for want of pictures to learn from: {', '.join(gone[:12])}."
    finding = Finding("class-left-out", "warning", text, tuple(skip.name for skip in skips[:24]))
    return dataset.without(skips), [finding]


def _split(
    dataset: Dataset, targets: Array, linked: Array, same: list[list[int]], seed: int, share: float
) -> tuple[Split, list[Finding]]:
    """The user's split where there is one, otherwise one of our own."""
    parts = [row.part for row in dataset.rows]
    by_part = {
        name: [i for i, part in enumerate(parts) if part == name]
        for name in ("train", "val", "test")
    }
    unmarked = [index for index, part in enumerate(parts) if part is None]
    sealed = by_part["test"] or by_part["val"]
    if not sealed:
        side = assign(targets, linked, [1 - share, share], seed)
        train = np.flatnonzero(side == 0).tolist()
        test = np.flatnonzero(side == 1).tolist()
        if len(test) < FEWEST_TEST or len(train) < FEWEST_TEST:
            raise DataError(
                f"{len(targets)} usable rows in {len(set(linked.tolist()))} independent groups can't be "
                "split into a part to learn from and a part to test on.",
                "Add pictures, or groups: at least a few of each class are needed.",
            )
        how = f"split here: {100 * (1 - share):.0f}/{100 * share:.0f}, stratified"
        grouped = any(row.group for row in dataset.rows)
        how += ", groups and duplicates on one side" if grouped else ", duplicates on one side"
        return Split(tuple(train), (), tuple(test), how), []
    train = by_part["train"] + unmarked
    if not train:
        raise DataError(f"{dataset.where} has no training rows.", "Mark some rows as train.")
    findings: list[Finding] = []
    held = set(sealed)
    leaks = [i for group in same if held & set(group) for i in group if i not in held]
    if leaks:
        text = f"{len(leaks)} training rows are exact copies of test rows and were left out of the training."
        findings.append(
            Finding("leak", "warning", text, tuple(dataset.rows[i].name for i in leaks[:24]))
        )
        train = [index for index in train if index not in set(leaks)]
    val = [index for index in by_part["val"] if by_part["test"] and index not in set(leaks)]
    missing = set(targets[sealed].tolist()) - set(targets[train].tolist())
    if missing or not train:
        raise DataError(
            f"After leaving out copies of test rows, {len(missing)} classes have no training row.",
            "Split the data anew, without copies across the parts.",
        )
    how = "as given: train, val and test" if by_part["test"] and val else "as given: train and "
    if not (by_part["test"] and val):
        how += "test" if by_part["test"] else "val, which is the sealed test"
    return Split(tuple(sorted(train)), tuple(sorted(val)), tuple(sorted(sealed)), how), findings


def _masks(split: Split, targets: Array, linked: Array, seed: int) -> Array:
    """Training masks over ``split.learn``: the user's validation part, or cross-validation."""
    learn = np.array(split.learn)
    if split.val:
        return ~np.isin(learn, split.val)[None]
    return folds(targets[learn], linked[learn], seed)


def _fingerprint(dataset: Dataset, digests: list[str]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for row, content in zip(dataset.rows, digests, strict=True):
        digest.update(f"{row.name}\0{content}\0{row.label}\0{row.group}\0{row.part}\n".encode())
    return digest.hexdigest()


def _same_data(run: Run, fingerprint: str, split: Split) -> None:
    """On resuming, the data must be those of the first session."""
    known = run.remembered("data.json")
    if known and known["fingerprint"] != fingerprint:
        raise RunError(
            f"The data have changed since the run in {run.folder} began.",
            "Start a new run: headstart fit DATA",
        )
    if not known:
        parts = {"train": len(split.train), "val": len(split.val), "test": len(split.test)}
        run.remember("data.json", {"fingerprint": fingerprint, "how": split.how, "parts": parts})
