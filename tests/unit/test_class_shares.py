"""Heads whose answers are brought to given class shares."""

from dataclasses import replace

import numpy as np
import pytest

from headstart.methods.align import hold_shares, prior_means, same_shares
from headstart.methods.align._shares import resharing, shares_of, towards
from headstart.methods.domains import Domains, Head


def drawn(rows: int, share: float, seed: int, moved: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Two overlapping classes; ``moved`` shifts all rows along the line between them."""
    random = np.random.default_rng(seed)
    labels = (np.arange(rows) < share * rows).astype(int)
    features = random.normal(size=(rows, 3))
    features[:, 0] += 2.0 * labels + moved
    return features, labels


def given(share: float, moved: float = 0.0) -> tuple[Domains, np.ndarray]:
    source, labels = drawn(600, 0.5, 0)
    target, truth = drawn(600, share, 1, moved)
    return Domains(source, labels, target, 2), truth


def said(head: Head, domains: Domains) -> float:
    """The share of the second class among the answers."""
    return float(head.predict(domains.target).mean())


def right(head: Head, domains: Domains, truth: np.ndarray) -> float:
    return float((head.predict(domains.target) == truth).mean())


@pytest.mark.parametrize("share", [0.1, 0.35, 0.8])
def test_a_head_answers_with_the_shares_that_it_is_given(share: float) -> None:
    domains, _ = given(0.5)
    head = resharing(domains.source_only, domains.target, np.array([1 - share, share]))
    assert abs(said(head, domains) - share) < 0.02
    assert abs(shares_of(head, domains.target)[1] - share) < 0.01


def test_part_of_the_way_is_part_of_the_way() -> None:
    domains, _ = given(0.5)
    before = shares_of(domains.source_only, domains.target)[1]
    half = towards(domains, np.array([0.2, 0.8]), 0.5)
    assert abs(shares_of(half, domains.target)[1] - (before + 0.8) / 2) < 0.01


def test_the_source_shares_put_right_a_target_that_moved_and_harm_one_that_differs() -> None:
    method = same_shares.Method()
    moved, truth = given(0.5, moved=1.0)
    assert right(method.align(moved), moved, truth) > right(moved.source_only, moved, truth) + 0.05
    uneven, truth = given(0.15)
    assert right(method.align(uneven), uneven, truth) < right(uneven.source_only, uneven, truth)
    assert right(prior_means.Method().align(uneven), uneven, truth) > right(
        uneven.source_only, uneven, truth
    )


def test_holding_the_shares_gives_back_half_of_what_another_method_changed() -> None:
    domains, _ = given(0.5, moved=1.0)
    before = shares_of(domains.source_only, domains.target)[1]
    adapted = same_shares.Method().align(domains)
    after = shares_of(adapted, domains.target)[1]
    held = hold_shares.Method().align(replace(domains, start=adapted))
    assert abs(shares_of(held, domains.target)[1] - (before + after) / 2) < 0.01
    alone = hold_shares.Method().align(domains)
    assert (
        alone.predict(domains.target) == domains.source_only.predict(domains.target)
    ).mean() > 0.99
