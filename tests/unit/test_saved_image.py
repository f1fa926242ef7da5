"""Picture models that transformers saved, as source models: read, cut under timm's names, bundled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from headstart.errors import SourceError
from headstart.export import bundle
from headstart.sources.base import Contract, Network, create, find
from headstart.sources.saved_image import KINDS

SIDE = 32
TOKENS = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": SIDE,
    "patch_size": 8,
    "hidden_dropout_prob": 0.5,
}
MAPS = {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 2, 1], "drop_path_rate": 0.5}
SETTINGS: dict[str, dict[str, Any]] = {
    "vit": TOKENS,
    "dinov2": {**TOKENS, "mlp_ratio": 2},
    "convnext": MAPS,
    "convnextv2": MAPS,
    "resnet": {
        "embedding_size": 8,
        "hidden_sizes": [8, 8, 16, 16],
        "depths": [1, 1, 1, 1],
        "layer_type": "basic",
    },
}
_STAGES = ["stem", "stages.0", "stages.1", "stages.2", "stages.3", "pool"]
_BLOCKS = ["stem", "blocks.0", "blocks.1", "blocks.2", "pool"]
POINTS = {
    "resnet": ["stem", "layer1", "layer2", "layer3", "layer4", "pool"],
    "convnext": _STAGES,
    "convnextv2": _STAGES,
    "vit": _BLOCKS,
    "dinov2": _BLOCKS,
}


def saved(folder: Path, kind: str, classes: int = 5, **processor: Any) -> Any:
    """Save a small classifier with random weights and its preprocessing; return the model."""
    from transformers import AutoConfig, AutoModelForImageClassification

    torch.manual_seed(3)
    config = AutoConfig.for_model(kind, **SETTINGS[kind], num_labels=classes)
    model = AutoModelForImageClassification.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # some start at zero, and would hide a wrong order
            parameter.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    usual = {
        "size": {"height": SIDE, "width": SIDE},
        "image_mean": [0.4] * 3,
        "image_std": [0.2] * 3,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps({**usual, **processor}))
    return model


def test_each_kind_has_a_case():
    assert set(SETTINGS) == set(POINTS) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_folder_is_a_source_model_with_freeze_points(kind, tmp_path):
    model = saved(tmp_path / "m", kind)
    source = find(f"local:{tmp_path / 'm'}")
    assert list(source.freeze_points) == POINTS[kind] and source.available
    assert find(f"transformers:{tmp_path / 'm'}").freeze_points == source.freeze_points
    assert source.classes == 5 and source.own_head()[0].shape == (5, source.width)
    network = source.build(classes=5)
    network.head.load_state_dict(
        {"weight": torch.tensor(source.own_head()[0]), "bias": torch.tensor(source.own_head()[1])}
    )
    batch = torch.randn(2, 3, SIDE, SIDE)
    with torch.no_grad():
        wanted = model(batch).logits
        network.model.eval()
        value = batch
        for place in range(len(network.stages)):
            value = network.part(place, place + 1)(value)
    assert value.shape == (2, source.width)
    assert torch.allclose(network.head(value), wanted, atol=1e-5)
    parts = [*network.stages.values(), network.head]
    held = {id(p) for part in parts for p in part.parameters()}
    assert held <= {id(p) for p in network.model.parameters()}
    assert sum(p.numel() for part in parts[:-1] for p in part.parameters()) <= source.parameters


@pytest.mark.parametrize("kind", ["vit", "resnet", "convnext"])
def test_a_bundle_of_one_gives_its_own_predictions_again(kind, tmp_path):
    saved(tmp_path / "m", kind)
    source = find(f"local:{tmp_path / 'm'}")
    network = source.build(classes=2)
    facts = {
        "source": {"name": "x", "trained_on": "y", "licence": "MIT"},
        "method": {"name": "full", "parameters": {}},
        "data": {"rows": 4, "train": 2, "test": 2, "fingerprint": "abc"},
        "made_with": {"headstart": "0.1.0"},
        "temperature": 1.0,
    }
    bundle.write(tmp_path / "run" / "model", network, source.contract, ["a", "b"], facts)
    again = bundle.Model(tmp_path / "run")
    ours, theirs = network.model.state_dict(), again.network.model.state_dict()
    assert all(torch.equal(theirs[name], value) for name, value in ours.items())
    found = again.predict([np.zeros((SIDE, SIDE, 3), np.uint8)])[0].probabilities
    assert abs(sum(found.values()) - 1) < 1e-5
    assert find(f"local:{tmp_path / 'run'}").freeze_points == source.freeze_points


def test_frozen_noise_is_off(tmp_path):
    saved(tmp_path / "m", "vit")
    network = find(f"local:{tmp_path / 'm'}").build(classes=2)
    network.model.train()
    batch = torch.randn(2, 3, SIDE, SIDE)
    part = network.part(head=True)
    assert torch.equal(part(batch), part(batch))


@pytest.mark.parametrize(
    ("kind", "processor", "wanted"),
    [
        ("vit", {}, (32, 32)),
        ("resnet", {"size": {"shortest_edge": 224}, "crop_pct": 0.875}, (224, 256)),
        ("convnext", {"size": {"shortest_edge": 384}}, (384, 384)),
        (
            "dinov2",
            {"size": {"shortest_edge": 64}, "crop_size": {"height": 56, "width": 56}},
            (56, 64),
        ),
        ("vit", {"size": 48}, (48, 48)),
    ],
)
def test_preprocessing_is_the_folders(kind, processor, wanted, tmp_path):
    saved(tmp_path / "m", kind, **processor)
    contract = find(f"local:{tmp_path / 'm'}").contract
    assert (contract.size, contract.resize) == wanted
    assert contract.mean == (0.4, 0.4, 0.4)
    (tmp_path / "m" / "preprocessor_config.json").unlink()
    assert isinstance(find(f"local:{tmp_path / 'm'}").contract, Contract)


def test_the_same_settings_are_the_same_architecture_and_others_are_explained(tmp_path):
    saved(tmp_path / "m", "vit")
    source = find(f"local:{tmp_path / 'm'}")
    assert Network(create(source.architecture, 3), "").head.out_features == 3
    (tmp_path / "m" / "preprocessor_config.json").write_text("{broken")
    with pytest.raises(SourceError, match="can't be read"):
        find(f"local:{tmp_path / 'm'}")
    (tmp_path / "m" / "model.safetensors").unlink()
    (tmp_path / "m" / "preprocessor_config.json").unlink()
    with pytest.raises(SourceError, match=r"no model\.safetensors"):
        find(f"local:{tmp_path / 'm'}")
    with pytest.raises(SourceError, match="aren't cut into stages"):
        create('transformers:{"model_type":"beit"}', 2)
    with pytest.raises(SourceError, match="isn't the settings"):
        create("transformers:vit", 2)


def test_layers_that_are_missing_are_named(tmp_path):
    from safetensors.torch import load_file, save_file

    saved(tmp_path / "m", "resnet")
    path = tmp_path / "m" / "model.safetensors"
    state = {name: value for name, value in load_file(path).items() if "stages.2" not in name}
    save_file(state, path, metadata={"format": "pt"})
    with pytest.raises(SourceError, match=r"lack .*stages\.2"):
        find(f"local:{tmp_path / 'm'}").build()
