"""BERT-like encoders as ONNX, in float32 or int8, beside a ``tokenizer.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from headstart.errors import SourceError
from headstart.sources.convert._onnx import parameters
from headstart.sources.store import CONFIG, TOKENIZER, Converted

if TYPE_CHECKING:
    from torch import Tensor

    from headstart.types import Array

__all__ = ["text"]

_STEMS = ("model.model.0.auto_model.", "model.0.auto_model.", "distilbert.", "bert.")
_SUFFIX = ".MatMul_output_0"


def text(files: Mapping[str, bytes]) -> Converted:
    """Name the graph's weights as transformers does, and read the sizes off them.

    An exporter keeps the names of biases and tables; a linear layer's weight is the second operand
    of the MatMul whose output is called after the layer, transposed.

    Raises:
        SourceError: a file is missing, or the graph isn't of such a model.
    """
    graph = next((data for name, data in files.items() if name.endswith(".onnx")), b"")
    tokenizer = next((data for name, data in files.items() if name.endswith(TOKENIZER)), b"")
    state = {name: _tensor(values) for name, values in _named(graph).items()}
    try:
        config = (
            _distilbert(state)
            if "transformer.layer.0.attention.q_lin.weight" in state
            else _bert(state)
        )
    except KeyError as error:
        raise SourceError(f"The ONNX file isn't of a BERT-like model: no {error}.") from error
    return Converted(
        state, {CONFIG: json.dumps(config, indent=1), TOKENIZER: tokenizer.decode("utf-8")}
    )


def _named(graph: bytes) -> dict[str, Array]:
    """The encoder's tensors under transformers' names; a head's are left out."""
    out = {}
    for name, values in parameters(graph).items():
        linear = name.endswith("/MatMul_output_0")
        plain = name.strip("/").replace("/", ".")
        plain = plain.removesuffix(_SUFFIX) + ".weight" if linear else plain
        stem = next((stem for stem in _STEMS if plain.startswith(stem)), "")
        # Besides, the graph holds scales, zero points and copies under an operator's own name.
        if stem and plain.endswith((".weight", ".bias")):
            out[plain.removeprefix(stem)] = values.T if linear else values
    return out


def _tensor(values: Array) -> Tensor:
    import torch

    return torch.from_numpy(np.array(values, dtype=np.float32, order="C"))


def _layers(state: Mapping[str, Tensor], stem: str) -> int:
    return len({name.split(".")[2] for name in state if name.startswith(stem)})


def _bert(state: Mapping[str, Tensor]) -> dict[str, object]:
    words, width = state["embeddings.word_embeddings.weight"].shape
    return {
        "model_type": "bert",
        "vocab_size": words,
        "hidden_size": width,
        "num_hidden_layers": _layers(state, "encoder.layer."),
        "num_attention_heads": 12,  # of every BERT-base-like model, MiniLM among them
        "intermediate_size": len(state["encoder.layer.0.intermediate.dense.bias"]),
        "max_position_embeddings": len(state["embeddings.position_embeddings.weight"]),
        "type_vocab_size": len(state["embeddings.token_type_embeddings.weight"]),
        "layer_norm_eps": 1e-12,
        "hidden_act": "gelu",
        "pad_token_id": 0,
    }


def _distilbert(state: Mapping[str, Tensor]) -> dict[str, object]:
    words, width = state["embeddings.word_embeddings.weight"].shape
    return {
        "model_type": "distilbert",
        "vocab_size": words,
        "dim": width,
        "n_layers": _layers(state, "transformer.layer."),
        "n_heads": 12,
        "hidden_dim": len(state["transformer.layer.0.ffn.lin1.bias"]),
        "max_position_embeddings": len(state["embeddings.position_embeddings.weight"]),
        "activation": "gelu",
        "pad_token_id": 0,
    }
