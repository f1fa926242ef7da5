"""What every deep and every source-free method found on disk has to keep, whoever writes it."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from headstart import registry
from headstart.errors import UsageError
from headstart.methods.base import configure
from headstart.methods.domains import Domains, Head
from headstart.train.pair import Seen
from headstart.train.two_domains import Domain, Schedule, embed, train
from headstart.workflow.adapt_features import adapt_features, noisy

DEEP = registry.names("methods.adapt")
ALONE = registry.names("methods.sourcefree")
ON_FEATURES = [name for name in DEEP if name != "adabn"]
WIDTH, STEPS = 10, 250
MILD = {"mcd": 0.7, "mdd": 0.7, "tent": 0.5}
"""Drifts for methods that go by the source-only answers and say that they need them mostly right."""
UNSTEADY = ("mdd",)
"""It gains on the mean of three seeds and loses 5 points on one: a known weakness, for which the bound on
the worst seed is not asked of it."""
PLAN = Schedule(steps=STEPS, batch=64, rate=0.02, seed=0)


def shifted(classes: int = 3, rows: int = 300, seed: int = 0, size: float = 1.0) -> tuple[Any, Any]:
    """Domains whose classes are clouds in two blocks of features, the second drifted in the target.

    Either block tells the classes, so a source-only head leans on both, and one that doesn't lean on
    what differs between the domains is right in both.

    Args:
        classes: clouds.
        rows: of each domain.
        seed: of the clouds.
        size: of the drift, a move across a boundary and noise; 0 leaves the domains alike.
    """
    random = np.random.default_rng(seed)
    half = WIDTH // 2
    centres = random.normal(size=(classes, 2, half))
    centres *= 2.5 / np.linalg.norm(centres, axis=2, keepdims=True)
    labels = [random.permutation(np.arange(rows) % classes) for _ in range(2)]
    clouds = [
        centres[own].reshape(rows, WIDTH) + 0.7 * random.normal(size=(rows, WIDTH))
        for own in labels
    ]
    clouds[1][:, half:] += size * (1.2 * (centres[1, 1] - centres[0, 1]))
    clouds[1][:, half:] += size * random.normal(size=(rows, half))
    return Domains(clouds[0], labels[0], clouds[1], classes, seed=seed), labels[1]


def right(head: Head, domains: Domains, labels: np.ndarray) -> float:
    return float((head.predict(domains.target) == labels).mean())


def network(classes: int, norm: bool = True) -> tuple[nn.Module, nn.Linear]:
    torch.manual_seed(5)
    middle = [nn.BatchNorm1d(WIDTH)] if norm else []
    body = nn.Sequential(nn.Linear(WIDTH, WIDTH), *middle, nn.ReLU(), nn.Dropout(0.1))
    return body, nn.Linear(WIDTH, classes)


def tensors(domains: Domains) -> tuple[Domain, Domain]:
    source, target = (torch.from_numpy(x).float() for x in (domains.source, domains.target))
    return Domain.of(source, torch.from_numpy(domains.labels)), Domain.of(target)


def trained(
    name: str, domains: Domains, plan: Schedule = PLAN, **settings: str
) -> list[np.ndarray]:
    """Weights and the target's logits of a small network after the method."""
    body, head = network(domains.classes)
    source, target = tensors(domains)
    done = train(body, head, source, target, configure("adapt", name, settings), plan, noisy)
    logits = done.head(embed(done.body, target)).detach()
    return [p.detach().numpy() for p in (*done.body.parameters(), *done.head.parameters(), logits)]


def seen(name: str, classes: int, rows: int = 12) -> tuple[Any, Seen, nn.Module]:
    """One step of a small network, half way through."""
    method = configure("adapt", name, {})
    body, head = network(classes)
    draw = torch.Generator().manual_seed(0)
    features = [body(torch.randn(rows, WIDTH, generator=draw) + k) for k in range(3)]
    parts = method.parts(WIDTH, classes, head)
    step = Seen(
        *features[:2],
        head(features[0]),
        head(features[1]),
        torch.arange(rows) % classes,
        {**parts, "head": head},
        0.5,
        features[2],
        50 * head(features[2]),
    )
    return method, step, body


# ---- deep ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DEEP)
@pytest.mark.parametrize("classes", [2, 10])
def test_a_loss_is_a_finite_scalar(name, classes):
    method, step, _ = seen(name, classes)
    found = method.loss(step)
    assert found.shape == () and torch.isfinite(found)


@pytest.mark.parametrize("name", ON_FEATURES)
def test_gradients_reach_the_body_and_the_methods_own_modules(name):
    method, step, body = seen(name, 3)
    if name == "consistency":
        method = configure("adapt", name, {"threshold": "0"})
    method.loss(step).backward()
    slope = body[0].weight.grad
    assert slope is not None and torch.isfinite(slope).all() and slope.abs().max() > 0
    for part, module in step.parts.items():
        own = [p.grad for p in module.parameters()] if part != "head" else []
        assert all(g is not None and torch.isfinite(g).all() for g in own), part


@pytest.mark.parametrize("name", ON_FEATURES)
def test_equal_rows_and_constant_features_stay_finite(name):
    method, step, _ = seen(name, 3)
    flat = torch.zeros(12, WIDTH, requires_grad=True)
    head = step.parts["head"]
    same = Seen(flat, flat, head(flat), head(flat), step.labels, step.parts, 1.0, flat, head(flat))
    method.loss(same).backward()
    assert flat.grad is None or torch.isfinite(flat.grad).all()


@pytest.mark.parametrize("name", DEEP)
@pytest.mark.parametrize("classes", [2, 10])
def test_a_training_is_finite_and_the_same_each_time(name, classes):
    domains, _ = shifted(classes, 60)
    plan = Schedule(steps=12, batch=20, seed=4)
    first, again = (trained(name, domains, plan) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert np.isfinite(one).all() and np.array_equal(one, other)
    other = trained(name, domains, Schedule(steps=12, batch=20, seed=5))
    assert not np.array_equal(first[-1], other[-1])


@pytest.mark.parametrize("name", DEEP)
def test_strength_0_is_the_source_only_training(name):
    domains, _ = shifted(3, 60)
    plan = Schedule(steps=12, batch=20, seed=4)
    body, head = network(3)
    plain = train(body, head, *tensors(domains), None, plan)
    found = trained(name, domains, plan, strength="0")
    wanted = [*plain.body.parameters(), *plain.head.parameters()]
    for one, other in zip(found, wanted, strict=False):
        assert np.array_equal(one, other.detach().numpy())
    if name != "adabn":  # its training is the source's alone by itself; the statistics follow
        assert not np.array_equal(found[0], trained(name, domains, plan)[0])


@pytest.mark.parametrize("name", DEEP)
def test_a_training_leaves_the_global_random_state_alone(name):
    domains, _ = shifted(3, 60)
    network(3)
    before = torch.get_rng_state()
    body, head = copy.deepcopy(network(3))
    torch.set_rng_state(before)
    method = configure("adapt", name, {})
    train(body, head, *tensors(domains), method, Schedule(steps=3, batch=20), noisy)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", ON_FEATURES)
def test_on_features_it_beats_source_only_on_the_shift_that_it_claims_to_fix(name):
    assert "covariate" in registry.load("methods.adapt", name).Method.fixes
    gains = []
    for seed in (0, 1, 2):
        domains, labels = shifted(seed=seed, size=MILD.get(name, 1.0))
        before = right(domains.source_only, domains, labels)
        gains.append(right(adapt_features(METHOD(name), domains), domains, labels) - before)
    assert np.mean(gains) > 0.03, gains
    assert name in UNSTEADY or min(gains) > -0.05, gains


def METHOD(name: str) -> Any:  # noqa: N802
    return configure("adapt", name, {})


@pytest.mark.parametrize("name", ON_FEATURES)
def test_on_features_strength_0_is_the_source_only_head(name):
    domains, _ = shifted(rows=60)
    found = adapt_features(configure("adapt", name, {"strength": "0"}), domains)
    assert found is domains.source_only


@pytest.mark.parametrize("name", ON_FEATURES)
@pytest.mark.parametrize(("classes", "source", "target"), [(2, 7, 5), (10, 60, 40)])
def test_on_features_few_rows_and_constant_features_stay_finite(name, classes, source, target):
    domains, _ = shifted(classes, 60)
    rows = np.concatenate([np.flatnonzero(domains.labels == c)[:4] for c in range(classes)])
    rows = np.concatenate([rows, np.setdiff1d(np.arange(60), rows)])[: max(source, 4 * classes)]
    features, other = domains.source[rows], domains.target[:target]
    features[:, 3] = other[:, 3] = 2.0
    small = Domains(features, domains.labels[rows], other, classes)
    head = adapt_features(METHOD(name), small, steps=15)
    assert np.isfinite(head.weight).all() and head.weight.shape == (classes, WIDTH)
    again = adapt_features(METHOD(name), small, steps=15)
    assert np.array_equal(head.weight, again.weight) and np.array_equal(head.bias, again.bias)


def test_adaptive_batch_norm_beats_source_only_on_another_gain():
    gains = []
    for seed in (0, 1, 2):
        domains, labels = shifted(seed=seed)
        found = [trained("adabn", domains, strength=s)[-1].argmax(axis=1) for s in ("1", "0")]
        gains.append((found[0] == labels).mean() - (found[1] == labels).mean())
    assert np.mean(gains) > 0.03, gains


def test_adaptive_batch_norm_refuses_what_has_none():
    domains, _ = shifted(rows=60)
    with pytest.raises(UsageError, match="BatchNorm"):
        adapt_features(METHOD("adabn"), domains)
    body, head = network(3, norm=False)
    with pytest.raises(UsageError, match="BatchNorm"):
        train(body, head, *tensors(domains), METHOD("adabn"))


# ---- source-free ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALONE)
@pytest.mark.parametrize("classes", [2, 10])
def test_source_free_is_finite_and_the_same_each_time(name, classes):
    domains, _ = shifted(classes, 120)
    domains.target[:, 3] = 2.0
    for rows in (domains.target, domains.target[:5], domains.target[:1]):
        first, again = (
            configure("sourcefree", name, {"rollback": "false"}).adapt(domains.source_only, rows, 1)
            for _ in range(2)
        )
        assert first.weight.shape == (classes, WIDTH) and first.bias.shape == (classes,)
        assert np.isfinite(first.weight).all() and np.isfinite(first.bias).all()
        assert np.array_equal(first.weight, again.weight)


@pytest.mark.parametrize("name", ALONE)
def test_source_free_beats_source_only_on_the_shift_that_it_claims_to_fix(name):
    assert "covariate" in registry.load("methods.sourcefree", name).Method.fixes
    gains = []
    for seed in (0, 1, 2):
        domains, labels = shifted(seed=seed, size=MILD.get(name, 1.0))
        head = domains.source_only
        after = configure("sourcefree", name, {}).adapt(head, domains.target, 0)
        gains.append(right(after, domains, labels) - right(head, domains, labels))
    assert np.mean(gains) > 0.03 and min(gains) > -0.05, gains


@pytest.mark.parametrize("name", ALONE)
def test_source_free_on_no_shift_loses_nothing(name):
    domains, labels = shifted(size=0.0)
    head = domains.source_only
    after = configure("sourcefree", name, {}).adapt(head, domains.target, 0)
    assert right(after, domains, labels) >= right(head, domains, labels) - 0.02


@pytest.mark.parametrize("name", ALONE)
def test_source_free_is_taken_back_where_it_got_worse(name, monkeypatch):
    """With a judge that prefers the first head, the first head comes back."""
    from headstart.methods.sourcefree import base

    scores = iter([0.0, 1.0])
    monkeypatch.setattr(base, "quality", lambda *_: next(scores))
    domains, _ = shifted(rows=60)
    head = domains.source_only
    assert configure("sourcefree", name, {}).adapt(head, domains.target, 0) is head
