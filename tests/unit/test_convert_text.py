"""Text packages' layouts, made up small: each gives the network that it was made from."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import torch
from tests.saved_text import save, word_tokenizer
from tests.unit.test_convert import _field, _node, _tensor, _varint

from headstart.errors import SourceError
from headstart.sources.convert import (
    _onnx,
    bert_onnx,
    glove,
    saved_folder,
    smollm2_gguf,
    wordllama,
)
from headstart.sources.store import Converted
from headstart.sources.text import encoder
from headstart.sources.text_network import TextNetwork

IDS = torch.tensor([[2, 7, 9, 5, 3]])


def network(made: Converted) -> TextNetwork:
    """The network that converted files describe, strictly filled."""
    built = TextNetwork(json.loads(made.files["config.json"]), "mean")
    built.model.load_state_dict(made.state)
    return built.eval()


def features(made: Converted, ids=IDS):
    with torch.no_grad():
        return network(made)(ids, torch.ones_like(ids))


def states(model, ids=IDS):
    with torch.no_grad():
        return model.eval()(input_ids=ids).last_hidden_state.mean(1)


def onnx(tensors, nodes):
    """A graph of initialisers and of nodes (operator, inputs, output)."""
    graph = b"".join(_field(5, body) for body in tensors)
    for operator, inputs, output in nodes:
        graph += _field(1, _node(operator, *inputs) + _field(2, output.encode()))
    return bytes([1 << 3, 8]) + _field(7, graph)


def exported(model, stem, parts):
    """A model as exporters write it: biases and tables by name, linear weights at a MatMul."""
    tensors, nodes = [], []
    for number, (name, value) in enumerate(model.state_dict().items()):
        values = value.numpy()
        if values.ndim == 2 and "embeddings" not in name:
            tensors.append(_tensor(f"onnx::MatMul_{number}", np.ascontiguousarray(values.T)))
            path = "/" + parts + "/" + name.removesuffix(".weight").replace(".", "/")
            path = path.replace("layer/", "layer.")
            nodes.append(("MatMul", ("x", f"onnx::MatMul_{number}"), f"{path}/MatMul_output_0"))
        else:
            tensors.append(_tensor(stem + name, values))
    return onnx(tensors, nodes)


@pytest.mark.parametrize("kind", ["bert", "distilbert"])
def test_an_exported_encoder_is_itself_again(kind):
    from transformers import BertConfig, BertModel, DistilBertConfig, DistilBertModel

    torch.manual_seed(0)
    if kind == "bert":
        sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 12}
        model = BertModel(BertConfig(vocab_size=20, intermediate_size=32, **sizes))
        model.pooler = None
        graph = exported(model, "model.0.auto_model.", "model/model.0/auto_model")
    else:
        sizes = {"dim": 24, "n_layers": 2, "n_heads": 12, "hidden_dim": 32}
        model = DistilBertModel(DistilBertConfig(vocab_size=20, **sizes))
        graph = exported(model, "distilbert.", "distilbert")
    made = bert_onnx.text({"a/b.onnx": graph, "a/tokenizer.json": b"{}"})
    assert torch.allclose(features(made), states(model), atol=1e-6)
    assert made.files["tokenizer.json"] == "{}"
    with pytest.raises(SourceError, match="isn't of a BERT-like model"):
        bert_onnx.text({"a.onnx": onnx([_tensor("w", np.zeros((2, 2), np.float32))], [])})


def test_int8_weights_are_dequantised():
    """Values in raw bytes, scale and zero point in lists, as short tensors are written."""
    values = np.array([[-128, 0, 127], [5, -6, 7]], np.int8)
    dims = b"".join(bytes([1 << 3]) + _varint(n) for n in values.shape)
    whole = dims + bytes([2 << 3, 3]) + _field(8, b"w_quantized") + _field(9, values.tobytes())
    scale = bytes([2 << 3, 1]) + _field(4, np.float32(0.25).tobytes()) + _field(8, b"w_scale")
    zero = bytes([2 << 3, 3]) + _field(5, _varint((1 << 64) - 4)) + _field(8, b"w_zero_point")
    graph = onnx(
        [whole, scale, zero],
        [
            ("DequantizeLinear", ("w_quantized", "w_scale", "w_zero_point"), "d"),
            ("MatMul", ("x", "d"), "/m/q/MatMul_output_0"),
        ],
    )
    found = _onnx.parameters(graph)
    wanted = (values.astype(np.float32) + 4) * 0.25
    for name in ("w", "d", "/m/q/MatMul_output_0"):
        assert found[name].dtype == np.float32 and np.array_equal(found[name], wanted)
    several = dims[:2] + bytes([2 << 3, 1]) + _field(9, bytes(8)) + _field(8, b"w_scale")
    broken = onnx([whole, several, zero], [("DequantizeLinear", ("w_quantized", "w_scale"), "d")])
    with pytest.raises(SourceError, match="several scales"):
        _onnx.parameters(broken)


def test_a_saved_folder_is_taken_as_it_is(tmp_path):
    from transformers import AutoModel

    place = save(tmp_path / "m")
    files = {f"package/model/{path.name}": path.read_bytes() for path in place.iterdir()}
    made = saved_folder.text(files)
    assert not [name for name in made.state if "pooler" in name]
    assert torch.allclose(features(made), states(AutoModel.from_pretrained(place)), atol=1e-6)
    assert made.files["tokenizer.json"] == (place / "tokenizer.json").read_text()
    with pytest.raises(SourceError, match="safetensors can't be read"):
        saved_folder.text(files | {"package/model/model.safetensors": b"junk"})


def test_wordllama_takes_no_start_token():
    from safetensors.numpy import save as to_bytes

    table = np.random.default_rng(0).normal(size=(23, 8)).astype(np.float16)
    tokenizer = word_tokenizer()
    made = wordllama.text(
        {
            "w/weights/t.safetensors": to_bytes({"embedding.weight": table}),
            "w/tokenizers/t.json": tokenizer.to_str().encode(),
        }
    )
    encode = encoder(made.files["tokenizer.json"], 9, "it")
    ids = encode(["the movie"])
    assert ids == [[4, 14]]
    wanted = table[ids[0]].astype(np.float32).mean(0)
    assert np.allclose(features(made, torch.tensor(ids))[0], wanted, atol=1e-6)


class TestGlove:
    words = ("the", "n't", "do", "'s", "it", "?", "o", "'")

    def files(self, rows=8):
        import pyarrow
        import pyarrow.parquet

        buffers = io.BytesIO(), io.BytesIO()
        vectors = np.random.default_rng(0).normal(size=(rows, 5)).astype(np.float32)
        np.save(buffers[0], np.asfortranarray(vectors))
        pyarrow.parquet.write_table(pyarrow.table({"index": list(self.words)}), buffers[1])
        return vectors, {"e.npy": buffers[0].getvalue(), "i.parquet": buffers[1].getvalue()}

    def test_words_have_their_vectors_and_others_the_mean(self):
        vectors, files = self.files()
        made = glove.text(files)
        ids = encoder(made.files["tokenizer.json"], 20, "it")(["THE zebra", ""])
        assert ids == [[0, 8], [8]]
        wanted = (vectors[0] + vectors.mean(0)) / 2
        assert np.allclose(features(made, torch.tensor(ids[:1]))[0], wanted, atol=1e-6)

    def test_contractions_split_as_in_the_corpus(self):
        made = glove.text(self.files()[1])
        encode = encoder(made.files["tokenizer.json"], 20, "it")
        split = {"don't it's?": [2, 1, 4, 3, 5], "o'it": [6, 7, 4], "n't": [1]}
        assert encode(list(split)) == list(split.values())

    def test_what_does_not_belong_together_is_refused(self):
        with pytest.raises(SourceError, match="8 words for vectors of shape"):
            glove.text(self.files(rows=7)[1])


class TestGguf:
    """A small Llama written by the gguf package as llama.cpp's converter writes one."""

    def written(self, tmp_path, model, kind="F32"):
        import gguf

        config = model.config
        writer = gguf.GGUFWriter(tmp_path / "m.gguf", "llama")
        writer.add_context_length(64)
        writer.add_embedding_length(config.hidden_size)
        writer.add_block_count(config.num_hidden_layers)
        writer.add_feed_forward_length(config.intermediate_size)
        writer.add_head_count(config.num_attention_heads)
        writer.add_head_count_kv(config.num_key_value_heads)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_rope_freq_base(10000.0)
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("smollm")
        tokens = ["<|endoftext|>", *"abcdefghij", "Ġ", "1", "2", "ab", "Ġa"]
        writer.add_token_list(tokens)
        writer.add_token_types([3] + [1] * (len(tokens) - 1))
        writer.add_token_merges(["a b", "Ġ a"])
        for name, value in model.state_dict().items():
            short, values = self.name(name), value.numpy()
            if "attn_q" in short or "attn_k" in short:
                key = "num_attention_heads" if "attn_q" in short else "num_key_value_heads"
                heads = getattr(config, key)
                half = values.shape[0] // heads // 2
                shaped = values.reshape(heads, 2, half, values.shape[1])
                values = shaped.swapaxes(1, 2).reshape(values.shape)
            quantised = gguf.GGMLQuantizationType[kind] if values.ndim == 2 else None
            if quantised and kind != "F32":
                packed = gguf.quantize(np.ascontiguousarray(values), quantised)
                writer.add_tensor(short, packed, raw_dtype=quantised)
            else:
                writer.add_tensor(short, np.ascontiguousarray(values))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return {"p/m.gguf": (tmp_path / "m.gguf").read_bytes()}

    def name(self, name):
        names = {
            "embed_tokens": "token_embd",
            "self_attn.q_proj": "attn_q",
            "self_attn.k_proj": "attn_k",
            "self_attn.v_proj": "attn_v",
            "self_attn.o_proj": "attn_output",
            "input_layernorm": "attn_norm",
            "post_attention_layernorm": "ffn_norm",
            "mlp.gate_proj": "ffn_gate",
            "mlp.up_proj": "ffn_up",
            "mlp.down_proj": "ffn_down",
            "layers.": "blk.",
        }
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        return "output_norm.weight" if name == "norm.weight" else name

    def model(self):
        from transformers import LlamaConfig, LlamaModel

        torch.manual_seed(0)
        sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
        heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
        return LlamaModel(LlamaConfig(vocab_size=16, rms_norm_eps=1e-5, **sizes, **heads))

    def test_it_is_the_network_that_it_was_made_from(self, tmp_path):
        model = self.model()
        made = smollm2_gguf.text(self.written(tmp_path, model))
        assert torch.allclose(features(made), states(model), atol=1e-6)
        assert float(states(model).abs().max()) > 0.1

    def test_quantised_tensors_are_dequantised(self, tmp_path):
        model = self.model()
        made = smollm2_gguf.text(self.written(tmp_path, model, "Q4_1"))
        for name, value in model.state_dict().items():
            step = float(value.max() - value.min()) / 15
            assert float((made.state[name] - value).abs().max()) <= step, name

    def test_the_tokenizer_is_rebuilt(self, tmp_path):
        made = smollm2_gguf.text(self.written(tmp_path, self.model()))
        encode = encoder(made.files["tokenizer.json"], 8, "it")
        assert encode(["ab a", "12", "<|endoftext|>b", ""]) == [[14, 15], [12, 13], [0, 2], [0]]

    def test_what_is_not_such_a_file_is_refused(self, tmp_path):
        whole = self.written(tmp_path, self.model())["p/m.gguf"]
        for broken in (b"", b"GGUF", whole[:400], whole.replace(b"smollm", b"stable")):
            with pytest.raises(SourceError, match="GGUF file can't be read"):
                smollm2_gguf.text({"m.gguf": broken})
