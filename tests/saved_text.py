"""Tiny text models with random weights, saved to disk as transformers saves real ones."""

from __future__ import annotations

from pathlib import Path

__all__ = ["KINDS", "save", "word_tokenizer"]

WORDS = [
    "the",
    "a",
    "this",
    "that",
    "is",
    "was",
    "not",
    "very",
    "good",
    "bad",
    "movie",
    "film",
    "food",
    "place",
    "what",
    "who",
    "when",
    "where",
    "?",
]
KINDS = ("bert", "gpt2", "distilbert", "roberta", "llama")


def word_tokenizer(*, special: bool = True):
    """A lower-casing word tokenizer, with BERT's special tokens or GPT's lack of them."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = {word: number for number, word in enumerate([*marks, *WORDS])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    if special:
        made.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    return made


def save(folder: Path, kind: str = "bert", seed: int = 0) -> Path:
    """Save a model of two layers, 16 features wide, and its tokenizer; return the folder."""
    import torch
    from transformers import AutoConfig, AutoModel

    common = {"vocab_size": 4 + len(WORDS), "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
    sizes = {
        "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32},
        "distilbert": {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32},
    }
    usual = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 34,
    }
    torch.manual_seed(seed)
    config = AutoConfig.for_model(kind, **common, **sizes.get(kind, usual))
    AutoModel.from_config(config).save_pretrained(folder)
    word_tokenizer(special=kind not in ("gpt2", "llama")).save(str(folder / "tokenizer.json"))
    return folder
