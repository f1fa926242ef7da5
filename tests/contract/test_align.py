"""What every aligning method found on disk has to keep, whoever writes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from headstart import registry
from headstart.errors import UsageError
from headstart.methods.base import configure
from headstart.methods.domains import Domains, Head

NAMES = registry.names("methods.align")
METHODS = {name: registry.load("methods.align", name).Method for name in NAMES}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """The problems are so small that threads would only wait for each other."""
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(count)


def blobs(rows: int, width: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Classes around centres of their own, in features of unequal spread."""
    centres = 2.2 * np.random.default_rng(7).normal(size=(classes, width))
    random = np.random.default_rng(seed)
    labels = np.arange(rows) % classes
    spread = np.linspace(0.5, 2.0, width)
    return (centres[labels] + random.normal(size=(rows, width))) * spread, labels


def domains(rows: int = 120, width: int = 12, classes: int = 3, seed: int = 0) -> Domains:
    """A source and a target that is moved and stretched."""
    source, labels = blobs(rows, width, classes, seed)
    target, _ = blobs(rows - 20, width, classes, seed + 1)
    moved = target * np.linspace(0.8, 1.3, width) + 0.5
    return Domains(source, labels, moved, classes, seed=3)


LOOSE = {"bbse": 1e-3, "kmm": 1e-3, "prior_em": 1e-3, "weight_discriminator": 2e-2}
"""How far probabilities may move with the order of rows where a method stops at a tolerance or cuts folds
by position."""

Shift = Callable[[], tuple[Domains, np.ndarray]]


def translated() -> tuple[Domains, np.ndarray]:
    """The target moved across the classes' boundary."""
    source, labels = blobs(300, 6, 2, 0)
    target, truth = blobs(300, 6, 2, 1)
    direction = source[labels == 1].mean(axis=0) - source[labels == 0].mean(axis=0)
    return Domains(source, labels, target + 0.7 * direction, 2), truth


def stretched() -> tuple[Domains, np.ndarray]:
    """Each of the target's features in another unit and from another zero."""
    source, labels = blobs(300, 6, 3, 0)
    target, truth = blobs(300, 6, 3, 1)
    return Domains(source, labels, target * np.array([3, 0.3, 2, 0.5, 4, 1.0]) + 4, 3), truth


def mixed() -> tuple[Domains, np.ndarray]:
    """The target with noise that its features share, along the direction between the classes."""
    random = np.random.default_rng(5)
    labels, truth = np.arange(300) % 2, np.arange(300) % 2
    source = np.c_[2.0 * (2 * labels - 1), 2.0 * (2 * labels - 1), np.zeros(300)]
    target = np.c_[2.0 * (2 * truth - 1), 2.0 * (2 * truth - 1), np.zeros(300)]
    source += random.normal(size=(300, 3))
    target += random.normal(size=(300, 3)) + np.array([6.0, 0.0, 1.0])
    target[:, 0] += 2 * random.normal(size=300)
    return Domains(source, labels, target, 2), truth


def selected() -> tuple[Domains, np.ndarray]:
    """p(x) differs and p(y|x) stays: a bent boundary, of which the target sees another part."""
    random = np.random.default_rng(6)
    source = np.c_[random.normal(-1.0, 1.0, 600), 2 * random.normal(size=600)]
    target = np.c_[random.normal(1.2, 0.5, 400), 2 * random.normal(size=400)]
    labels, truth = ((rows[:, 1] > rows[:, 0] ** 2 - 1.5).astype(int) for rows in (source, target))
    return Domains(source, labels, target, 2, penalty=1e-3), truth


def skewed() -> tuple[Domains, np.ndarray]:
    """The shares of the classes differ and the classes stay: 50 to 50, then 90 to 10."""
    random = np.random.default_rng(8)
    labels, truth = np.arange(600) % 2, (np.arange(600) % 10 == 0).astype(int)
    source, target = (
        random.normal(size=(600, 4)) + 0.9 * (2 * known - 1)[:, None] * [1.0, 0.3, 0, 0]
        for known in (labels, truth)
    )
    return Domains(source, labels, target, 2), truth


SHIFTS: dict[str, tuple[Shift, ...]] = {
    "covariate": (translated, stretched, mixed, selected),
    "label": (skewed,),
}
"""What is drawn for each kind that a method's ``fixes`` may name."""


def align(name: str, given: Domains, **settings: str) -> Head:
    return configure("align", name, settings).align(given)


def accuracy(head: Head, given: Domains, truth: np.ndarray) -> float:
    return float(np.mean(head.predict(given.target) == truth))


def sound(head: Head, given: Domains) -> None:
    assert head.weight.shape == (given.classes, given.width)
    assert head.bias.shape == (given.classes,)
    assert head.weight.dtype == head.bias.dtype == np.float64
    assert np.isfinite(head.weight).all()
    assert np.isfinite(head.bias).all()
    assert np.allclose(head.probabilities(given.target).sum(axis=1), 1.0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("rows", "width", "classes"),
    [(120, 12, 2), (150, 12, 10), (60, 200, 3)],
    ids=["two", "ten", "wide"],
)
def test_shapes_and_numbers_are_right(name: str, rows: int, width: int, classes: int) -> None:
    given = domains(rows, width, classes)
    sound(align(name, given), given)


@pytest.mark.parametrize("name", NAMES)
def test_degenerate_inputs_give_finite_heads(name: str) -> None:
    plain = domains()
    constant = np.array(plain.source), np.array(plain.target)
    constant[0][:, 0] = constant[1][:, 1] = 7.0
    few = Domains(plain.source, plain.labels, plain.target[:5], plain.classes)
    single = Domains(plain.source[:, :1], plain.labels, plain.target[:, :1], plain.classes)
    twice = np.tile(plain.target[:10], (8, 1))
    same = Domains(plain.source, plain.labels, twice, plain.classes)
    nothing = Domains(0 * plain.source, plain.labels, 0 * plain.target, plain.classes)
    for given in (
        Domains(constant[0], plain.labels, constant[1], plain.classes),
        few,
        single,
        same,
        nothing,
    ):
        sound(align(name, given), given)


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_same_bytes(name: str) -> None:
    first, second = align(name, domains()), align(name, domains())
    assert first.weight.tobytes() == second.weight.tobytes()
    assert first.bias.tobytes() == second.bias.tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_inputs_stay_as_they_are(name: str) -> None:
    given = domains()
    before = given.source.copy(), given.labels.copy(), given.target.copy()
    for part in (given.source, given.labels, given.target):
        part.setflags(write=False)
    align(name, given)
    for part, old in zip((given.source, given.labels, given.target), before, strict=True):
        assert np.array_equal(part, old)


@pytest.mark.parametrize("name", NAMES)
def test_single_precision_features_will_do(name: str) -> None:
    given = domains()
    short = given.on(given.source.astype(np.float32), given.target.astype(np.float32))
    head = align(name, short)
    sound(head, short)
    assert np.mean(head.predict(short.target) == align(name, given).predict(given.target)) > 0.97


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_target_rows_does_not_matter(name: str) -> None:
    given = domains()
    order = np.random.default_rng(1).permutation(len(given.target))
    plain = align(name, given)
    other = align(name, given.on(given.source, given.target[order]))
    here, there = plain.probabilities(given.target), other.probabilities(given.target)
    assert np.abs(here - there).max() < LOOSE.get(name, 1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_identical_domains_are_left_alone(name: str) -> None:
    source, labels = blobs(200, 8, 4, 0)
    source = source + np.random.default_rng(2).normal(size=source.shape) * 2
    given = Domains(source, labels, source.copy(), 4)
    before = accuracy(given.source_only, given, labels)
    assert abs(accuracy(align(name, given), given, labels) - before) <= 0.05


def test_methods_name_the_shifts_they_are_for() -> None:
    silent = {name for name in NAMES if not METHODS[name].fixes}
    assert silent == {"combine_sources", "correspondence", "hold_shares", "weight_sources"}, (
        "pivots, heads of other methods and several sources are not made up here"
    )


@pytest.mark.parametrize("name", [name for name in NAMES if METHODS[name].fixes])
def test_beats_source_only_on_a_shift_that_it_is_for(name: str) -> None:
    kinds = METHODS[name].fixes
    assert set(kinds) <= set(SHIFTS), f"{name} fixes an unknown kind: {kinds}"
    for kind in kinds:
        gains = {}
        for shift in SHIFTS[kind]:
            given, truth = shift()
            gains[shift.__name__] = accuracy(align(name, given), given, truth) - accuracy(
                given.source_only, given, truth
            )
        assert max(gains.values()) > 0.02, f"{name} on {kind}: {gains}"


@pytest.mark.parametrize("name", NAMES)
def test_parameters_out_of_range_are_refused(name: str) -> None:
    for parameter in METHODS[name].parameters():
        if " to " in parameter["range"] and "inf" not in parameter["range"]:
            high = float(parameter["range"].split(" to ")[1])
            beyond = str(int(high + 1) if isinstance(parameter["default"], int) else high + 1)
            with pytest.raises(UsageError, match=parameter["name"]):
                configure("align", name, {parameter["name"]: beyond})


@pytest.mark.parametrize("name", NAMES)
def test_says_what_it_is_for(name: str) -> None:
    method = METHODS[name]
    assert method.family == "align"
    assert method.summary
    assert method.try_when
    assert method.hurts_when
