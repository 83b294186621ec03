"""Reads the config.json of the four families that the decoder can be: GPT-2, Llama, Qwen2 and Qwen3.

Keys of transformers 4 and 5 are both understood. Nothing is guessed: what the decoder cannot do is refused by name.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genworkers.checkpoints import CheckpointError
from genworkers.importing.recipes import Recipe, gpt2_recipes, llama_recipes
from genworkers.importing.source_folder import SourceFolder
from genworkers.nets.decoder import DecoderConfig
from genworkers.nets.layers import RopeScaling

CONFIG = "config.json"
# Far above any published net; a config beyond is a mistake or an attack.
MAX_LAYERS = 1_000
MAX_WIDTH = 1_000_000
MAX_VOCAB = 10_000_000
MAX_POSITIONS = 100_000_000


class ConfigReader:
    """Typed access to the keys of one config.json; every mistake names the file and the key."""

    def __init__(self, path: Path, values: dict[str, Any]) -> None:
        self.path = path
        self.values = values

    def error(self, reason: str) -> CheckpointError:
        """To be raised by whoever finds something wrong."""
        return CheckpointError(self.path, reason)

    def integer(self, *keys: str, high: int, default: int | None = None) -> int:
        """The first of the keys that is there: a whole number 1..high."""
        for key in keys:
            value = self.values.get(key)
            if value is None:
                continue
            if type(value) is not int or not 1 <= value <= high:
                raise self.error(f"{key} must be a whole number 1..{high}, got {str(value)[:50]!r}")
            return value
        if default is None:
            raise self.error(f"lacks the key {keys[0]!r}")
        return default

    def number(self, key: str, default: float | None = None) -> float:
        """A number above 0."""
        value = self.values.get(key, default)
        if value is None:
            raise self.error(f"lacks the key {key!r}")
        if type(value) not in (int, float) or not 0 < value < math.inf:
            raise self.error(f"{key} must be a number above 0, got {str(value)[:50]!r}")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self.values.get(key)
        if value is not None and not isinstance(value, bool):
            raise self.error(f"{key} must be true or false, got {str(value)[:50]!r}")
        return default if value is None else value

    def require(self, key: str, *allowed: Any) -> None:
        """Refuse a key with a value that the decoder has no code for; a missing key passes."""
        value = self.values.get(key)
        if value is not None and value not in allowed:
            raise self.error(f"{key} is {str(value)[:100]!r}; supported: {', '.join(map(repr, allowed))}")


@dataclass(frozen=True, slots=True)
class Family:
    """One architecture as the decoder sees it.

    Args:
        title: how people call it.
        read: from its config.json to ours.
        recipes: from our config to where each of our tensors comes from.
        prefix: that its tensor names may or may not have.
        ignored: patterns of tensors that hold no weights.
    """

    title: str
    read: Callable[[ConfigReader], DecoderConfig]
    recipes: Callable[[DecoderConfig], dict[str, Recipe]]
    prefix: str = ""
    ignored: tuple[str, ...] = (r".*\.rotary_emb\.inv_freq", r"lm_head\.weight")


def _gpt2(reader: ConfigReader) -> DecoderConfig:
    reader.require("activation_function", "gelu_new", "gelu_pytorch_tanh")
    reader.require("scale_attn_weights", True)
    reader.require("scale_attn_by_inverse_layer_idx", False)
    reader.require("add_cross_attention", False)
    width = reader.integer("n_embd", high=MAX_WIDTH)
    num_heads = reader.integer("n_head", high=MAX_WIDTH)
    if width % num_heads:
        raise reader.error(f"n_head must divide n_embd {width}, got {num_heads}")
    return DecoderConfig(
        vocab_size=reader.integer("vocab_size", high=MAX_VOCAB),
        context_tokens=reader.integer("n_positions", "n_ctx", high=MAX_POSITIONS),
        width=width,
        num_layers=reader.integer("n_layer", high=MAX_LAYERS),
        num_heads=num_heads,
        num_kv_heads=num_heads,
        head_width=width // num_heads,
        mlp_width=reader.integer("n_inner", high=MAX_WIDTH, default=4 * width),
        norm="layer",
        norm_eps=reader.number("layer_norm_epsilon", 1e-5),
        position="learned",
        has_qkv_bias=True,
        has_out_bias=True,
        has_mlp_bias=True,
        activation="gelu_tanh",
        qk_norm="none",
        is_tied=reader.flag("tie_word_embeddings", True),
        has_embed_norm=False,
        logit_cap=0.0,
    )


def _llama(reader: ConfigReader) -> DecoderConfig:
    has_bias = reader.flag("attention_bias", False)
    return _llama_like(
        reader, has_qkv_bias=has_bias, has_out_bias=has_bias, has_mlp_bias=reader.flag("mlp_bias", False)
    )


def _qwen2(reader: ConfigReader) -> DecoderConfig:
    return _llama_like(reader, has_qkv_bias=True)


def _qwen3(reader: ConfigReader) -> DecoderConfig:
    has_bias = reader.flag("attention_bias", False)
    return _llama_like(
        reader, has_qkv_bias=has_bias, has_out_bias=has_bias, qk_norm="before_rope", default_head_width=128
    )


def _llama_like(reader: ConfigReader, *, default_head_width: int | None = None, **kinds: Any) -> DecoderConfig:
    reader.require("hidden_act", "silu")
    reader.require("use_sliding_window", False)
    layer_types = reader.values.get("layer_types") or []
    if not isinstance(layer_types, list) or any(kind != "full_attention" for kind in layer_types):
        raise reader.error(f"layer_types holds {str(layer_types)[:100]}; supported: 'full_attention' (no window)")
    width = reader.integer("hidden_size", high=MAX_WIDTH)
    num_heads = reader.integer("num_attention_heads", high=MAX_WIDTH)
    theta, scaling = _rope(reader)
    return DecoderConfig(
        vocab_size=reader.integer("vocab_size", high=MAX_VOCAB),
        context_tokens=reader.integer("max_position_embeddings", high=MAX_POSITIONS),
        width=width,
        num_layers=reader.integer("num_hidden_layers", high=MAX_LAYERS),
        num_heads=num_heads,
        num_kv_heads=reader.integer("num_key_value_heads", high=MAX_WIDTH, default=num_heads),
        head_width=reader.integer("head_dim", high=MAX_WIDTH, default=default_head_width or max(1, width // num_heads)),
        mlp_width=reader.integer("intermediate_size", high=MAX_WIDTH),
        norm_eps=reader.number("rms_norm_eps"),
        rope_theta=theta,
        rope_scaling=scaling,
        activation="swiglu",
        is_tied=reader.flag("tie_word_embeddings", False),
        has_embed_norm=False,
        logit_cap=0.0,
        **({"qk_norm": "none"} | kinds),
    )


def _rope(reader: ConfigReader) -> tuple[float, RopeScaling | None]:
    """Base and scaling of the rotary positions, from `rope_parameters` or from `rope_theta` and `rope_scaling`."""
    found: dict[str, Any] = {"rope_theta": reader.values.get("rope_theta")}
    for key in ("rope_scaling", "rope_parameters"):
        value = reader.values.get(key) or {}
        if not isinstance(value, dict) or any(isinstance(one, dict) for one in value.values()):
            raise reader.error(f"{key} must be a flat object, got {str(value)[:100]}")
        found |= value
    rope = ConfigReader(reader.path, {key: value for key, value in found.items() if value is not None})
    theta = rope.number("rope_theta", 10_000.0)
    for one in (reader, rope):
        one.require("partial_rotary_factor", 1, 1.0)
    kind = rope.values.get("rope_type", rope.values.get("type", "default"))
    if kind == "default":
        return theta, None
    if kind != "llama3":
        raise reader.error(f"its rope type is {str(kind)[:50]!r}; supported: 'default', 'llama3'")
    scaling = RopeScaling(
        factor=rope.number("factor"),
        low_freq_factor=rope.number("low_freq_factor"),
        high_freq_factor=rope.number("high_freq_factor"),
        original_context_tokens=rope.integer("original_max_position_embeddings", high=MAX_POSITIONS),
    )
    return theta, scaling


FAMILIES = {
    "GPT2LMHeadModel": Family(
        "GPT-2",
        _gpt2,
        gpt2_recipes,
        prefix="transformer.",
        ignored=(r"h\.\d+\.attn\.(masked_)?bias", r"lm_head\.weight"),
    ),
    "LlamaForCausalLM": Family("Llama", _llama, llama_recipes),
    "Qwen2ForCausalLM": Family("Qwen2", _qwen2, llama_recipes),
    "Qwen3ForCausalLM": Family("Qwen3", _qwen3, llama_recipes),
}
SUPPORTED = ", ".join(f"{name} ({family.title})" for name, family in FAMILIES.items())


def read_config(source: SourceFolder) -> tuple[str, DecoderConfig]:
    """The architecture's name (a key of `FAMILIES`) and what it is as a decoder.

    Raises:
        CheckpointError: the file is missing or broken, lacks a key, or describes what the decoder cannot be.
    """
    values = source.json(CONFIG)
    if values is None:
        raise CheckpointError(source.path / CONFIG, "missing; it says what the net is")
    reader = ConfigReader(source.path / CONFIG, values)
    named = values.get("architectures")
    if not isinstance(named, list) or len(named) != 1 or named[0] not in FAMILIES:
        raise reader.error(f"architectures is {str(named)[:100]}; supported: {SUPPORTED}")
    if values.get("auto_map"):
        raise reader.error("auto_map asks for code of its own, which is never run; only plain architectures are read")
    if values.get("quantization_config"):
        raise reader.error("quantization_config: the weights are quantised; supported: float32, float16, bfloat16")
    try:
        return str(named[0]), FAMILIES[named[0]].read(reader)
    except CheckpointError:
        raise
    except ValueError as error:
        raise reader.error(str(error)) from error
