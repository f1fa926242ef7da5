"""One adapted candidate in numbers: every validator's score, and how far it is from source-only."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from headstart import registry
from headstart.methods.domains import Domains, Head, class_means
from headstart.selection.validators.base import Seen

if TYPE_CHECKING:
    from headstart.types import Floats, Ints

__all__ = ["FOLDER", "along", "facts_of", "near", "seen_by", "shape"]

FOLDER = "selection.validators"


def seen_by(
    head: Head,
    reference: Head,
    domains: Domains,
    held: Floats,
    held_labels: Ints,
    ratios: Floats,
    again: Callable[[Domains], Head],
    skip: frozenset[str] = frozenset(),
    before: Floats | None = None,
) -> dict[str, float]:
    """Every validator's score of one candidate, and what it does to the answers.

    Args:
        head: of the candidate.
        reference: source-only's.
        domains: the source's training rows and the target.
        held, held_labels: source rows that the candidate was not trained on.
        ratios: density ratios there.
        again: fits the same method on other domains.
        skip: validators that are left out.
        before: source-only's probabilities on the target, where the features aren't those of ``reference``.

    Returns:
        name → score; of source-only itself the scores that others are compared with.
    """
    seen = Seen(head, reference, domains, held, held_labels, ratios, again, domains.seed, before)
    out = {
        name: float(registry.load(FOLDER, name).score(seen))
        for name in registry.names(FOLDER)
        if name not in skip
    }
    return out | shape(seen)


def shape(seen: Seen) -> dict[str, float]:
    """What the candidate does to source-only's answers on the target.

    ``moved`` is the share of rows whose answer changes, ``sure`` the mean of the largest probability,
    ``doubtful`` the share of changed rows among those that source-only was unsure of minus that among
    the others, ``tilt`` the total variation between the predicted class shares before and after,
    ``smallest`` the smallest predicted class share in units of the source's.
    """
    before = seen.unadapted
    after = seen.target
    changed = before.argmax(axis=1) != after.argmax(axis=1)
    unsure = before.max(axis=1) < np.median(before.max(axis=1))
    classes = seen.domains.classes
    shares = [np.bincount(p.argmax(axis=1), minlength=classes) / len(p) for p in (before, after)]
    own = np.bincount(seen.domains.labels, minlength=classes) / len(seen.domains.labels)
    doubtful = changed[unsure].mean() - changed[~unsure].mean() if 0 < unsure.mean() < 1 else 0.0
    return {
        "moved": float(changed.mean()),
        "sure": float(after.max(axis=1).mean()),
        "doubtful": float(doubtful),
        "tilt": float(np.abs(shares[0] - shares[1]).sum() / 2),
        "away": float(np.abs(own - shares[1]).sum() / 2),
        "smallest": float((shares[1] / np.maximum(own, 1e-9)).min()),
    }


def facts_of(
    domains: Domains, reference: Head, accuracy: float, auroc: float, table: bool = False
) -> dict[str, float]:
    """What is known of a pair of domains before any method ran.

    Args:
        domains: source and target.
        reference: source-only.
        accuracy: its, cross-validated on the source.
        auroc: of telling the domains apart.
        table: whether the features are columns of a table.
    """
    shares = reference.probabilities(domains.target)
    classes = domains.classes
    own = np.bincount(domains.labels, minlength=classes) / len(domains.labels)
    said = np.bincount(shares.argmax(axis=1), minlength=classes) / len(shares)
    return {
        "accuracy": accuracy,
        "auroc": auroc,
        "confidence": float(shares.max(axis=1).mean()),
        "tilted": float(np.abs(own - said).sum() / 2),
        "classes": float(np.log(classes)),
        "rows": float(np.log(len(domains.target))),
        "along": along(domains),
        "sources": float(max(len(np.unique(domains.origins)), 1)),
        "table": float(table),
        "near": near(domains, reference),
    }


def near(domains: Domains, reference: Head) -> float:
    """How often source-only gives one answer to a row of the target and to its ten nearest, 0 to 1.

    Where the target's classes are clusters it is high even though many clusters get a wrong answer.
    """
    answers = reference.predict(domains.target)
    return float((answers[domains.target_neighbours] == answers[:, None]).mean())


def along(domains: Domains) -> float:
    """How far the means of the two domains differ along the directions in which the classes differ.

    The length of the projection of ``mean_t - mean_s`` on the span of the classes' means in the source, as a
    share of its own length, 0 to 1; with two classes the absolute cosine between the two directions. If
    only the classes' shares differed it would be 1, as ``mean_t = Σ p_t(k) mean_k`` (the first moment of
    Zhang et al. 2013, eq. 5); a direction that has nothing to do with the classes gives about
    ``sqrt((classes - 1) / d)``.
    """
    means = class_means(domains.source, domains.labels, domains.classes)
    here, there = (np.asarray(x, np.float64).mean(axis=0) for x in (domains.source, domains.target))
    moved = there - here
    spread = (means - means.mean(axis=0)).T
    found = spread @ np.linalg.lstsq(spread, moved, rcond=None)[0]
    return float(np.linalg.norm(found) / max(float(np.linalg.norm(moved)), 1e-12))
