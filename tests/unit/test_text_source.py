"""Text sources: tokens, pooling, padding that changes nothing, and folders that transformers saved."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from tests.saved_text import KINDS, save, word_tokenizer

from headstart.errors import SourceError, UsageError
from headstart.sources.base import find, find_image
from headstart.sources.text import TextNetwork, TextSource, encoder

TEXTS = ["The movie was not very good", "bad food ?", "who"]


def padded(rows, length=None, fill=0):
    """Ids (n, L) and mask (n, L), padded on the right with any id."""
    length = length or max(map(len, rows))
    ids = torch.full((len(rows), length), fill, dtype=torch.int64)
    mask = torch.zeros((len(rows), length), dtype=torch.bool)
    for number, row in enumerate(rows):
        ids[number, : len(row)], mask[number, : len(row)] = torch.tensor(row), True
    return ids, mask


def features(network, rows, **options):
    with torch.no_grad():
        return network(*padded(rows, **options))


@pytest.fixture(params=KINDS)
def source(request, tmp_path) -> TextSource:
    return find(f"transformers:{save(tmp_path / request.param, request.param)}")


def test_a_saved_model_is_described_and_gives_features(source):
    assert isinstance(source, TextSource) and source.modality == "text" and source.available
    network = source.build()
    assert isinstance(network, TextNetwork) and not network.training
    assert source.width == 16
    assert source.parameters == sum(p.numel() for p in network.parameters())
    assert 0 < source.macs < source.parameters
    out = features(network, source.tokenizer()(TEXTS))
    assert out.shape == (3, 16) and out.dtype == torch.float32 and bool(out.isfinite().all())
    assert float((out[0] - out[1]).abs().max()) > 1e-3, "texts differ"


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_padding_changes_nothing(source, pooling):
    network = source.build()
    network.pooling = pooling
    rows = source.tokenizer()(TEXTS)
    alone = torch.cat([features(network, [row]) for row in rows])
    for options in ({}, {"length": 20}, {"length": 20, "fill": 7}):
        assert torch.allclose(features(network, rows, **options), alone, atol=1e-5)
    ids, mask = padded(rows)
    with torch.no_grad():
        assert torch.allclose(network(ids, mask.long()), alone, atol=1e-5), "an integer mask"


def test_the_features_are_transformers_own(source, tmp_path):
    from transformers import AutoModel

    model = AutoModel.from_pretrained(next(tmp_path.iterdir())).eval()
    rows = source.tokenizer()(TEXTS)
    network = source.build()
    for row in rows:
        with torch.no_grad():
            states = model(input_ids=torch.tensor([row])).last_hidden_state[0]
        for pooling, wanted in (("mean", states.mean(0)), ("cls", states[0]), ("last", states[-1])):
            network.pooling = pooling
            assert torch.allclose(features(network, [row])[0], wanted, atol=1e-5)


def test_tokens_are_cut_special_and_never_none():
    encode = encoder(word_tokenizer().to_str(), 5, "it")
    assert encode(["the movie", "", "zebra " * 50]) == [[2, 4, 14, 3], [2, 3], [2, 1, 1, 1, 3]]
    plain = encoder(word_tokenizer(special=False).to_str(), 5, "it")
    assert plain(["", "  ", "the"]) == [[1], [1], [4]]
    assert plain([]) == []


def test_a_tokenizers_own_padding_and_cutting_are_undone():
    made = word_tokenizer()
    made.enable_padding(length=40)
    made.enable_truncation(max_length=3)
    assert [len(row) for row in encoder(made.to_str(), 6, "it")(["the " * 9, "the"])] == [6, 3]


def test_a_damaged_tokenizer_is_named():
    with pytest.raises(SourceError, match=r"tokenizer of it can't be read.*"):
        encoder("{}", 8, "it")


def test_local_takes_a_saved_text_model(tmp_path):
    place = save(tmp_path / "mine")
    source = find(f"local:{place}")
    assert isinstance(source, TextSource) and source.title == "local:mine"
    assert find(f"transformers:{place}").title == "transformers:mine"
    with pytest.raises(UsageError, match="reads text, and the data are pictures"):
        find_image(f"local:{place}")


def test_other_weights_in_the_same_folder_have_another_key(tmp_path):
    first = find(f"local:{save(tmp_path / 'mine', seed=0)}").key
    assert find(f"local:{save(tmp_path / 'mine', seed=0)}").key == first
    assert find(f"local:{save(tmp_path / 'mine', seed=1)}").key != first


def test_a_model_with_a_head_is_read_without_it(tmp_path):
    """Names in a classifier's checkpoint start with the architecture's own prefix."""
    from transformers import BertConfig, BertForSequenceClassification

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(vocab_size=30, intermediate_size=32, **sizes)
    torch.manual_seed(0)
    whole = BertForSequenceClassification(config).eval()
    whole.save_pretrained(tmp_path)
    word_tokenizer().save(str(tmp_path / "tokenizer.json"))
    source = find(f"local:{tmp_path}")
    row = source.tokenizer()(["good food"])[0]
    with torch.no_grad():
        wanted = whole.bert(input_ids=torch.tensor([row])).last_hidden_state[0].mean(0)
    assert torch.allclose(features(source.build(), [row])[0], wanted, atol=1e-5)


def test_missing_layers_are_named(tmp_path):
    from safetensors.torch import load_file, save_file

    path = save(tmp_path / "m") / "model.safetensors"
    state = load_file(path)
    del state["encoder.layer.1.output.dense.weight"]
    save_file(state, path, {"format": "pt"})
    with pytest.raises(SourceError, match=r"1 tensors missing \(encoder\.layer\.1\.output"):
        find(f"local:{tmp_path / 'm'}").build()


def test_what_is_not_a_saved_text_model_is_refused(tmp_path):
    place = save(tmp_path / "m")
    config = json.loads((place / "config.json").read_text())
    refused = [
        ({"model_type": "mars"}, "no architecture 'mars'"),
        ({"quantization_config": {"bits": 4}}, "quantised"),
        ({"hidden_size": "wide"}, "isn't of a bert model"),
        ({"auto_map": {"AutoModel": "evil.Model"}, "model_type": "evil"}, "no code"),
    ]
    for change, message in refused:
        (place / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(SourceError, match=message):
            find(f"transformers:{place}")
    (place / "config.json").write_text('{"model_type": "t5", "vocab_size": 23}')
    with pytest.raises(SourceError, match="doesn't give one sequence"):
        find(f"transformers:{place}")
    (place / "config.json").write_text(json.dumps(config))
    (place / "model.safetensors").rename(place / "pytorch_model.bin")
    with pytest.raises(SourceError, match="pickled weights aren't read"):
        find(f"transformers:{place}")
    (place / "tokenizer.json").unlink()
    with pytest.raises(SourceError, match=r"no tokenizer\.json"):
        find(f"transformers:{place}")


def test_a_saved_picture_model_of_another_kind_says_what_is_read(tmp_path):
    from transformers import BeitConfig, BeitModel

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    BeitModel(
        BeitConfig(image_size=32, patch_size=16, intermediate_size=32, **sizes)
    ).save_pretrained(tmp_path)
    with pytest.raises(
        SourceError, match=r"a beit model that transformers saved for pictures; .* vit are read"
    ) as it:
        find(f"local:{tmp_path}")
    assert "timm" in it.value.hint


def test_a_folder_that_is_not_there_is_a_wrong_name(tmp_path):
    for name in (f"{tmp_path}/nothing", "./nothing", "a/b/c", "no such name!"):
        with pytest.raises(UsageError, match=r"no folder|neither a folder nor a hub id"):
            find(f"transformers:{name}")


def test_a_silent_hub_is_one_line_within_seconds(monkeypatch):
    import socket
    import time

    from headstart.sources.origins import transformers as origin

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setattr("headstart.sources.hub.WAIT", 0.3)
        monkeypatch.setattr(origin, "_cached", lambda name, file: None)
        begun = time.monotonic()
        with pytest.raises(SourceError, match=r"127\.0\.0\.1 doesn't answer") as caught:
            find("transformers:distilbert-base-uncased")
        assert time.monotonic() - begun < 5
    assert "--modality text" in caught.value.hint


def test_a_static_table_is_a_mean_of_its_rows():
    table = np.arange(12, dtype=np.float32).reshape(4, 3)
    source = TextSource(
        name="static",
        origin="here",
        architecture="static",
        width=3,
        trained_on="nothing",
        licence="none",
        parameters=12,
        length=8,
        pooling="mean",
        settings=lambda: {"model_type": "static", "vocab_size": 4, "hidden_size": 3},
        weights=lambda: {"weight": torch.from_numpy(table)},
    )
    out = features(source.build(), [[0, 3], [2]], fill=1)
    assert out.tolist() == [[4.5, 5.5, 6.5], [6.0, 7.0, 8.0]]


def test_describing_text_sources_loads_no_torch():
    code = (
        "import headstart.sources.text, headstart.sources.saved, sys; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_looking_at_every_attribute_says_nothing(tmp_path, caplog):
    import logging

    from transformers.utils import logging as spoken

    source = find(f"local:{save(tmp_path / 'llama', 'llama')}")
    model = source.build().model
    spoken.enable_propagation()
    try:
        with caplog.at_level(logging.WARNING):
            assert callable(model.loss_function)
    finally:
        spoken.disable_propagation()
    assert "loss_type" not in caplog.text
