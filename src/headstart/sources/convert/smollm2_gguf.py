"""A Llama-like model in GGUF: quantised tensors, and a byte-level tokenizer in the metadata.

GGUF's own description: ggml-org/ggml, docs/gguf.md.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.errors import SourceError
from headstart.sources.store import CONFIG, TOKENIZER, Converted

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = ["byte_tokenizer", "name_of", "text", "unpaired"]

_CONTROL = 3
"""GGUF's token type of special tokens."""
_WHOLE = {"token_embd": "embed_tokens", "output_norm": "norm"}
_LAYER = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def text(files: Mapping[str, bytes]) -> Converted:
    """Dequantise the tensors to float32 under transformers' names, and rebuild the tokenizer.

    Raises:
        SourceError: it isn't GGUF, or holds something else than a Llama-like model.
    """
    import torch
    from gguf import GGUFReader, dequantize

    with tempfile.TemporaryDirectory(prefix="headstart-gguf-", ignore_cleanup_errors=True) as place:
        # The reader maps a file into memory and takes no bytes.
        path = Path(place) / "model.gguf"
        path.write_bytes(next(iter(files.values())))
        try:
            reader = GGUFReader(path)
            facts = {name: part.contents() for name, part in reader.fields.items()}
            heads = {
                "attn_q": int(facts["llama.attention.head_count"]),
                "attn_k": int(facts["llama.attention.head_count_kv"]),
            }
            state = {}
            for tensor in reader.tensors:
                values = dequantize(tensor.data, tensor.tensor_type)
                kind = tensor.name.split(".")[-2]
                values = unpaired(values, heads[kind]) if kind in heads else values
                # A copy, so that nothing points into the mapped file.
                state[name_of(tensor.name)] = torch.tensor(values, dtype=torch.float32)
            config = _config(facts, len(facts["tokenizer.ggml.tokens"]))
            tokenizer = byte_tokenizer(facts)
        except (ValueError, KeyError, IndexError, TypeError, NotImplementedError) as error:
            raise SourceError(
                f"The GGUF file can't be read: {type(error).__name__}: {error}."
            ) from error
    return Converted(
        state,
        {
            CONFIG: json.dumps(config, indent=1),
            TOKENIZER: json.dumps(tokenizer, ensure_ascii=False),
        },
    )


def name_of(name: str) -> str:
    """``blk.3.attn_q.weight`` as transformers names it; a KeyError where there is none."""
    parts = name.split(".")
    if parts[0] == "blk":
        return f"layers.{parts[1]}.{_LAYER[parts[2]]}.{parts[3]}"
    return f"{_WHOLE[parts[0]]}.{parts[1]}"


def unpaired(values: Array, heads: int) -> Array:
    """Undo GGUF's order of the rows of queries and keys.

    For rotary positions GGUF puts a head's rows i and i + half next to each other; transformers
    keeps the two halves apart.
    """
    half = values.shape[0] // heads // 2
    out: Array = values.reshape(heads, half, 2, -1).swapaxes(1, 2).reshape(values.shape)
    return out


def byte_tokenizer(facts: Mapping[str, Any]) -> dict[str, object]:
    """A ``tokenizer.json`` for byte-level BPE with single digits, as SmolLM's (``pre: smollm``)."""
    if (facts["tokenizer.ggml.model"], facts["tokenizer.ggml.pre"]) != ("gpt2", "smollm"):
        raise ValueError(f"a tokenizer of kind {facts['tokenizer.ggml.pre']}")
    tokens, kinds = facts["tokenizer.ggml.tokens"], facts["tokenizer.ggml.token_type"]
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": number, "content": token, "special": True, **plain}
            for number, (token, kind) in enumerate(zip(tokens, kinds, strict=True))
            if kind == _CONTROL
        ],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Digits", "individual_digits": True},
                {
                    "type": "ByteLevel",
                    "add_prefix_space": False,
                    "trim_offsets": True,
                    "use_regex": True,
                },
            ],
        },
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "BPE",
            "vocab": {token: number for number, token in enumerate(tokens)},
            "merges": list(facts["tokenizer.ggml.merges"]),
        },
    }


def _config(facts: Mapping[str, Any], tokens: int) -> dict[str, object]:
    return {
        "model_type": "llama",
        "vocab_size": tokens,
        "hidden_size": int(facts["llama.embedding_length"]),
        "intermediate_size": int(facts["llama.feed_forward_length"]),
        "num_hidden_layers": int(facts["llama.block_count"]),
        "num_attention_heads": int(facts["llama.attention.head_count"]),
        "num_key_value_heads": int(facts["llama.attention.head_count_kv"]),
        "max_position_embeddings": int(facts["llama.context_length"]),
        # Written with few digits: the file holds a float32.
        "rms_norm_eps": float(f"{facts['llama.attention.layer_norm_rms_epsilon']:.6g}"),
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": float(facts["llama.rope.freq_base"]),
        },
    }
