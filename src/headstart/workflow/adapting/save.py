"""The bundle of an adaptation: a head on frozen features, as a linear probe has."""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING, Any

from headstart import __version__
from headstart.export import bundle, table_bundle, text_bundle
from headstart.methods.domains import Head
from headstart.sources.base import ImageSource
from headstart.sources.text import TextSource
from headstart.workflow.adapting.unfrozen import put

if TYPE_CHECKING:
    from headstart.workflow.adapting.work import Work

__all__ = ["save_bundle"]


def save_bundle(work: Work, head: Head) -> None:
    """Write the bundle of the returned head."""
    source, folder = work.data.source, work.run.folder / "model"
    summary = work.summary()
    own = work.returned.partition("@")[0]
    facts: dict[str, Any] = {
        "task": "classify",
        "outputs": len(work.classes),
        "temperature": 1.0,
        "method": {"name": work.returned, "parameters": work.plan.settings.get(own, {})},
        "made_with": _versions(),
        "adaptation": {
            "decision": summary["decision"],
            "sources": [one["name"] for one in summary["sources"]],
            "target": summary["target"]["name"],
            "estimate": summary["estimate"],
        },
        "source": {},
    }
    if source is None:
        table_bundle.write(folder, head.weight, head.bias, work.data.encoder, work.classes, facts)
        return
    facts["source"] = {
        "name": source.title,
        "trained_on": source.trained_on,
        "licence": source.licence,
    }
    trained = work.network_of(work.returned)
    made: Any = trained.network if trained else None
    if isinstance(source, TextSource):
        made = made or source.network(classes=len(work.classes))
        put(made.head, head)
        more = {"length": source.length, "column": work.plan.columns.text}
        text_bundle.write(folder, made, source.vocabulary(), work.classes, more | facts)
        return
    assert isinstance(source, ImageSource)
    made = made or source.build(classes=len(work.classes))
    put(made.head, head)
    facts["half_from"] = source.half_from
    bundle.write(folder, made, source.contract, work.classes, facts)


def _versions() -> dict[str, str]:
    found = {"headstart": __version__}
    for name in ("torch", "timm", "transformers", "scikit-learn"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
