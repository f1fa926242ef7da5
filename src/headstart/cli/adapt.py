"""``headstart adapt --source A --target B``: labels in one domain, a problem in another."""

from __future__ import annotations

import textwrap
from typing import Annotated, Any

import typer

from headstart.cli import _options
from headstart.cli._console import Console, emit
from headstart.cli.fit import settings_of
from headstart.errors import UsageError

__all__ = ["command"]

SHOWN = 6


def command(
    source: Annotated[
        list[str] | None,
        typer.Option(
            help="The labelled domain: a table or a folder (repeatable).", show_default=False
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="The domain without labels; labels in it stay sealed.", show_default=False
        ),
    ] = None,
    text: _options.Text = None,
    image: _options.Image = None,
    label: _options.Label = None,
    group: _options.Group = None,
    encoding: _options.Encoding = None,
    source_model: _options.SourceModel = None,
    method: _options.Method = None,
    set_: _options.Set = None,
    trust: Annotated[
        bool,
        typer.Option("--trust", help="Return the best of the named methods, whatever is expected."),
    ] = False,
    unfreeze: Annotated[
        str | None,
        typer.Option(
            help="Also train the source model behind this freeze point: auto, a name, input.",
            show_default=False,
        ),
    ] = None,
    max_length: _options.MaxLength = None,
    budget: Annotated[
        str | None, typer.Option(help="Time for trying methods: 90s, 10m.", show_default=False)
    ] = None,
    evaluate: Annotated[
        bool,
        typer.Option("--evaluate", help="Open labels of held-out target rows at the very end."),
    ] = False,
    test_share: Annotated[
        float, typer.Option(help="Share of the target held out for --evaluate.")
    ] = 0.25,
    seed: _options.Seed = 0,
    out: _options.Out = None,
    json_: _options.Json = False,
) -> None:
    """Adapt to a domain without labels, where that is clearly better than not adapting."""
    if not source or not target:
        lacking = "--source and --target" if not source and not target else "--target"
        lacking = "--source" if target and not source else lacking
        raise UsageError(
            f"{lacking} {'are' if ' and ' in lacking else 'is'} missing.",
            "Type: headstart adapt --source movies.csv --target products.csv --text text --label label",
        )
    from headstart.workflow.adapting.adapt import adapt

    result = adapt(
        source,
        target,
        text=text,
        image=image,
        label=label,
        group=group,
        encoding=encoding,
        source_model=source_model,
        methods=tuple(method or ()),
        settings=settings_of(set_ or []),
        trust=trust,
        unfreeze=unfreeze,
        max_length=max_length,
        seed=seed,
        budget=budget,
        evaluate=evaluate,
        test_share=test_share,
        out=out,
        reporter=Console(),
    )
    if json_:
        emit(result.summary)
    else:
        typer.echo("\n".join(closing(result.summary)))


def closing(told: dict[str, Any]) -> list[str]:
    """The lines that end a run on the terminal."""
    from headstart.report.words import candidate

    name = candidate(told["method"])
    adapted = told["decision"] == "adapted"
    low, high = told["estimate"]["interval"]
    share = f"{100 * told['estimate']['accuracy']:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"
    lines = ["", f"Decision: {'ADAPTED by ' + name if adapted else 'SOURCE-ONLY'}"]
    lines += textwrap.wrap(told["why"], 78)
    alone = told["source_only"]["estimate"]["accuracy"]
    lines += ["", f"  expected on the target: {share} (90 % interval, no label read)"]
    lines += [f"  source-only expected:   {100 * alone:.1f} %"] if adapted else []
    if test := told.get("test"):
        gain, (a, b) = test["gain"], test["gain"]["interval"]
        lines += [
            "",
            f"  with the labels of {test['n']} held-out rows, opened last:",
            f"  returned    {100 * test['score']:5.1f} %",
            f"  source-only {100 * test['source_only']:5.1f} %   "
            f"gain {100 * gain['value']:+.1f} points [{100 * a:.1f}, {100 * b:.1f}]",
        ]
    lines += _listed(told)
    if told["left_out"]:
        lines.append(f"  {len(told['left_out'])} rows left out; the report lists why")
    new = {"text": "new.txt", "image": "new.jpg"}.get(told["modality"], "new.csv")
    lines += ["", f"Report: {told['report']}", f"Model:  {told['bundle']}"]
    return [*lines, f"Next:   headstart predict {told['run']} {new}"]


def _listed(told: dict[str, Any]) -> list[str]:
    """The candidates that are expected to gain most."""
    from headstart.report.words import candidate

    found = [one for one in told["candidates"] if one["expected_gain"] is not None]
    found.sort(key=lambda one: -one["expected_gain"])
    if not found:
        return []
    true = told.get("test", {}).get("candidates", {})
    head = f"  {'expected gain over source-only':<40}" + ("true" if true else "")
    lines = ["", head.rstrip()]
    base = told.get("test", {}).get("source_only", 0.0)
    for one in found[:SHOWN]:
        line = f"  {candidate(one['method']):<30}{100 * one['expected_gain']:+7.1f}"
        if one["method"] in true:
            line += f"   {100 * (true[one['method']] - base):+7.1f}"
        lines.append(line)
    if len(found) > SHOWN:
        lines.append(f"  and {len(found) - SHOWN} more: see the report")
    return lines
