"""The loop's options: what each does, alone, and that a kill in the middle changes nothing."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_train import RECIPE, Digits, Stop, network, same
from torch import nn

from headstart.errors import UsageError
from headstart.progress import Silent
from headstart.train import adapters, added, loop, lora, precision
from headstart.train.average import Average
from headstart.train.loop import logits, seconds_per_row, train
from headstart.train.objective import class_weights, drawn, set_aside
from headstart.train.optim import groups, schedule
from headstart.train.parts import bodies, noisy, select, set_mode, unfrozen
from headstart.train.range_test import range_test, suggested

OPTIONS = {
    "ema": {"ema": 0.9},
    "accumulate": {"accumulate": 3},
    "one_cycle": {"schedule": "one_cycle"},
    "clip": {"clip": 0.05},
    "patience": {"patience": 2},
    "best of the average": {"patience": 3, "ema": 0.95},
    "weights": {"balance": "weights"},
    "sampling": {"balance": "sampling"},
    "dropout": {"dropout": 0.4},
    "bias": {"trains": "bias"},
    "lora": {"trains": "lora", "rank": 2},
    "lora averaged": {"trains": "lora", "rank": 2, "ema": 0.9, "patience": 2},
    "adapters": {"trains": "adapters", "targets": "parallel"},
    "adapters in series": {"trains": "adapters", "targets": "series", "ema": 0.9, "patience": 2},
    "gradual": {"unfreeze_every": 1},
    "bf16": {"precision": "bf16"},
}


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


def fitted(digits, rows=range(100), seed=0, tail=None, **changes) -> nn.Sequential:
    options = {k: changes.pop(k) for k in ("folder", "watch", "enough") if k in changes}
    tail = tail or network()
    with Silent().step("", 1) as step:
        recipe = replace(RECIPE, **changes)
        tail.curve = train(
            tail, digits, digits.targets, rows, recipe, seed=seed, step=step, **options
        )
    return tail


@pytest.fixture(scope="module")
def plain(digits) -> nn.Sequential:
    return fitted(digits)


@pytest.mark.parametrize("name", OPTIONS)
def test_the_same_seed_gives_the_same_weights_and_the_plain_layers(name, digits, plain):
    first, again = fitted(digits, **OPTIONS[name]), fitted(digits, **OPTIONS[name])
    assert same(first, again) and not same(first, plain)
    assert list(first.state_dict()) == list(plain.state_dict())
    assert [type(m) for m in first.modules()] == [type(m) for m in network().modules()]
    assert all(torch.isfinite(value).all() for value in first.state_dict().values())


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("killed_in", [1, 4])
def test_a_kill_changes_nothing(name, digits, tmp_path, monkeypatch, killed_in):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
    options = {**OPTIONS[name], "epochs": 7}
    undisturbed = fitted(digits, **options)

    def kill(epoch):
        if epoch == killed_in:
            raise Stop
        return {}

    with pytest.raises(Stop):
        fitted(digits, folder=tmp_path, watch=kill, **options)
    seen: list[int] = []
    resumed = fitted(
        digits, folder=tmp_path, watch=lambda epoch: seen.append(epoch) or {}, **options
    )
    assert seen[0] == killed_in and same(resumed, undisturbed)
    assert len(resumed.curve) == len(undisturbed.curve)


# ---- what trains ---------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["bias", "lora", "all"])
def test_what_is_frozen_gets_no_gradient_no_decay_and_no_statistics(digits, what):
    """One stage at a time from the top: after two of three epochs the stem is as it was."""
    before = network().state_dict()
    recipe = {"trains": what, "rank": 2, "weight_decay": 0.5}
    gradual = fitted(digits, epochs=2, unfreeze_every=1, **recipe).state_dict()
    assert all(torch.equal(gradual[n], before[n]) for n in before if n.startswith("stem."))
    assert not torch.equal(gradual["head.weight"], before["head.weight"])
    moved = {n for n in before if not torch.equal(gradual[n], before[n])}
    assert any(n.startswith("body.") for n in moved)
    if what == "bias":
        assert "body.0.weight" not in moved and "body.0.bias" in moved and "body.1.weight" in moved
    if what == "lora":
        assert "body.0.weight" in moved and not moved & {"body.0.bias", "body.1.weight"}
        assert not {n for n in moved if "running" in n}, "a frozen norm keeps its statistics"


def test_a_frozen_parameter_loses_the_gradient_it_had(digits):
    tail = network()
    tail(digits.batch(range(8))).sum().backward()
    select(tail, replace(RECIPE, unfreeze_every=1), epoch=1)
    assert bodies(tail) == ["stem", "body"]
    for name, parameter in tail.named_parameters():
        frozen = name.startswith("stem.")
        assert parameter.requires_grad != frozen and (parameter.grad is None) == frozen, name


def test_unfreezing_goes_from_the_top_to_the_whole_network():
    tail = network()
    recipe = replace(RECIPE, unfreeze_every=2)
    seen = []
    for epoch in range(6):
        select(tail, recipe, epoch)
        set_mode(tail, recipe)
        seen.append([m.training for m in tail.modules() if isinstance(m, nn.BatchNorm2d)])
    assert seen == [[False, False]] * 2 + [[False, True]] * 2 + [[True, True]] * 2
    assert [unfrozen(2, 0, epoch) for epoch in range(3)] == [2, 2, 2]


def test_an_optimiser_holds_only_what_may_train():
    tail = network()
    recipe = replace(RECIPE, trains="bias")
    select(tail, recipe)
    own = {id(p) for group in groups(tail, recipe) for p in group["params"]}
    assert own == {id(p) for p in tail.parameters() if p.requires_grad}
    assert all(group["weight_decay"] == 0 for group in groups(tail, recipe)[:-2])


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "pvt_v2_b0"])
@pytest.mark.parametrize("what", ["all", "bias", "lora"])
def test_a_networks_own_classifier_is_the_head_however_it_is_cut(name, what):
    """Also in one that isn't cut, whose two stages both hold the whole of it."""
    import timm

    from headstart.sources.base import Network

    small = {"embed_dim": 24, "num_heads": 2, "depth": 2} if "vit" in name else {}
    model = timm.create_model(name, num_classes=3, **small)
    tail = Network(model, name).part(head=True)
    recipe = replace(RECIPE, trains=what, rank=2)
    added.attach(tail, recipe)
    select(tail, recipe)
    made = groups(tail, recipe)
    torch.optim.AdamW(made, lr=0.1)  # refuses a parameter that is in two groups
    held = {id(p): group["peak"] for group in made for p in group["params"]}
    head = list(tail.head.parameters())
    assert all(p.requires_grad and held[id(p)] == RECIPE.rate for p in head)
    assert {id(p) for p in tail.parameters() if p.requires_grad} == set(held)
    assert not any("lora_" in label for label, _ in tail.head.named_parameters())


# ---- precision -----------------------------------------------------------------------------


@pytest.mark.parametrize("fast", [False, True])
def test_auto_takes_half_precision_by_the_machine_and_the_layers(monkeypatch, fast):
    monkeypatch.setattr(precision, "fast_half", lambda: fast)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    depthwise = nn.Sequential(nn.Conv2d(4, 8, 1), nn.Conv2d(8, 8, 3, groups=8), nn.Linear(8, 2))
    plain = nn.Sequential(nn.Conv2d(4, 8, 3), nn.Conv2d(8, 8, 3, groups=2), nn.Linear(8, 2))
    auto = replace(RECIPE, precision="auto")
    assert precision.settled(auto, plain).precision == ("bf16" if fast else "float32")
    assert precision.settled(auto, depthwise).precision == "float32"
    assert precision.settled(auto, nn.Sequential(nn.Flatten())).precision == "float32"
    for asked in ("float32", "bf16"):
        assert precision.settled(replace(RECIPE, precision=asked), depthwise).precision == asked


def test_half_precision_is_the_trainings_alone(digits):
    tail = fitted(digits, precision="bf16")
    assert all(entry["precision"] == "bf16" for entry in tail.curve)
    assert all(value.dtype != torch.bfloat16 for value in tail.state_dict().values())
    full = fitted(digits)
    assert all("precision" not in entry for entry in full.curve)
    with torch.no_grad():
        wanted = tail(digits.batch(range(100, 120))).numpy()
    assert np.array_equal(logits(tail, digits, range(100, 120)), wanted), "predicted in float32"
    half, whole = (np.array([e["loss"] for e in one.curve]) for one in (tail, full))
    assert np.abs(half - whole).max() < 0.05, "it learns as in float32"


def test_a_training_ends_in_the_precision_in_which_it_began(digits, tmp_path, monkeypatch):
    """A run folder may be moved to a machine for which ``auto`` would decide otherwise."""
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
    monkeypatch.setattr(precision, "fast_half", lambda: True)
    undisturbed = fitted(digits, precision="auto")
    assert undisturbed.curve[0]["precision"] == "bf16"

    def kill(epoch):
        if epoch == 1:
            raise Stop
        return {}

    with pytest.raises(Stop):
        fitted(digits, folder=tmp_path, watch=kill, precision="auto")
    monkeypatch.setattr(precision, "fast_half", lambda: False)
    resumed = fitted(digits, folder=tmp_path, precision="auto")
    assert same(resumed, undisturbed)
    assert all(entry["precision"] == "bf16" for entry in resumed.curve)


# ---- LoRA ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["linear", "convolution", "both"])
def test_an_update_starts_at_nothing_and_merges_to_what_it_was(digits, kind):
    torch.manual_seed(0)
    tail = nn.Sequential()
    tail.add_module("stem", nn.Sequential(nn.Conv2d(1, 6, 3, 2, 1, bias=False), nn.ReLU()))
    tail.add_module("deep", nn.Conv2d(6, 6, 3, groups=6))
    tail.add_module("flat", nn.Sequential(nn.Flatten(), nn.Linear(24, 12)))
    tail.add_module("head", nn.Linear(12, 4))
    names = lora.targets(tail, kind)
    assert names == [
        n for n in ("stem.0", "flat.1") if kind == "both" or (n[0] == "f") == (kind[0] == "l")
    ]
    inputs = digits.batch(range(9))
    before, layers = tail(inputs), dict(tail.named_modules())
    recipe = replace(RECIPE, trains="lora", targets=kind, rank=3, alpha=6.0)
    lora.attach(tail, recipe)
    assert torch.equal(tail(inputs), before)
    with torch.no_grad():
        for name, parameter in tail.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.3)
    trained = tail(inputs)
    assert not torch.allclose(trained, before, atol=1e-2)
    lora.merge(tail)
    assert dict(tail.named_modules()) == layers, "the same layers in the same places"
    assert (tail(inputs) - trained).abs().max() <= 1e-5 * trained.abs().max()


def test_no_layer_to_update_is_said():
    tail = nn.Sequential()
    tail.add_module("pool", nn.Flatten())
    tail.add_module("head", nn.Linear(4, 2))
    with pytest.raises(UsageError, match="no such layer"):
        lora.attach(tail, replace(RECIPE, trains="lora"))


# ---- adapters ------------------------------------------------------------------------------


def convolution(groups: int, stride: int, side: int, same: bool) -> nn.Conv2d:
    from timm.layers import Conv2dSame

    torch.manual_seed(3)
    if same:
        return Conv2dSame(6, 12, side, stride, groups=groups)
    return nn.Conv2d(6, 12, side, stride, side // 2, groups=groups)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("side", "groups"), [(3, 1), (5, 3), (3, 6)])
def test_a_parallel_adapter_is_a_convolution_of_one_pixel_beside_the_other(side, groups, stride):
    layer = convolution(groups, stride, side, same=False)
    beside = nn.Conv2d(6, 12, 1, stride, groups=groups, bias=False)
    inputs = torch.randn(4, 6, 9, 10)
    kernel = adapters.adapted(layer.weight, beside.weight[:, :, 0, 0], groups, "parallel")
    got = nn.functional.conv2d(inputs, kernel, layer.bias, stride, side // 2, groups=groups)
    assert (got - (layer(inputs) + beside(inputs))).abs().max() < 1e-5


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("side", "groups"), [(3, 1), (5, 3), (3, 6)])
def test_an_adapter_in_series_is_a_convolution_of_one_pixel_behind_the_other(side, groups, stride):
    layer = convolution(groups, stride, side, same=False)
    behind = nn.Conv2d(12, 12, 1, groups=groups, bias=False)
    inputs = torch.randn(4, 6, 9, 10)
    kernel = adapters.adapted(layer.weight, behind.weight[:, :, 0, 0], groups, "series")
    got = nn.functional.conv2d(inputs, kernel, None, stride, side // 2, groups=groups)
    plain = nn.functional.conv2d(inputs, layer.weight, None, stride, side // 2, groups=groups)
    assert (got - (plain + behind(plain))).abs().max() < 1e-5


@pytest.mark.parametrize("same", [False, True], ids=["Conv2d", "Conv2dSame"])
@pytest.mark.parametrize("kind", ["parallel", "series"])
def test_adapters_start_at_nothing_and_merge_to_what_they_were(kind, same):
    tail = nn.Sequential()
    tail.add_module("stem", nn.Sequential(convolution(1, 2, 3, same), nn.Conv2d(12, 8, 1)))
    tail.add_module("deep", convolution(6, 1, 5, same) if same else nn.Conv2d(8, 8, 3, groups=8))
    tail.add_module("even", nn.Conv2d(12 if same else 8, 4, 2))
    tail.add_module("head", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)))
    if same:
        tail.stem[1] = nn.Conv2d(12, 6, 1)
    assert adapters.targets(tail) == ["stem.0", "deep"]
    inputs = torch.randn(4, 6, 16, 16)
    before, layers, names = tail(inputs), dict(tail.named_modules()), set(tail.state_dict())
    adapters.attach(tail, replace(RECIPE, trains="adapters", targets=kind))
    assert torch.equal(tail(inputs), before)
    with torch.no_grad():
        for name, parameter in tail.named_parameters():
            if "adapter_" in name:
                parameter.normal_(0, 0.3)
    trained = tail(inputs)
    assert not torch.allclose(trained, before, atol=1e-2)
    adapters.merge(tail)
    assert dict(tail.named_modules()) == layers and set(tail.state_dict()) == names
    assert all(type(m) is type(layers[n]) for n, m in tail.named_modules())
    assert (tail(inputs) - trained).abs().max() <= 1e-5 * trained.abs().max()


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"])
def test_a_bottleneck_starts_at_nothing_trains_alone_and_is_loaded_again(name):
    from headstart.sources.base import Network, create
    from headstart.sources.bottleneck import Bottleneck, widened

    torch.manual_seed(0)
    plain = Network(create(name, 3).eval(), name)
    batch = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        before = plain.part(head=True)(batch)
        network = widened(plain, 4)
        assert torch.equal(network.part(head=True)(batch), before)
    inside = [m for m in network.model.modules() if isinstance(m, Bottleneck)]
    assert len(inside) == 2 * sum(1 for m in network.model.modules() if hasattr(m, "drop_path1"))
    tail = network.part(head=True)
    select(tail, replace(RECIPE, trains="bottleneck"))
    trains = {n for n, p in tail.named_parameters() if p.requires_grad and p.ndim > 1}
    adapters_of = {n for n in dict(tail.named_parameters()) if ".adapter_" in n and "weight" in n}
    assert trains - {"head.weight", "head.fc.weight"} == adapters_of and adapters_of
    with torch.no_grad():
        for part in inside:
            part.adapter_up.weight.normal_(0, 0.3)
        wanted = tail(batch)
        assert not torch.allclose(wanted, before, atol=1e-2)
        again = Network(create(network.architecture, 3).eval(), network.architecture)
        again.model.load_state_dict(network.model.state_dict())
        assert (again.part(head=True)(batch) - wanted).abs().max() <= 1e-5 * wanted.abs().max()


def test_a_network_without_transformer_blocks_takes_no_bottleneck():
    from headstart.sources.base import create

    with pytest.raises(UsageError, match="no transformer blocks"):
        create("resnet18+bottleneck8", 2)


def test_no_convolution_to_adapt_is_said():
    tail = nn.Sequential()
    tail.add_module("flat", nn.Sequential(nn.Conv2d(1, 4, 1), nn.Flatten()))
    tail.add_module("head", nn.Linear(4, 2))
    with pytest.raises(UsageError, match="no convolution with a kernel larger"):
        adapters.attach(tail, replace(RECIPE, trains="adapters", targets="parallel"))


# ---- how fast ------------------------------------------------------------------------------


@pytest.mark.parametrize("total", [1, 2, 3, 10, 137])
def test_one_cycle_rises_then_falls(total):
    values = [schedule(step, total, 0.1, "one_cycle") for step in range(total)]
    assert all(0 <= value <= 1 for value in values)
    top = values.index(max(values))
    assert values[: top + 1] == sorted(values[: top + 1])
    assert values[top:] == sorted(values[top:], reverse=True)
    if total > 3:
        assert values[0] == pytest.approx(0.04) and max(values) == pytest.approx(1)
        assert values[-1] == pytest.approx(0, abs=1e-12) and 0.2 < top / total < 0.4


def test_accumulated_batches_are_one_large_batch(digits):
    """Without norms and dropout, three batches of 20 give the step of one of 60."""

    def tail():
        torch.manual_seed(1)
        out = nn.Sequential()
        out.add_module("flat", nn.Flatten())
        out.add_module("body", nn.Sequential(nn.Linear(64, 16), nn.Tanh()))
        out.add_module("head", nn.Linear(16, 10))
        return out

    # a small rate: the order of a sum shows less in a small step than in a large one
    same_steps = {"rows": range(60), "epochs": 3, "rate": 1e-3, "body_rate": 1e-3}
    parts = fitted(digits, tail=tail(), batch=20, accumulate=3, **same_steps)
    whole = fitted(digits, tail=tail(), batch=60, **same_steps)
    for one, other in zip(parts.parameters(), whole.parameters(), strict=True):
        assert torch.allclose(one, other, atol=2e-5)
    other = fitted(digits, tail=tail(), batch=20, **same_steps)
    assert not torch.allclose(other.head.weight, whole.head.weight, atol=1e-4)


def test_the_average_is_the_exponential_one():
    module = nn.Linear(1, 1, bias=False)
    values, average = [2.0, -1.0, 4.0], None
    with torch.no_grad():
        module.weight.fill_(1.0)
        average, wanted = Average(module, 0.5), 1.0
        for step, value in enumerate(values, 1):
            module.weight.fill_(value)
            average.update(module)
            share = min(0.5, (1 + step) / (10 + step))
            wanted = share * wanted + (1 - share) * value
    with average.shown(module):
        assert module.weight.item() == pytest.approx(wanted)
    assert module.weight.item() == 4.0


def test_the_average_is_what_is_watched_and_kept(digits):
    held = list(range(100, 120))
    tail, seen = network(), []
    fitted(
        digits, tail=tail, ema=0.9, watch=lambda _: seen.append(logits(tail, digits, held)) or {}
    )
    assert np.array_equal(seen[-1], logits(tail, digits, held))


def test_the_gradient_is_clipped_where_asked(digits, monkeypatch):
    from accelerate import Accelerator

    limits = []
    real = Accelerator.clip_grad_norm_
    monkeypatch.setattr(
        Accelerator,
        "clip_grad_norm_",
        lambda self, parameters, limit: limits.append(limit) or real(self, parameters, limit),
    )
    fitted(digits, clip=0.25, epochs=1)
    assert limits and set(limits) == {0.25}
    limits.clear()
    fitted(digits, clip=0.0, epochs=1)
    assert not limits


def test_stopping_takes_the_best_epoch(digits):
    """A rate so high that the loss on the rows set aside soon rises."""
    rough = {"rate": 0.2, "body_rate": 0.2, "epochs": 40, "warmup": 0.0}
    states: dict[int, dict] = {}
    tail = network()
    keep = lambda epoch: states.update({epoch: copy.deepcopy(tail.state_dict())}) or {}  # noqa: E731
    fitted(digits, tail=tail, patience=3, watch=keep, **rough)
    losses = [entry["stopping_loss"] for entry in tail.curve]
    assert len(losses) < 40 and "no better for 3 epochs" in tail.curve[-1]["stopped"]
    best = losses.index(min(losses))
    assert best == len(losses) - 4
    assert all(torch.equal(states[best][name], value) for name, value in tail.state_dict().items())


def test_rows_set_aside_are_of_every_class_and_train_nothing(digits):
    targets = np.array([0] * 40 + [1] * 20 + [2] * 5 + [3] * 2)
    rows = list(range(67))
    own, aside = set_aside(rows, targets, 0)
    assert sorted(own + aside) == rows and set_aside(rows, targets, 0) == (own, aside)
    assert np.bincount(targets[aside], minlength=4).tolist() == [6, 3, 1, 0]
    seen: set[int] = set()

    class Watched(Digits):
        def batch(self, rows, epoch=-1):
            if epoch >= 0:
                seen.update(rows)
            return super().batch(rows, epoch)

    fitted(Watched(), patience=2)
    own, aside = set_aside(range(100), digits.targets, 0)
    assert seen == set(own) and aside


def test_patience_without_rows_to_set_aside_changes_nothing(digits):
    assert same(fitted(digits, rows=range(3), patience=1), fitted(digits, rows=range(3)))


# ---- classes -------------------------------------------------------------------------------


def test_weights_give_every_class_the_same_say():
    targets = np.array([0] * 30 + [2] * 10)
    weights = class_weights(targets)
    assert weights[[0, 2]].tolist() == pytest.approx([40 / 60, 2.0])
    assert sum(weights[t] for t in targets) == pytest.approx(40)


def test_sampling_draws_every_class_as_often():
    targets = np.array([0] * 900 + [1] * 100)
    order = drawn(np.arange(1000), targets, "sampling", np.random.default_rng(0))
    assert len(order) == 1000 and abs(int((targets[order] == 1).sum()) - 500) < 60
    order = drawn(np.arange(1000), targets, "none", np.random.default_rng(0))
    assert sorted(order) == list(range(1000))


@pytest.mark.parametrize("balance", ["weights", "sampling"])
def test_balancing_helps_the_rare_class(balance):
    """Two overlapping classes, one of them rare: its recall rises."""
    random = np.random.default_rng(0)
    targets = np.array([0] * 190 + [1] * 10)
    values = torch.from_numpy(random.normal(size=(200, 4)).astype(np.float32))
    values[190:] += 1.0

    class Points:
        def batch(self, rows, epoch=-1):
            return values[list(rows)]

    def recall(balance):
        torch.manual_seed(0)
        tail = nn.Sequential()
        tail.add_module("head", nn.Linear(4, 2))
        recipe = replace(RECIPE, balance=balance, epochs=10)
        with Silent().step("", 1) as step:
            train(tail, Points(), targets, range(200), recipe, seed=0, step=step)
        return (logits(tail, Points(), range(190, 200)).argmax(axis=1) == 1).mean()

    assert recall(balance) >= recall("none") + 0.3


# ---- noise ---------------------------------------------------------------------------------


class Block(nn.Module):
    """A residual block as timm has them."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(8, 8)
        self.drop_path = nn.Identity()

    def forward(self, x):
        return x + self.drop_path(self.body(x))


def test_branches_are_dropped_more_the_deeper_and_restored():
    tail = nn.Sequential()
    for name in ("one", "two"):
        tail.add_module(name, Block())
    tail.add_module("head", nn.Linear(8, 2))
    inputs = torch.ones(64, 8)
    quiet = tail.train()(inputs)
    with noisy(tail, replace(RECIPE, drop_path=0.6)):
        shares = [tail.one.drop_path.drop_prob, tail.two.drop_path.drop_prob]
        assert shares == pytest.approx([0.3, 0.6])
        assert not torch.equal(tail(inputs), quiet)
        assert torch.equal(tail.eval()(inputs), quiet)
    assert isinstance(tail.one.drop_path, nn.Identity) and torch.equal(tail.train()(inputs), quiet)


def test_a_network_without_branches_is_named():
    with (
        pytest.raises(UsageError, match=r"drop_path = 0\.2"),
        noisy(network(), replace(RECIPE, drop_path=0.2)),
    ):
        pass


# ---- the range test ------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["all", "lora"])
def test_a_range_test_leaves_the_network_alone_and_repeats(digits, what):
    recipe = replace(RECIPE, trains=what, rank=2)
    tail = network().train()
    before = {name: value.clone() for name, value in tail.state_dict().items()}
    first, again = (
        range_test(tail, digits, digits.targets, range(100), recipe, seed=2) for _ in range(2)
    )
    assert first == again
    assert all(torch.equal(before[name], value) for name, value in tail.state_dict().items())
    assert tail.training and all(p.grad is None for p in tail.parameters())
    assert len(first.rates) == len(first.losses) > 5 and np.isfinite(first.losses).all()
    assert np.allclose(np.diff(np.log(first.rates)), np.log(1e5) / 39)
    assert set(first.as_dict()) == {"rates", "losses", "suggestion"}


def test_the_suggested_rate_is_one_that_learns(digits):
    """Between the rates that do nothing and those that break: it trains better than both ends."""
    found = range_test(network(), digits, digits.targets, range(100), RECIPE, seed=0)
    assert found.suggestion is not None and found.rates[0] < found.suggestion < found.rates[-1]
    assert found.losses[-1] > 1.5 * min(found.losses), "the test went on until it broke"

    def end(rate):
        recipe = {"rate": rate, "body_rate": rate * RECIPE.body_rate / RECIPE.rate, "epochs": 6}
        return fitted(digits, smoothing=0.0, **recipe).curve[-1]["loss"]

    assert end(found.suggestion) < min(end(found.rates[0]), end(found.rates[-1]))


def test_a_loss_that_never_falls_suggests_nothing():
    assert suggested([1e-3, 1e-2, 1e-1], [1.0, 1.1, 3.0]) is None
    assert suggested([], []) is None


def test_a_range_test_needs_a_range(digits):
    with pytest.raises(ValueError, match="0 < low < high"):
        range_test(network(), digits, digits.targets, range(9), RECIPE, seed=0, low=1.0, high=1.0)


@pytest.mark.parametrize("name", OPTIONS)
def test_timing_leaves_the_network_alone(name, digits):
    tail = network()
    before = {name: value.clone() for name, value in tail.state_dict().items()}
    assert 0 < seconds_per_row(tail, digits, range(50), replace(RECIPE, **OPTIONS[name])) < 1
    assert all(torch.equal(before[name], value) for name, value in tail.state_dict().items())
    assert [type(m) for m in tail.modules()] == [type(m) for m in network().modules()]
