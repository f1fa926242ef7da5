"""``adapt``: labels in one domain, a problem in another, and a model that is never quietly worse."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.data.dataset import Columns
from headstart.errors import DataError, Interrupted, UsageError
from headstart.features.cache import Cache
from headstart.progress import Silent
from headstart.types import Finding, Reporter
from headstart.workflow.adapting.networks import refuse
from headstart.workflow.adapting.plan import AdaptPlan
from headstart.workflow.adapting.work import Work
from headstart.workflow.domains import Domains, read_domains
from headstart.workflow.plan import Run, parse_budget
from headstart.workflow.result import Result

if TYPE_CHECKING:
    pass

__all__ = ["AdaptResult", "adapt"]


class AdaptResult(Result):
    """What an adaptation gave."""

    @property
    def decision(self) -> str:
        """``adapted`` or ``source-only``."""
        return str(self.summary["decision"])


def adapt(
    source: Any,
    target: Any,
    *,
    text: str | None = None,
    image: str | None = None,
    label: str | None = None,
    group: str | None = None,
    encoding: str | None = None,
    source_model: str | None = None,
    methods: Sequence[str] = (),
    settings: dict[str, dict[str, str]] | None = None,
    trust: bool = False,
    unfreeze: str | None = None,
    max_length: int | None = None,
    seed: int = 0,
    budget: str | float | None = None,
    evaluate: bool = False,
    test_share: float = 0.25,
    out: Path | str | None = None,
    reporter: Reporter | None = None,
) -> AdaptResult:
    """Adapt a classifier from a labelled domain to one without labels, where that is clearly better.

    Source-only, tuned and calibrated, is what every method has to beat. Methods are chosen by scores that
    need no label of the target, weighed by what such scores were worth on other data sets; where none is
    expected to be clearly better, source-only is returned and the result says so.

    Args:
        source: the labelled domain: a table, a folder of class folders, ``(X, y)``; or a list of several.
        target: the other domain, the same kind of thing. Labels in it are sealed.
        text, image, label, group: columns of tables; without a text or an image, the other columns are
            the features.
        encoding: of text files.
        source_model: whose features are used for pictures and texts.
        methods: try these alone (``headstart methods`` lists them).
        settings: method → parameter → value.
        trust: return the best of the named methods whatever is expected of it. Otherwise a named method is
            returned only where scores without labels were found to tell whether such methods help.
        unfreeze: also train the source model's blocks behind this freeze point by the named methods that
            train (``mcc`` where none is named): ``auto`` for its last block, a point's name, or ``input`` for
            the whole network. None: only where a budget has room for it.
        max_length: most tokens that are read of a text.
        seed: of every random choice.
        budget: ``90s``, ``10m`` or seconds, for trying methods; None tries all that run unasked.
        evaluate: open the target's labels at the very end: a share of its rows is held out of everything
            for that.
        test_share: of the target's rows, with ``evaluate``.
        out: the run folder; ``runs/NAME-TIME`` by default.
        reporter: progress; silent by default.

    Returns:
        the result, with ``decision``, ``model``, ``report`` and ``summary``.

    Raises:
        HeadstartError: with what happened, where, and what to do next.

    Example:
        >>> run = adapt("movies.csv", "products.csv", text="text", label="label")  # doctest: +SKIP
        >>> run.decision  # doctest: +SKIP
        'adapted'
    """
    reporter = reporter or Silent()
    begun = time.monotonic()
    sources = source if isinstance(source, list) else [source]
    columns = Columns(image, label, group, None, text, None, encoding)
    paths = tuple(str(one) if isinstance(one, str | Path) else "" for one in sources)
    aim = str(target) if isinstance(target, str | Path) else ""
    plan = AdaptPlan(
        data=paths[0],
        columns=columns,
        source=source_model or "",
        methods=tuple(methods),
        settings=settings or {},
        seed=seed,
        budget=parse_budget(budget),
        test_share=test_share,
        name=f"{Path(paths[0]).stem or 'source'}-to-{Path(aim).stem or 'target'}",
        max_length=max_length or 0,
        sources=paths,
        target=aim,
        evaluate=evaluate,
        unfreeze=unfreeze or "",
        trust=trust,
    )
    cache = Cache()
    try:
        domains = read_domains(
            sources,
            target,
            columns,
            cache,
            reporter,
            source=source_model,
            max_length=plan.max_length,
        )
        refuse(plan, domains)
        domains, findings = settled(domains, evaluate)
        run = Run.create(plan, out)
        work = Work(run, domains, findings, reporter, begun)
        return AdaptResult(work.finish(), run.folder)
    except KeyboardInterrupt as error:
        raise Interrupted(
            "Stopped. The features are kept.", f"Type it again: {plan.command()}"
        ) from error


def settled(domains: Domains, evaluate: bool) -> tuple[Domains, list[Finding]]:
    """The domains without source rows that have no label, and what is to be said of them.

    Raises:
        DataError: fewer than two classes are left.
        UsageError: the target's labels are asked for and there are none.
    """
    findings = list(domains.findings)
    kept = []
    for domain in domains.sources:
        rows = [n for n, label in enumerate(domain.labels) if label is not None]
        if len(rows) < len(domain.labels):
            text = f"{len(domain.labels) - len(rows)} rows of {domain.name} have no label and were left out."
            names = tuple(
                n for n, label in zip(domain.names, domain.labels, strict=True) if not label
            )
            findings.append(Finding("unlabelled", "note", text, names[:24]))
        kept.append(domain.keep(rows))
    classes = sorted({label for domain in kept for label in domain.labels if label})
    if len(classes) < 2:
        only = f"one class alone, {classes[0]!r}" if classes else "no labels"
        raise DataError(
            f"The source has {only}; at least two classes are needed.",
            "Name the column that holds the classes: --label COLUMN.",
        )
    if len(classes) > 0.5 * sum(len(domain.labels) for domain in kept):
        raise DataError(
            f"The source has {len(classes)} different labels in {sum(len(d.labels) for d in kept)} rows: "
            "these look like numbers or texts, not classes.",
            "Name the column that holds the classes: --label COLUMN.",
        )
    if evaluate and not any(label is not None for label in domains.target.labels):
        raise UsageError(
            "--evaluate needs labels in the target, and there are none.",
            "Leave it out, or name their column: --label COLUMN",
        )
    known = {digest for domain in kept for digest in domain.digests}
    copies = [
        n for n, d in zip(domains.target.names, domains.target.digests, strict=True) if d in known
    ]
    if copies:
        text = (
            f"{len(copies)} of {len(domains.target.names)} target rows are copies of source rows."
        )
        findings.append(Finding("overlap", "warning", text, tuple(copies[:24])))
    return Domains(
        tuple(kept),
        domains.target,
        domains.modality,
        domains.source,
        domains.encoder,
        tuple(findings),
    ), findings
