"""From rows that were read to rows that can be used: inspect, split, seal, whatever the modality.

What differs between pictures and texts (how they are read, which of them are alike, what is odd about
them) stands in ``pictures`` and ``texts``; they call :func:`usable_rows` and then :func:`settle`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart import registry
from headstart.data.dataset import Columns, Dataset, read
from headstart.data.duplicates import components
from headstart.data.lint import inspect_duplicates
from headstart.data.sealed import Labels
from headstart.data.split import Split, assign, folds
from headstart.errors import DataError, RunError
from headstart.features.swept import Swept
from headstart.tasks import base as tasks
from headstart.tasks import multilabel, regress
from headstart.types import Finding, Skip
from headstart.workflow.plan import Run

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = [
    "Prepared",
    "Usable",
    "need_classes",
    "need_labels",
    "read_given",
    "settle",
    "usable_rows",
]

FEWEST_TEST = 2
SIDES = {
    "classify": ("within a class", "across classes"),
    "multilabel": ("with the same labels", "with different labels"),
    "regress": ("with the same label", "with different labels"),
}


@dataclass
class Prepared:
    """Everything known before the first method runs.

    Attributes:
        dataset: the usable rows.
        digests: of each row.
        task: what is learned, bound to these labels.
        classes: names of the outputs, in their order; empty for numbers.
        labels: sealed for the test part.
        split: row indices of each part.
        masks: (folds, learn rows) training masks, over ``split.learn``.
        findings: of the inspection.
        sweep: the features.
        rows: for each usable row, its place in the sweep.
        fingerprint: of names, contents and labels.
    """

    dataset: Dataset
    digests: list[str]
    task: tasks.Task
    classes: list[str]
    labels: Labels
    split: Split
    masks: Array
    findings: list[Finding]
    sweep: Swept
    rows: list[int]
    fingerprint: str

    @property
    def repeats(self) -> int:
        """How often the cross-validation was repeated."""
        return max(1, int((~self.masks).sum(axis=0).max()))

    def features(self, indices: Any) -> Array:
        """Features of usable rows by their index."""
        return self.sweep.matrix([self.rows[index] for index in indices])


@dataclass(frozen=True)
class Usable:
    """The rows that can be used.

    Attributes:
        dataset: with these rows alone.
        rows: for each, its place in the sweep.
        digests: of each.
        findings: about classes that were left out.
    """

    dataset: Dataset
    rows: list[int]
    digests: list[str]
    findings: list[Finding]


def usable_rows(dataset: Dataset, swept: Swept, task: str = "classify") -> Usable:
    """Leave out the rows that the sweep couldn't use, and classes that can't be learned and tested.

    Raises:
        DataError: what is left can't be learned: fewer than two classes, labels or numbers.
    """
    place = {row.name: index for index, row in enumerate(dataset.rows)}
    usable = dataset.without(swept.skips)
    findings: list[Finding] = []
    if task == "classify":
        usable, findings = _testable(usable)
    usable = need_labels(usable, task)
    rows = [place[row.name] for row in usable.rows]
    return Usable(usable, rows, [swept.digests[index] for index in rows], findings)


def settle(
    run: Run,
    usable: Usable,
    swept: Swept,
    same: list[list[int]],
    alike: Sequence[tuple[int, int]],
    oddities: Sequence[Finding],
) -> Prepared:
    """Split the usable rows, with copies on one side, and seal the test labels.

    Args:
        run: the run, whose ledger and ``data.json`` are written.
        usable: the rows.
        swept: what was extracted.
        same: groups of rows with the same content.
        alike: pairs of rows with nearly the same content.
        oddities: what the modality's own inspection found.

    Raises:
        DataError: a part is empty.
        RunError: the data are not those that a resumed run began with.
    """
    dataset, rows = usable.dataset, usable.dataset.rows
    given = {index: row.part for index, row in enumerate(rows) if row.part}
    task = tasks.bind(run.plan.task, dataset, run.plan.metric)
    targets = task.targets(dataset)
    strata = task.strata(targets)
    linked = components(len(rows), [*same, *alike], [row.group for row in rows])
    split, leaks = _split(
        dataset, task.name, strata, linked, same, run.plan.seed, run.plan.test_share
    )
    _measurable(task, targets, split)
    if isinstance(task, regress.Task):
        task = task.learned(targets[list(split.learn)])
    copies = inspect_duplicates(rows, _marked(dataset, task), same, alike, given, SIDES[task.name])
    fingerprint = _fingerprint(dataset, usable.digests)
    _same_data(run, fingerprint, split)
    if not run.ledger.entries:
        run.ledger.record("all", len(rows), "inspect", "class counts, and labels of duplicate rows")
        if split.how.startswith("split here"):
            run.ledger.record("all", len(rows), "split", "stratify before the test part is sealed")
        run.ledger.record("test", 0, "seal", f"{len(split.test)} rows sealed until the verdict")
    findings = [
        *dataset.findings,
        *task.inspect(dataset),
        *oddities,
        *usable.findings,
        *copies,
        *leaks,
    ]
    return Prepared(
        dataset,
        usable.digests,
        task,
        list(task.classes),
        Labels(targets, split.test, run.ledger),
        split,
        _masks(split, task, targets, linked, run.plan.seed),
        findings,
        swept,
        usable.rows,
        fingerprint,
    )


def read_given(given: Any, columns: Columns) -> Dataset:
    """Read what the user gave; ``sample:NAME`` is one of the sample sets."""
    if isinstance(given, str) and given.startswith("sample:"):
        sample: Dataset = registry.load("data.samples", given.removeprefix("sample:")).load()
        return sample
    return read(given, columns)


def need_classes(dataset: Dataset) -> None:
    """Refuse data with fewer than two classes, before anything is computed.

    Raises:
        DataError: there are fewer.
    """
    if len(dataset.classes) >= 2:
        return
    only = f"only one class, {dataset.classes[0]!r}," if dataset.classes else "no class"
    reasons = Counter(skip.reason for skip in dataset.skipped).most_common(3)
    why = "; ".join(f"{count} × {reason}" for reason, count in reasons)
    raise DataError(
        f"{dataset.where} has {only} that can be used; at least two are needed."
        + (f" Left out: {why}." if why else ""),
        "Name the column that holds the classes: --label COLUMN."
        if dataset.modality == "text"
        else "Put each class's pictures in a folder of its own: photos/cat/1.jpg, photos/dog/2.jpg.",
    )


def need_labels(dataset: Dataset, task: str) -> Dataset:
    """Refuse data that a task can't learn from, before anything is computed.

    Returns:
        the data without rows whose label the task can't read.

    Raises:
        DataError: fewer than two classes, numbers or sets of labels are there.
    """
    if task == "regress":
        return regress.readable(dataset)
    if task == "multilabel":
        return multilabel.readable(dataset)
    need_classes(dataset)
    return dataset


def _marked(dataset: Dataset, task: tasks.Task) -> list[str]:
    """Each row's label in a form that is equal where labels are."""
    if task.name == "regress":
        return [f"{float(str(row.label)):g}" for row in dataset.rows]
    if task.name == "multilabel":
        return ["\0".join(sorted(dataset.labels(row))) for row in dataset.rows]
    return [str(row.label) for row in dataset.rows]


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
                    f"the only {dataset.noun} of the class {label!r}: can't be learned and tested",
                )
            )
        elif label not in trained:
            skips.append(Skip(row.name, f"the class {label!r} has no training {dataset.noun}"))
    if not skips:
        return dataset, []
    gone = sorted(set(dataset.classes) - set(dataset.without(skips).classes))
    text = f"{len(gone)} classes were left out, for want of {dataset.noun}s to learn from: {', '.join(gone[:12])}."
    finding = Finding("class-left-out", "warning", text, tuple(skip.name for skip in skips[:24]))
    return dataset.without(skips), [finding]


def _split(
    dataset: Dataset,
    task: str,
    targets: Array,
    linked: Array,
    same: list[list[int]],
    seed: int,
    share: float,
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
                f"Add {dataset.noun}s, or groups: at least a few of each class are needed.",
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
    missing: set[int] = set()
    if task == "classify":
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


def _masks(split: Split, task: tasks.Task, targets: Array, linked: Array, seed: int) -> Array:
    """Training masks over ``split.learn``: the user's validation part, or cross-validation."""
    learn = np.array(split.learn)
    if split.val:
        return ~np.isin(learn, split.val)[None]
    return folds(task.strata(targets[learn]), linked[learn], seed)


def _fingerprint(dataset: Dataset, digests: list[str]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for row, content in zip(dataset.rows, digests, strict=True):
        digest.update(f"{row.name}\0{content}\0{row.label}\0{row.group}\0{row.part}\n".encode())
    return digest.hexdigest()


def _measurable(task: tasks.Task, targets: Array, split: Split) -> None:
    """Refuse a metric that the rows to be judged can't give, before anything is trained.

    Raises:
        DataError: they hold one class alone, no label, or one number alone.
    """
    for part, rows in (("test", split.test), ("validation", split.val)):
        if not rows:
            continue
        own = targets[list(rows)]
        blank, once = np.zeros((len(rows), task.outputs)), np.ones((1, len(rows)))
        if np.isnan(task.measure.weighted(own, blank, once)[0]):
            raise DataError(
                f"{task.measure.name} can't be measured on the {len(rows)} {part} rows: "
                "there is nothing in their labels to tell apart.",
                "Take another metric (--metric), or split the data so that each part holds every kind "
                "of label.",
            )


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
