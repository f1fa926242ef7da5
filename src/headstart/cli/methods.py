"""``headstart methods``: what can be tried, when, and when it hurts."""

from __future__ import annotations

import textwrap
from typing import Annotated, Any

import typer

from headstart.cli._console import emit

__all__ = ["command"]


def command(
    json_: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """List the methods and controls with their parameters."""
    from headstart.workflow.methods import methods

    found = methods()
    if json_:
        emit({"methods": found})
        return
    for entry in found:
        waits = "" if entry["unasked"] else ", when named"
        typer.echo(f"{entry['name']}  ({entry['family']}{waits})")
        for title, key in (("", "summary"), ("Try it: ", "try_when"), ("It hurts: ", "hurts_when")):
            typer.echo(
                textwrap.fill(
                    f"{title}{entry[key]}", 78, initial_indent="  ", subsequent_indent="    "
                )
            )
        _parameters([p for p in entry["parameters"] if not p["shared"]])
        typer.echo("")
    trained = next(entry for entry in found if any(p["shared"] for p in entry["parameters"]))
    typer.echo("Every method of the family finetune that trains also has")
    _parameters([p for p in trained["parameters"] if p["shared"]])
    typer.echo("")


def _parameters(parameters: list[dict[str, Any]]) -> None:
    """Print parameters, one paragraph each."""
    for parameter in parameters:
        line = f"{parameter['name']} = {parameter['default']!r}  {parameter['help']} ({parameter['range']})"
        typer.echo(textwrap.fill(line, 78, initial_indent="    ", subsequent_indent="        "))
