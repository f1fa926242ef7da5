"""Heads whose answers on some rows have given class shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from headstart.methods.domains import Domains, Head
from headstart.tasks.classify import softmax

if TYPE_CHECKING:
    from headstart.types import Array, Floats

__all__ = ["answered", "resharing", "shares_of", "towards"]

SHARP = 8.0
"""What logits of spread 1 are multiplied by, so that the sum of probabilities nearly counts answers."""
STEPS = 200


def answered(logits: Array) -> Floats:
    """About the shares of the classes in the answers, (c,), smooth in the logits."""
    shares: Floats = softmax(SHARP * logits).mean(axis=0)
    return shares


def shares_of(head: Head, features: Array) -> Floats:
    """About the class shares of a head's answers on some rows, (c,)."""
    return answered(head.evened(features).logits(features))


def resharing(head: Head, features: Array, shares: Array) -> Head:
    """A head with its bias moved so that its answers on some rows have given class shares.

    Args:
        head: any.
        features: (n, d).
        shares: (c,), above 0.
    """
    even = head.evened(features)
    logits = even.logits(features)
    step = np.zeros(len(shares))
    for _ in range(STEPS):
        said = np.maximum(answered(logits + step), 1e-9)
        step += np.clip(np.log(shares) - np.log(said), -1, 1) / SHARP
    return Head(even.weight, even.bias + step - step.mean())


def towards(domains: Domains, shares: Array, strength: float) -> Head:
    """The head that the domains start from, its answers on the target brought closer to some shares.

    Args:
        domains: both.
        shares: (c,), at least 0; no class is given less than half a row.
        strength: part of the way from the shares that it answers with, 0 to 1.
    """
    head = domains.source_only
    said = shares_of(head, domains.target)
    goal = np.maximum(said + strength * (shares - said), 0.5 / max(len(domains.target), 1))
    return resharing(head, domains.target, goal / goal.sum())
