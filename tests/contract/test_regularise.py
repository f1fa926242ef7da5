"""What every regulariser found on disk has to keep, whoever writes it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from headstart import registry
from headstart.errors import UsageError
from headstart.methods.base import configure
from headstart.progress import Silent
from headstart.train.hold import Holds
from headstart.train.loop import logits, train
from headstart.train.recipe import Recipe

NAMES = registry.names("methods.regularise")
PENALTIES = [n for n in NAMES if hasattr(registry.load("methods.regularise", n).Method, "penalty")]
MIXERS = [n for n in NAMES if n not in PENALTIES]
STRONG = {"l2_sp": "50", "delta": "20", "bss": "50", "co_tuning": "5"}
"""Strengths at which a penalty's effect shows within a few steps."""
RECIPE = Recipe(
    point="input", epochs=3, batch=16, rate=0.02, body_rate=0.01, smoothing=0.1, freeze_norm=False
)


def network() -> nn.Sequential:
    """Convolutions, a norm and dropout over pictures (n, height, width, 1)."""

    class First(nn.Module):
        def forward(self, x):
            return x.float().permute(0, 3, 1, 2)

    torch.manual_seed(3)
    return nn.Sequential(
        OrderedDict(
            pixels=First(),
            stem=nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU()),
            body=nn.Sequential(nn.Conv2d(6, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU()),
            pool=nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.3)),
            head=nn.Linear(32, 10),
        )
    )


class Digits:
    """scikit-learn's handwritten digits as pictures."""

    def __init__(self) -> None:
        from sklearn.datasets import load_digits

        found = load_digits()
        self.images = torch.from_numpy(found.images[:96]).float()[..., None] / 16
        self.targets = found.target[:96].astype(np.int64)

    def batch(self, rows, epoch=-1):
        return self.images[list(rows)] * (1 + 0.05 * epoch)


@pytest.fixture(scope="module")
def digits() -> Digits:
    return Digits()


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """The network is so small that threads would only wait for each other."""
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(count)


def source_head() -> tuple[np.ndarray, np.ndarray]:
    """A head of the source's own with 7 classes, which the start's features tell apart."""
    random = np.random.default_rng(0)
    return random.normal(size=(7, 32)).astype(np.float32) * 3, np.zeros(7, np.float32)


def fitted(digits, *regularisers, recipe=RECIPE, seed=0, **more):
    tail = network()
    with Silent().step("", 1) as step:
        tail.curve = train(
            tail,
            digits,
            digits.targets,
            range(80),
            recipe,
            seed=seed,
            step=step,
            regularisers=regularisers,
            source_head=source_head(),
            **more,
        )
    return tail


def same(one: nn.Module, other: nn.Module) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def plain(digits) -> nn.Sequential:
    return fitted(digits)


def test_they_are_found():
    assert {"l2_sp", "delta", "bss", "co_tuning"} <= set(PENALTIES)
    assert {"mixup", "cutmix"} <= set(MIXERS)


@pytest.mark.parametrize("name", NAMES)
def test_strength_zero_is_the_plain_training(name, digits, plain):
    method = configure("regularise", name, {"strength": "0"})
    assert method.off and not configure("regularise", name).off
    assert same(fitted(digits, method), plain)


@pytest.mark.parametrize("name", NAMES)
def test_it_changes_the_training_the_same_way_each_time(name, digits, plain):
    method = configure("regularise", name, {"strength": STRONG.get(name, "1")})
    first = fitted(digits, method)
    assert same(first, fitted(digits, method))
    assert not same(first, plain)
    assert all(torch.isfinite(value).all() for value in first.state_dict().values())
    assert not first.head._forward_pre_hooks and not first.body._forward_hooks, "nothing is left"
    assert list(first.state_dict()) == list(plain.state_dict())


@pytest.mark.parametrize("name", NAMES)
def test_killed_it_goes_on_to_the_same_weights(name, digits, tmp_path, monkeypatch):
    from headstart.train import loop

    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
    method = configure("regularise", name, {"strength": STRONG.get(name, "1")})

    def kill(epoch):
        if epoch == 1:
            raise KeyboardInterrupt
        return {}

    with pytest.raises(KeyboardInterrupt):
        fitted(digits, method, folder=tmp_path, watch=kill)
    assert same(fitted(digits, method, folder=tmp_path), fitted(digits, method))


@pytest.mark.parametrize("name", PENALTIES)
def test_a_penalty_falls_where_it_is_trained_for(name, digits):
    """The same training with and without its weight in the loss, the penalty measured in both."""
    method = configure("regularise", name, {"strength": STRONG[name]})
    recipe = replace(RECIPE, epochs=8)
    watched = fitted(digits, method, recipe=recipe).curve
    assert all(np.isfinite(entry["penalty"]) and entry["penalty"] >= 0 for entry in watched)
    assert measured(method, fitted(digits, method, recipe=recipe), digits) < 0.9 * measured(
        method, fitted(digits, recipe=recipe), digits
    )


def measured(method, end, digits) -> float:
    """The penalty of a trained network, seen from the start."""
    tail = network().eval()
    rows = list(range(80))
    holds = Holds(
        tail,
        [method],
        RECIPE,
        feed=digits,
        targets=digits.targets,
        rows=rows,
        source_head=source_head(),
    )
    with torch.no_grad():
        tail.load_state_dict(end.state_dict())
        tail(digits.batch(rows))
        return float(holds.penalty(digits.batch(rows), torch.from_numpy(digits.targets[:80])))


@pytest.mark.parametrize("name", PENALTIES)
def test_its_gradient_reaches_the_body(name, digits):
    method = configure("regularise", name, {"strength": STRONG[name]})
    tail = network().train()
    rows = list(range(16))
    holds = Holds(
        tail,
        [method],
        RECIPE,
        feed=digits,
        targets=digits.targets,
        rows=range(80),
        source_head=source_head(),
    )
    with torch.no_grad():  # away from the start, where the distances have no slope
        for parameter in tail.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    tail(digits.batch(rows))
    holds.penalty(digits.batch(rows), torch.from_numpy(digits.targets[:16])).backward()
    for label in ("stem.0.weight", "body.0.weight"):
        gradient = tail.get_parameter(label).grad
        assert gradient is not None and torch.isfinite(gradient).all(), label
        assert gradient.abs().sum() > 0, label


@pytest.mark.parametrize("name", MIXERS)
def test_mixing_keeps_the_shape_and_says_its_share(name):
    method = configure("regularise", name)
    inputs = torch.randint(0, 256, (8, 12, 10, 3), dtype=torch.uint8)
    order = np.arange(8)[::-1].copy()
    shares = []
    for seed in range(40):
        mixed, share = method.mix(inputs, order, np.random.default_rng(seed))
        again, _ = method.mix(inputs, order, np.random.default_rng(seed))
        assert torch.equal(mixed, again) and mixed.shape == inputs.shape
        low = torch.minimum(inputs, inputs[order.copy()]).float()
        high = torch.maximum(inputs, inputs[order.copy()]).float()
        assert ((mixed.float() >= low - 1e-3) & (mixed.float() <= high + 1e-3)).all()
        shares.append(share)
    assert 0 <= min(shares) < max(shares) <= 1


@pytest.mark.parametrize("name", NAMES)
def test_it_works_in_a_training_with_every_other_option(name, digits):
    """Moving average, early stopping, accumulation, class weights: all at once, finite."""
    recipe = replace(
        RECIPE, ema=0.9, patience=2, accumulate=2, balance="weights", schedule="one_cycle"
    )
    tail = fitted(digits, configure("regularise", name), recipe=recipe)
    assert np.isfinite(logits(tail, digits, range(80))).all()


def test_cutting_pictures_is_refused_behind_a_freeze_point(digits):
    with pytest.raises(UsageError, match="cutmix cuts pictures"):
        fitted(digits, configure("regularise", "cutmix"), recipe=replace(RECIPE, point="x"))


def test_co_tuning_is_refused_without_the_sources_own_head():
    with pytest.raises(UsageError, match="co_tuning needs the source model's own head"):
        Holds(network(), [configure("regularise", "co_tuning")], RECIPE)
