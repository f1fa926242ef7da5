"""torchvision's classifiers as source models: cut under timm's names, read from a file or its hub."""

from __future__ import annotations

import copy
import json

import pytest
import torch

from headstart.errors import SourceError, UsageError
from headstart.sources import torchvision_models
from headstart.sources.base import Network, create, find

FAMILIES = {
    "alexnet": ("block1", "block3"),
    "convnext_tiny": ("stem", "stages.3"),
    "densenet121": ("stem", "features"),
    "efficientnet_b0": ("stem", "features"),
    "maxvit_t": ("stem", "blocks.3"),
    "mnasnet0_5": ("stem", "features"),
    "mobilenet_v2": ("stem", "features"),
    "mobilenet_v3_small": ("stem", "features"),
    "regnet_y_400mf": ("stem", "stages.3"),
    "resnet18": ("stem", "layer4"),
    "shufflenet_v2_x0_5": ("stem", "features"),
    "swin_t": ("stem", "stages.3"),
    "vgg11": ("block1", "block5"),
    "vit_b_32": ("stem", "blocks.11"),
}
"""One of each family → its first stage and the last one before pooling."""


def outlined(name: str) -> torch.device:
    """Where a network is made without filling it; RegNet reads its widths back from tensors."""
    return torch.device("cpu" if "regnet" in name else "meta")


@pytest.mark.parametrize("name", FAMILIES)
def test_the_chain_of_stages_is_torchvisions_own_forward_pass(name):
    torch.manual_seed(0)
    network = Network(create(f"torchvision:{name}", 5).eval(), name)
    assert (next(iter(network.stages)), list(network.stages)[-2]) == FAMILIES[name]
    side = 224 if name in ("maxvit_t", "vit_b_32") else 96
    batch = torch.randn(1, 3, side, side)
    with torch.no_grad():
        wanted = network.model(batch)
        value = batch
        for place in range(len(network.stages)):
            value = network.part(place, place + 1)(value)
    assert value.shape == (1, network.model.num_features) == (1, network.head.in_features)
    assert torch.allclose(network.head(value), wanted, atol=1e-5)
    owned = [id(p) for part in (*network.stages.values(), network.head) for p in part.parameters()]
    assert sorted(owned) == sorted(id(p) for p in network.model.parameters()), "each in one stage"


def test_every_name_that_is_listed_is_of_a_family_that_is_cut():
    large = [n for n in torchvision_models.known() if "regnet" in n and "400mf" not in n]
    for name in [n for n in torchvision_models.known() if n not in large]:
        with outlined(name):
            network = Network(create(f"torchvision:{name}", 0), name)
            assert len(network.stages) >= 4, name
            assert isinstance(network.head, torch.nn.Identity), name


@pytest.mark.parametrize(
    ("theirs", "timms"),
    [
        ("resnet18", "resnet18"),
        ("efficientnet_b0", "efficientnet_b0"),
        ("convnext_tiny", "convnext_tiny"),
        ("regnet_y_400mf", "regnety_004"),
        ("swin_t", "swin_tiny_patch4_window7_224"),
        ("vit_b_32", "vit_base_patch32_224"),
    ],
)
def test_a_freeze_point_has_one_name_whoever_made_the_model(theirs, timms):
    with outlined(theirs):
        ours = Network(create(f"torchvision:{theirs}", 0), theirs)
        assert list(ours.stages) == list(Network(create(timms, 0), timms).stages)


def test_frozen_noise_is_off_until_a_recipe_asks_for_it():
    model = create("torchvision:efficientnet_b0", 3).eval()
    batch = torch.randn(2, 3, 64, 64)
    for part in model.modules():
        if not isinstance(part, torch.nn.BatchNorm2d):
            part.training = True
    with torch.no_grad():
        assert torch.equal(model(batch), model(batch))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_of_the_users_own(tmp_path, suffix):
    from safetensors.torch import save_file
    from torchvision import models

    torch.manual_seed(5)
    model = models.get_model("shufflenet_v2_x0_5", weights=None, num_classes=7).eval()
    path = tmp_path / f"mine{suffix}"
    save_file(model.state_dict(), path) if suffix != ".pth" else torch.save(
        model.state_dict(), path
    )
    source = find(f"torchvision:shufflenet_v2_x0_5@{path}")
    assert source == find(source.name) and source.available
    assert (source.width, source.freeze_points[0]) == (1024, "stem")
    built = source.build(classes=3)
    batch = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        model.fc = torch.nn.Identity()
        assert torch.allclose(built.part().eval()(batch), model(batch), atol=1e-6)
    assert built.head.weight.shape == (3, 1024)
    assert copy.deepcopy(built.model).default_cfg["classifier"] == "fc"


def test_it_is_shown_with_its_freeze_points_and_preprocessing(capsys):
    from headstart.workflow.zoo import search, show

    facts = show("torchvision:resnet50")
    assert facts["freeze_points"] == ["stem", "layer1", "layer2", "layer3", "layer4", "pool"]
    assert facts["contract"]["size"] == 224 and facts["classes"] == 1000
    assert (facts["width"], facts["parameters"]) == (2048, 23_508_032)
    older = show("torchvision:resnet50.IMAGENET1K_V1")
    assert older["contract"]["resize"] == 256 and older["architecture"] == facts["architecture"]
    names = [entry["name"] for entry in search("torchvision:resnet")]
    assert "torchvision:resnet18" in names and "torchvision:wide_resnet50_2" in names
    json.dumps(facts)


def test_weights_are_taken_from_torchs_folder_with_todays_names(monkeypatch, tmp_path):
    """Old files name DenseNet's layers otherwise and lack BatchNorm's counters."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    source = find("torchvision:densenet121")
    assert not source.available
    torch.manual_seed(7)
    model = create("torchvision:densenet121", 1000)
    old = {
        name.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): value
        for name, value in model.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    (tmp_path / "checkpoints").mkdir()
    torch.save(old, tmp_path / "checkpoints" / source.digest)
    assert source.available
    built = source.build(classes=0).model.state_dict()
    wanted = model.state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in built.items())


def test_a_hub_that_does_not_answer_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr("headstart.sources.hub.answers", lambda address: False)
    with pytest.raises(SourceError, match=r"torchvision:resnet18 can't be had: \S+ doesn't answer"):
        find("torchvision:resnet18").build()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("torchvision:resnet81", "resnet"),
        ("torchvision:squeezenet1_0", "cut into stages"),
        ("torchvision:resnet50.IMAGENET1K_V9", "IMAGENET1K_V"),
        ("torchvision:resnet18@nowhere.pth", "no file or folder"),
    ],
)
def test_what_is_not_there_is_explained(name, near):
    with pytest.raises(UsageError) as caught:
        find(name)
    assert near in f"{caught.value.message} {caught.value.hint}"
