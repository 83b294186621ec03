"""The smallest Llama checkpoint, written by hand: for tests of everything that can be wrong with one."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genworkers.codecs.safetensors_file import specs_of, write_safetensors
from tests.genworkers.tiny_decoder import tiny_codec

WIDTH, LAYERS, VOCAB = 8, 2, 400
CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": WIDTH,
    "intermediate_size": 12,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "vocab_size": VOCAB,
    "tie_word_embeddings": True,
}


def tensors() -> dict[str, Tensor]:
    """Random weights that fit `CONFIG`, by their published names."""
    torch.manual_seed(0)
    made = {"model.embed_tokens.weight": torch.randn(VOCAB, WIDTH), "model.norm.weight": torch.ones(WIDTH)}
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}"
        for norm in ("input_layernorm", "post_attention_layernorm"):
            made[f"{prefix}.{norm}.weight"] = torch.ones(WIDTH)
        for name, rows in (("q", WIDTH), ("k", WIDTH // 2), ("v", WIDTH // 2), ("o", WIDTH)):
            made[f"{prefix}.self_attn.{name}_proj.weight"] = torch.randn(rows, WIDTH)
        for name in ("gate", "up"):
            made[f"{prefix}.mlp.{name}_proj.weight"] = torch.randn(12, WIDTH)
        made[f"{prefix}.mlp.down_proj.weight"] = torch.randn(WIDTH, 12)
    return made


def write_weights(folder: Path, weights: dict[str, Tensor]) -> None:
    """As the one file of weights."""
    write_safetensors(folder / "model.safetensors", specs_of(weights), weights.items())


def write_json(folder: Path, name: str, content: object) -> None:
    """A JSON file in the folder."""
    (folder / name).write_text(json.dumps(content), encoding="utf-8")


def write_llama(folder: Path) -> Path:
    """The whole checkpoint."""
    folder.mkdir(parents=True)
    write_json(folder, "config.json", CONFIG)
    write_json(folder, "tokenizer_config.json", {"eos_token": "<|end|>"})
    (folder / "tokenizer.json").write_bytes(tiny_codec().to_json())
    write_weights(folder, tensors())
    return folder
