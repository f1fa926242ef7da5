"""The contract check: each fault is injected for real and named; a right model passes."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from headstart.cli.app import main
from headstart.data.decode import frame_to_view
from headstart.errors import SourceError
from headstart.export import bundle
from headstart.features import contract as room
from headstart.features.contract import CHECKS, examine, transform_gap
from headstart.features.statistics import distance
from headstart.features.stored import explain, stored_outputs
from headstart.methods.base import Situation
from headstart.methods.finetune.full import FEW_ROWS
from headstart.methods.finetune.full import Method as Full
from headstart.sources.base import Contract, Network, create, find
from headstart.sources.convert._fold import whole_norm
from headstart.sources.norms import untold
from headstart.workflow import admit as gate
from headstart.workflow.admit import admit
from headstart.workflow.bench import Bench

SITUATION = Situation(50_000, 2, 224, 224, "blocks.5")
HALF, ONES, NONE = (0.5,) * 3, (1.0,) * 3, (0.0,) * 3
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def kinds(found):
    return [fault.kind for fault in found.faults]


def copied(source):
    return {name: value.clone() for name, value in source.weights().items()}


@pytest.fixture(scope="module")
def network(source):
    """EfficientNet-Lite0 as it is used: in evaluation mode."""
    built = source.build()
    built.model.eval()
    return built


@pytest.fixture(scope="module")
def views(scenes):
    """Sixteen natural pictures at EfficientNet-Lite0's size."""
    random = np.random.default_rng(5)
    out = []
    for number in range(16):
        scene = scenes["china" if number % 2 else "flower"]
        left, top = random.integers(0, 340), random.integers(0, 127)
        out.append(frame_to_view(scene[top : top + 300, left : left + 300], 256, 224))
    return np.stack(out)


@pytest.fixture
def small(tmp_path):
    """A bundle of a small network with random weights, in a folder of its own."""

    def make(averaged=False):
        torch.manual_seed(4)
        network = Network(create("alexnet_conv", 3).eval(), "alexnet_conv")
        preparation = Contract(96, 110, **IMAGENET)
        facts = {
            "source": {"name": "x", "trained_on": "y", "licence": "MIT"},
            "method": {"name": "full", "parameters": {}},
            "data": {"rows": 4, "train": 2, "test": 2, "fingerprint": "abc"},
            "made_with": {"headstart": "0.1.0"},
            "temperature": 1.0,
            "averaged": averaged,
        }
        bundle.write(tmp_path / "model", network, preparation, ["a", "b", "c"], facts)
        return tmp_path / "model"

    return make


def test_a_right_model_passes_every_check(source, network, views):
    found = examine(source, network, views)
    assert tuple(found.done) == CHECKS and not found.faults
    assert "agree" in found.done["outputs"] and found.done["head"] == "1000 classes"
    assert not examine(source).faults, "built by the check itself"


@pytest.mark.parametrize(
    ("wrong", "kind", "says"),
    [
        (IMAGENET, "normalisation", "mean 0.5 and deviation 0.5, not mean (0.485"),
        ({"mean": NONE, "std": ONES}, "normalisation", "mean 0.5 and deviation 0.5"),
        ({"mean": NONE, "std": (1 / 255,) * 3}, "normalisation", "mean 0.5 and deviation 0.5"),
        ({"size": 160, "resize": 183}, "size", "an input of 224 px, not 160"),
        ({**IMAGENET, "size": 192}, "normalisation", "0.5, not mean (0.485, 0.456, 0.406) and "),
    ],
)
def test_a_wrong_contract_is_named(source, network, wrong, kind, says):
    found = examine(replace(source, contract=replace(source.contract, **wrong)), network)
    assert kinds(found) == [kind] and found.certain
    assert says in found.faults[0].message
    assert ("224 px, not 192" in found.faults[0].message) == ("size" in wrong and "mean" in wrong)


def test_channels_in_the_wrong_order_are_named(source):
    turned = source.build()
    with torch.no_grad():
        stem = turned.model.conv_stem.weight
        stem.copy_(stem.flip(1))
        turned.model.eval()
        kind, reason = explain(turned, source.contract, stored_outputs(source))
    assert kind == "normalisation" and reason == "it does with channels as BGR, not RGB"


def test_batchnorm_in_training_mode_is_named_and_the_mode_left_alone(source):
    used = source.build()
    used.model.train()
    before = {name: value.clone() for name, value in used.model.state_dict().items()}
    found = examine(source, used)
    assert kinds(found) == ["train-mode"] and found.certain
    assert "49 of 49 BatchNorm layers" in found.faults[0].message
    assert used.model.training and used.model.bn1.training
    after = used.model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    used.model.eval()
    used.model.blocks[3].train()
    assert "first: blocks.3" in examine(source, used).faults[0].message


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda s: [s.pop(f"classifier.{part}") for part in ("weight", "bias")], "lack classifier"),
        (
            lambda s: s.update({"fc.weight": s.pop("classifier.weight")}),
            "holds fc.weight 1000×1280",
        ),
        (lambda s: s.update({"classifier.weight": torch.rand(10, 1280)}), "10×1280, not 1000×1280"),
    ],
)
def test_a_head_that_did_not_load_is_named(source, spoil, says):
    state = copied(source)
    spoil(state)
    found = examine(replace(source, weights=lambda: state, proof=None))
    assert kinds(found) == ["head"] and found.certain
    assert says in found.faults[0].message


def test_a_head_at_random_is_named(source):
    torch.manual_seed(0)
    used = source.build(classes=source.classes)
    used.model.eval()
    assert kinds(examine(source, used, head=True)) == ["head"]
    used.model.load_state_dict(source.weights())
    assert not examine(source, used, head=True).faults
    state = copied(source)
    state["classifier.bias"].zero_()
    fresh = examine(replace(source, weights=lambda: state, proof=None))
    assert kinds(fresh) == ["head"] and not fresh.certain


def test_other_weights_are_named(source):
    used = source.build()
    used.model.eval()
    with torch.no_grad():
        used.model.blocks[2][0].conv_pw.weight[0] += 0.01
    found = examine(source, used)
    assert kinds(found) == ["reload"] and "blocks.2.0.conv_pw.weight" in found.faults[0].message
    state = copied(source)
    state["conv_stem.weight"] *= 1.01
    assert "weights" in kinds(examine(replace(source, weights=lambda: state)))


def test_weights_that_come_back_different_are_named(source):
    count = iter(range(100))

    def drifting():
        state = copied(source)
        state["conv_head.weight"] += 0.01 * next(count)
        return state

    found = examine(replace(source, weights=drifting, proof=None))
    assert kinds(found) == ["reload"] and found.certain


@pytest.mark.parametrize("averaged", [False, True])
def test_a_bundle_is_held_to_its_own_outputs(small, averaged):
    folder = small(averaged)
    sound = examine(find(f"local:{folder}"))
    assert not sound.faults and "agree" in sound.done["outputs"]
    path = folder / "config.json"
    config = json.loads(path.read_text())
    for changes, kind, says in (
        ({"mean": HALF, "std": HALF}, "normalisation", "ImageNet's mean and deviation"),
        ({"size": 64, "resize": 73}, "size", "made at 96 px"),
    ):
        wrong = {**config, "preprocessing": {**config["preprocessing"], **changes}}
        path.write_text(json.dumps(wrong))
        found = examine(find(f"local:{folder}"))
        assert kinds(found) == [kind] and says in found.faults[0].message


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ({}, None),
        ({"mean": HALF}, "normalisation"),
        ({"std": HALF}, "normalisation"),
        ({"size": 160, "resize": 183}, "size"),
        ({"resize": 300}, "size"),
    ],
)
def test_timms_own_pipeline_is_the_measure_for_timms_models(wrong, kind):
    torch.manual_seed(0)
    described = find("timm:hrnet_w18.ms_aug_in1k")
    state = create("resnet18", 1000).state_dict()
    bicubic = find("timm:resnet18.a1_in1k")
    right = replace(bicubic, contract=replace(bicubic.contract, **wrong), weights=lambda: state)
    assert kinds(examine(right)) == ([kind] if kind else [])
    assert 0 < transform_gap(bicubic, bicubic.build(pretrained=False)) < room.PIXELS / 2
    if not wrong:  # trained on another interpolation than ours
        state = create(described.architecture, 1000).state_dict()
        found = examine(replace(described, weights=lambda: state))
        assert kinds(found) == ["interpolation"] and not found.certain
        assert "bilinear" in found.faults[0].message


@pytest.mark.parametrize(
    ("wrong", "suspected"),
    [
        ({}, False),
        (IMAGENET, True),
        ({"mean": NONE, "std": ONES}, True),
        ({"mean": NONE, "std": (1 / 255,) * 3}, True),
    ],
)
def test_batchnorms_memory_tells_a_wrong_normalisation(source, views, wrong, suspected):
    """As for local weights, with which nothing is stored."""
    bare = replace(source, proof=None, contract=replace(source.contract, **wrong))
    found = examine(bare, pictures=views)
    assert kinds(found) == (["normalisation"] if suspected else []) and not found.certain
    if suspected:
        assert "with mean 0.5 and deviation 0.5 they do" in found.faults[0].message
    assert "too few" in examine(bare, pictures=views[:3]).done["statistics"]


def test_statistics_that_tell_nothing_are_not_asked(source, network, views):
    assert distance(network, source.contract, views) < 0.2
    plain = Network(create("alexnet_conv", 0).eval(), "alexnet_conv")
    assert distance(plain, source.contract, views) is None
    fresh = source.build(pretrained=False)
    fresh.model.eval()
    assert distance(fresh, source.contract, views) is None, "never trained: mean 0, variance 1"


def test_folded_norms_stay_frozen_however_many_rows(source):
    folded = whole_norm("bn1", torch.arange(4.0), 1e-3)
    assert untold(folded) and not untold(source.weights())
    assert not untold(
        {"bn1.running_mean": torch.zeros(4), "bn1.running_var": torch.full((4,), 3.0)}
    )
    bench = Bench.__new__(Bench)
    for state, frozen in ((folded, True), (source.weights(), False)):
        bench.__dict__.clear()
        bench.source = replace(source, weights=lambda state=state: state)
        assert bench.folded_norm is frozen
        many = replace(SITUATION, folded_norm=bench.folded_norm)
        assert Full().recipe(many).freeze_norm is frozen
        assert Full().recipe(replace(many, rows=50)).freeze_norm is True
    assert SITUATION.rows >= FEW_ROWS


@pytest.fixture
def saved(source, tmp_path):
    """A saved timm folder that declares ten classes over EfficientNet-Lite0's weights."""
    from safetensors.torch import save_file

    folder = tmp_path / "saved"
    folder.mkdir()
    config = {"architecture": "tf_efficientnet_lite0", "num_classes": 10}
    (folder / "config.json").write_text(json.dumps(config))

    def make(**changes):
        state = {**copied(source), **changes}
        save_file({n: t.contiguous() for n, t in state.items()}, folder / "model.safetensors")
        return f"local:{folder}"

    return make


def test_a_mismatched_head_is_refused_unless_ignored(saved):
    name = saved()
    with pytest.raises(SourceError, match="1000×1280, not 10×1280") as caught:
        admit(name).build()
    assert caught.value.hint.endswith("--ignore-mismatched")
    alone = admit(name, ignore_mismatched=True)
    assert alone.classes == 0 and alone.build().model.num_features == 1280


def test_a_mismatched_backbone_is_refused_all_the_same(saved):
    name = saved(**{"conv_stem.weight": torch.rand(16, 3, 3, 3)})
    for ignore in (False, True):
        with pytest.raises(SourceError, match=r"conv_stem\.weight is 16×3×3×3, not 32×3×3×3"):
            admit(name, ignore_mismatched=ignore).build()


def test_a_head_that_fits_is_kept_when_mismatches_are_ignored(saved):
    fitting = {"classifier.weight": torch.rand(10, 1280), "classifier.bias": torch.rand(10)}
    assert admit(saved(**fitting), ignore_mismatched=True).classes == 10


def test_the_check_is_made_once(monkeypatch):
    calls = []

    def counted(source):
        calls.append(source.name)
        return examine(source)

    monkeypatch.setattr(gate, "examine", counted)
    for _ in range(2):
        found = admit("efficientnet_lite0")
        assert not calls or calls == ["efficientnet_lite0"], "looking a source up costs nothing"
        found.build()
    assert calls == ["efficientnet_lite0"]


def test_a_wrong_source_ends_before_anything_is_trained(small, photos, capsys):
    folder = small()
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["preprocessing"].update(mean=HALF, std=HALF)
    path.write_text(json.dumps(config))
    with pytest.raises(SystemExit) as stop:
        main(["fit", str(photos), "--source", f"local:{folder}", "--out", "run"])
    assert stop.value.code == 1
    message = " ".join(capsys.readouterr().err.split())
    assert "isn't used as it was trained" in message and "ImageNet's mean" in message


def test_zoo_check_tells_what_was_compared(small, capsys):
    def check(*words):
        with pytest.raises(SystemExit) as stop:
            main(["zoo", "check", *words])
        return stop.value.code, capsys.readouterr().out

    code, out = check("efficientnet_lite0")
    assert code == 0 and "No fault was found" in out
    assert all(len(line) <= 80 for line in out.splitlines())
    folder = small()
    config = json.loads((folder / "config.json").read_text())
    config["preprocessing"]["size"] = 64
    (folder / "config.json").write_text(json.dumps(config))
    code, out = check(f"local:{folder}", "--json")
    found = json.loads(out)
    assert code == 1 and not found["right"] and found["faults"][0]["kind"] == "size"
    assert [entry["check"] for entry in found["checks"]] == list(CHECKS)


def test_a_run_reports_what_it_only_suspects(saved, photos, tmp_path):
    """Local weights whose folder says ImageNet's mean and deviation, where 0.5 is right."""
    import headstart

    name = saved()
    config = {"architecture": "tf_efficientnet_lite0", "num_classes": 1000}
    config["pretrained_cfg"] = IMAGENET
    (tmp_path / "saved" / "config.json").write_text(json.dumps(config))
    run = headstart.fit(
        photos,
        source=name,
        methods=["linear_probe"],
        settings={"from_scratch": {"pictures": "32", "largest": "64"}},
        out=tmp_path / "run",
    )
    page = run.report.read_text()
    assert "fit what BatchNorm saw in training" in page
    assert "with mean 0.5 and deviation 0.5 they do" in page
