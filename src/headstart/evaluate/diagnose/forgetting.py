"""Asks the source model's own head whether the fine-tuned features still mean what they did.

This is a proxy: no picture of the source domain is at hand. The source's head reads the target's own
pictures, once from the source's features and once from the fine-tuned ones, and the share of rows with
the same answer is what is kept. It says nothing about classes that no target picture resembles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headstart.evaluate.diagnose.base import NOTICE, OK, Diagnosis, Facts, Figure
from headstart.evaluate.paired import wilson

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = ["NEEDS", "RANK", "TITLE", "diagnose", "kept"]

TITLE = "Forgetting (proxy)"
RANK = 7
NEEDS = frozenset({"source_features", "features", "head"})

HALF = 0.5


def kept(old: Array, new: Array, head: tuple[Array, Array]) -> Array:
    """Rows on which the source's head answers the same from both features, bool (n,).

    Args:
        old, new: (n, d) features of the same rows.
        head: weight (s, d) and bias (s,).
    """
    weight, bias = head
    first, second = ((part @ weight.T + bias).argmax(axis=1) for part in (old, new))
    out: Array = first == second
    return out


def diagnose(facts: Facts) -> Diagnosis:
    """Share of rows on which the source's head keeps its answer, with Wilson's interval.

    It is never more than a notice: forgetting matters only to those who still need the source's task.

    Args:
        facts: ``source_features``, ``features`` and ``head``.
    """
    assert facts.source_features is not None and facts.features is not None
    assert facts.head is not None
    same = kept(facts.source_features, facts.features, facts.head)
    low, high = wilson(float(same.sum()), len(same))
    value = float(same.mean())
    figure = Figure("answers of the source's head that were kept", value, low, high, "share")
    span = f"{value * 100:.0f} % [{low * 100:.0f}, {high * 100:.0f}]"
    says = f"The source's own head keeps {span} of its answers on {len(same)} of these pictures (a proxy)."
    if high >= HALF:
        return Diagnosis("forgetting", TITLE, OK, says, (figure,))
    advice = (
        "It matters only if the source's task is still needed: then train less of the network, or at a "
        "lower learning rate."
    )
    return Diagnosis("forgetting", TITLE, NOTICE, f"{says} It forgot the rest.", (figure,), advice)
