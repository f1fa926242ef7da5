"""What is returned, from scores without labels, and when nothing is."""

import numpy as np
import pytest

from headstart.methods.align._shares import resharing
from headstart.methods.align.prior_means import estimate as shares_of
from headstart.methods.domains import Domains
from headstart.selection.chooser import (
    CLOSED,
    OFFERED,
    Linear,
    Weights,
    agreed,
    choose,
    estimate,
    regime,
    shipped,
)
from headstart.selection.judged import along, near

TWO, TEN = float(np.log(2)), float(np.log(10))


def weights(gain: float = 0.05, margin: float = 0.02) -> Weights:
    """A chooser that expects ``gain`` for each row that moves."""
    line = Linear(("gain.moved",), (0.0,), (1.0,), (gain,), 0.0)
    flat = Linear((), (), (), (), 0.0)
    told = Linear(("stays",), (0.0,), (1.0,), (1.0,), 0.0)
    margins = dict.fromkeys(OFFERED, margin)
    return Weights(dict.fromkeys(OFFERED.values(), line), margins, flat, told, (-0.1, 0.1))


def facts(
    classes: float = TWO, along: float = 0.05, table: float = 0.0, near: float = 0.3
) -> dict[str, float]:
    return {"classes": classes, "along": along, "confidence": 0.8, "table": table, "near": near}


def scores(moved: float) -> dict[str, float]:
    return {"moved": moved, "atc": 0.7, "doc": 0.9, "bnm": 0.8}


def seen(**moved: float) -> dict[str, dict[str, float]]:
    given = dict.fromkeys(OFFERED.values(), 1.0) | {"source_only": 0.0, "tent": 3.0}
    return {name: scores(value) for name, value in (given | moved).items()}


@pytest.mark.parametrize(
    ("classes", "where", "found"),
    [(TWO, 0.0, "even"), (TWO, 0.18, "unclear"), (TWO, 0.3, "uneven"), (TEN, 0.3, "many")],
)
def test_the_direction_of_the_means_decides_what_may_be_returned(
    classes: float, where: float, found: str
) -> None:
    given = facts(classes, where)
    assert regime(given) == found
    chosen = choose(given, seen(), weights())
    assert chosen.method == OFFERED.get(found, "")
    if found == "unclear":
        assert "shares may differ" in chosen.why
        assert chosen.margin == CLOSED


def test_a_table_is_adapted_only_where_its_shares_are_seen_to_differ() -> None:
    found = choose(facts(table=1.0), seen(), weights())
    assert not found.method and "columns of a table" in found.why
    assert choose(facts(along=0.4, table=1.0), seen(), weights()).method == OFFERED["uneven"]
    assert choose(facts(TEN, table=1.0), seen(), weights()).method == OFFERED["many"]


def test_classes_that_are_clusters_are_told_by_near_rows_that_are_answered_alike() -> None:
    found = choose(facts(TEN, near=0.7), seen(), weights())
    assert regime(facts(TEN, near=0.7)) == "clustered"
    assert found.method == OFFERED["clustered"]
    random = np.random.default_rng(0)
    labels = np.arange(200) % 4
    clusters = random.normal(size=(200, 8)) + 6 * np.eye(8)[labels]
    cloud = random.normal(size=(200, 8))
    for rows, low, high in ((clusters, 0.9, 1.0), (cloud, 0.2, 0.6)):
        domains = Domains(rows, labels, rows + 0.1, 4)
        assert low <= near(domains, domains.source_only) <= high


def test_several_sources_of_two_classes_are_left_alone() -> None:
    given = facts() | {"sources": 2.0}
    found = choose(given, seen(), weights())
    assert not found.method and "several sources" in found.why
    assert choose(given, seen(), weights(), asked=["tent"], trusted=True).method == "tent"
    assert choose(facts(TEN) | {"sources": 2.0}, seen(), weights()).method == "consensus"


def test_what_is_named_is_returned_where_scores_told_elsewhere_or_it_is_trusted() -> None:
    assert choose(facts(), seen(), weights()).method == OFFERED["even"]
    named = choose(facts(), seen(), weights(), asked=["tent"])
    assert not named.method and named.margin == CLOSED and "--trust" in named.why
    assert (
        choose(facts(), seen(), weights(), asked=["tent", OFFERED["even"]]).method
        == OFFERED["even"]
    )
    trusted = choose(facts(along=0.18), seen(), weights(), asked=["tent"], trusted=True)
    assert trusted.method == "tent" and "whatever" in trusted.why
    assert trusted.margin == CLOSED, "there is no line to draw"
    given = weights()
    given.margins["named.even"] = 0.1  # expected: 0.05 for each row that moves, three times
    assert choose(facts(), seen(), given, asked=["tent"]).method == "tent"
    given.margins["named.even"] = 0.2
    below = choose(facts(), seen(), given, asked=["tent"])
    assert (below.method, below.margin) == ("", 0.2) and "20.0" in below.why


def test_a_fit_of_another_regime_says_nothing() -> None:
    high = Linear((), (), (), (), 0.4)
    given = weights()
    odd = Weights(
        {**given.gains, OFFERED["clustered"]: high},
        given.margins,
        given.level,
        given.told,
        given.errors,
    )
    assert choose(facts(), seen(), odd).gains[OFFERED["clustered"]] == pytest.approx(0.05)
    assert choose(facts(TEN, near=0.7), seen(), odd).gains[OFFERED["clustered"]] == 0.4


def test_a_gain_below_the_margin_leaves_source_only() -> None:
    found = choose(facts(), seen(), weights(margin=0.06))
    assert not found.method
    assert "more than 6.0" in found.why
    without = {"source_only": scores(0.0)}
    assert "could be fitted" in choose(facts(), without, weights()).why


def test_the_estimate_reads_agreement_where_there_is_a_consensus() -> None:
    given = seen(self_training=0.25)
    assert agreed(facts(), given)["stays"] == 0.75
    found = estimate(facts(), given, 0.05, weights())
    assert found.accuracy == pytest.approx(0.8)
    assert (found.low, found.high) == (pytest.approx(0.7), pytest.approx(0.9))
    alone = estimate(facts(), {"source_only": scores(0.0)}, 0.0, weights())
    assert alone.accuracy == pytest.approx(0.8)  # the mean of .7, .9 and .8
    assert estimate(facts(), given, 9.0, weights()).accuracy == 1.0
    assert estimate(facts(TEN), given, -9.0, weights()).accuracy == pytest.approx(0.05)


def test_what_is_shipped_reads_as_it_was_written() -> None:
    found = shipped()
    assert Weights.from_dict(found.as_dict()) == found
    assert set(found.gains) == set(OFFERED.values())
    assert {name for name in found.margins if "." not in name} == set(OFFERED)
    assert all(found.margins[f"named.{where}"] > 0 for where in OFFERED)
    assert found.errors[0] < 0 < found.errors[1]


def domains(share: float, moved: float, rows: int = 4000) -> tuple[Domains, np.ndarray]:
    """Two classes along the first of 30 axes; the target has another share of them and lies elsewhere."""
    random = np.random.default_rng(0)
    labels, truth = np.arange(rows) % 2, (random.random(rows) < share).astype(int)
    both = [random.normal(size=(rows, 30)) for _ in range(2)]
    both[0][:, 0] += 2 * labels
    both[1][:, 0] += 2 * truth
    both[1][:, 1] += moved
    return Domains(both[0], labels, both[1], 2), truth


def test_a_shift_of_shares_lies_along_the_classes_and_another_subject_does_not() -> None:
    assert along(domains(0.9, 0.0)[0]) > 0.9
    assert along(domains(0.5, 2.0)[0]) < 0.1
    same = Domains(np.eye(4), np.array([0, 0, 1, 1]), np.eye(4), 2)
    assert along(same) == 0.0


def test_shares_are_found_by_the_means_and_answered_with() -> None:
    given, truth = domains(0.8, 1.0)
    found = shares_of(given.source, given.labels, given.target, 2)
    assert found[1] == pytest.approx(truth.mean(), abs=0.03)
    head = resharing(given.source_only, given.target, found)
    assert head.predict(given.target).mean() == pytest.approx(found[1], abs=0.02)
    assert (head.predict(given.target) == truth).mean() > (
        given.source_only.predict(given.target) == truth
    ).mean()
