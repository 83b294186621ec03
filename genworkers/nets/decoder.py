"""The text net: a decoder-only Transformer, the house's own and, with other flags, GPT-2, Llama, Qwen2 and Qwen3.

`Decoder` reads whole sequences: for training, and as the reference. How it is served is said in `paged_decoder.py`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genworkers.nets.attention import Angles, CausalAttention
from genworkers.nets.layers import MLP, RopeScaling, norm_layer, rotary_table

Norm = Literal["rms", "layer"]
Position = Literal["rope", "learned"]
Activation = Literal["relu2", "gelu_tanh", "swiglu"]
QKNorm = Literal["none", "before_rope", "after_rope_free"]


@dataclass(frozen=True, slots=True)
class DecoderConfig:
    """Sizes and kinds of a decoder. The defaults are the house net's; the other families set their own.

    Args:
        mlp_width: of the hidden layer; of each half when it is gated.
        norm: "rms" has a scale, "layer" a scale and a bias.
        position: "rope" rotates queries and keys, "learned" adds a row of a table to the embedding.
        activation: "relu2" and "gelu_tanh" are `down(act(up(x)))`, "swiglu" is `down(silu(gate(x)) * up(x))`.
        qk_norm: "before_rope" is an RMSNorm with a learned scale on every head's queries and keys, before they are
            rotated; "after_rope_free" one without a scale, after.
        is_tied: the embedding is also the output head.
        has_embed_norm: the embedding is normalised before the first block.
        value_embed_layers: blocks that add an embedding of the token, times a learned number, to their values.
        logit_cap: logits are squeezed into +-cap by `cap * tanh(x / cap)`; 0 leaves them alone.
    """

    vocab_size: int
    context_tokens: int
    width: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_width: int
    mlp_width: int
    norm: Norm = "rms"
    norm_eps: float = 1e-6
    position: Position = "rope"
    rope_theta: float = 10_000.0
    rope_scaling: RopeScaling | None = None
    has_qkv_bias: bool = False
    has_out_bias: bool = False
    has_mlp_bias: bool = False
    activation: Activation = "relu2"
    qk_norm: QKNorm = "before_rope"
    is_tied: bool = True
    has_embed_norm: bool = True
    value_embed_layers: tuple[int, ...] = ()
    logit_cap: float = 15.0

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> "DecoderConfig":
        """Of what `dataclasses.asdict` made, also after a detour through JSON.

        Raises:
            ValueError: a key is missing or unknown, or a value is not allowed.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(config.keys() - known):
            raise ValueError(f"unknown keys {unknown}; known are {sorted(known)}")
        values = dict(config)
        scaling = values.get("rope_scaling")
        try:
            if scaling is not None and not isinstance(scaling, RopeScaling):
                values["rope_scaling"] = RopeScaling(**scaling)
            values["value_embed_layers"] = tuple(values.get("value_embed_layers", ()))
            return cls(**values)
        except TypeError as error:
            raise ValueError(str(error)) from error

    def __post_init__(self) -> None:
        """Refuse sizes that do not fit together and kinds that do not exist."""
        for name in (
            "vocab_size",
            "context_tokens",
            "width",
            "num_layers",
            "num_heads",
            "num_kv_heads",
            "head_width",
            "mlp_width",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.num_heads % self.num_kv_heads:
            raise ValueError(f"num_kv_heads must divide num_heads {self.num_heads}, got {self.num_kv_heads}")
        for name, kinds in (("norm", Norm), ("position", Position), ("activation", Activation), ("qk_norm", QKNorm)):
            if getattr(self, name) not in get_args(kinds):
                raise ValueError(f"{name} must be one of {get_args(kinds)}, got {getattr(self, name)!r}")
        if self.position == "rope" and self.head_width % 2:
            raise ValueError(f"head_width must be even, got {self.head_width}")
        for name in ("norm_eps", "rope_theta"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if not 0 <= self.logit_cap < math.inf:
            raise ValueError(f"logit_cap must be at least 0, got {self.logit_cap}")
        if any(not 0 <= layer < self.num_layers for layer in self.value_embed_layers):
            raise ValueError(f"value_embed_layers must be 0..{self.num_layers - 1}, got {self.value_embed_layers}")


class Block(nn.Module):
    """One layer: attention, then MLP, each on a normalised copy of the residual stream."""

    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        self.attention_norm = norm_layer(config.norm, config.width, config.norm_eps)
        self.attention = CausalAttention(
            config.width,
            config.num_heads,
            config.num_kv_heads,
            config.head_width,
            config.norm_eps,
            qk_norm=config.qk_norm,
            has_qkv_bias=config.has_qkv_bias,
            has_out_bias=config.has_out_bias,
            value_embed_size=config.vocab_size if layer in config.value_embed_layers else 0,
        )
        self.mlp_norm = norm_layer(config.norm, config.width, config.norm_eps)
        self.mlp = MLP(config.width, config.mlp_width, config.activation, has_bias=config.has_mlp_bias)

    def forward(self, x: Tensor, angles: Angles | None, ids: Tensor) -> Tensor:
        """(B, T, D) and the ids (B, T) in, (B, T, D) out."""
        x = x + self.attention(self.attention_norm(x), angles, ids)
        added: Tensor = self.mlp(self.mlp_norm(x))
        return x + added


class Decoder(nn.Module):
    """Token ids to logits of the next token.

    Logit cap: Gemma Team 2024, "Gemma 2" (arXiv:2408.00118), section 2.
    """

    cosines: Tensor
    sines: Tensor

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(config.vocab_size, config.width)
        if config.position == "learned":
            self.position = nn.Embedding(config.context_tokens, config.width)
        self.fill_tables()
        if config.has_embed_norm:
            self.embed_norm = norm_layer(config.norm, config.width, config.norm_eps)
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.num_layers))
        self.final_norm = norm_layer(config.norm, config.width, config.norm_eps)
        if not config.is_tied:
            self.unembed = nn.Linear(config.width, config.vocab_size, bias=False)

    def fill_tables(self) -> None:
        """Compute the rotary tables; to be called again by who made the net on the meta device."""
        config = self.config
        if config.position == "rope":
            cosines, sines = rotary_table(
                config.context_tokens, config.head_width, config.rope_theta, config.rope_scaling
            )
            self.register_buffer("cosines", cosines, persistent=False)
            self.register_buffer("sines", sines, persistent=False)

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights, and so of a cache for them."""
        return self.embed.weight.dtype

    def init_weights(self, generator: torch.Generator) -> None:
        """Fill the weights for training: every block starts as the identity (zero output matrices)."""
        nn.init.normal_(self.embed.weight, std=0.02, generator=generator)
        if self.config.position == "learned":
            nn.init.normal_(self.position.weight, std=0.02, generator=generator)
        if not self.config.is_tied:
            nn.init.normal_(self.unembed.weight, std=0.02, generator=generator)
        for block in self.blocks:
            assert isinstance(block, Block)
            for matrix in (block.attention.qkv.weight, block.mlp.first.weight):
                nn.init.normal_(matrix, std=matrix.shape[1] ** -0.5, generator=generator)
            nn.init.zeros_(block.attention.out.weight)
            nn.init.zeros_(block.mlp.down.weight)
            if block.attention.has_value_embed:
                nn.init.normal_(block.attention.value_embed.weight, std=self.config.width**-0.5, generator=generator)
            for linear in (block.attention.qkv, block.attention.out, block.mlp.first, block.mlp.down):
                if linear.bias is not None:
                    nn.init.zeros_(linear.bias)

    def embedded(self, ids: Tensor, positions: Tensor) -> Tensor:
        """What the first block reads: (B, T) ids at positions, broadcastable to (B, T), to (B, T, D)."""
        x: Tensor = self.embed(ids)
        if self.config.position == "learned":
            x = x + self.position(positions)
        if self.config.has_embed_norm:
            x = self.embed_norm(x)
        return x

    def angles(self, positions: Tensor) -> Angles | None:
        """Cosines and sines (..., head_width/2) at the positions (...); None where positions are learned."""
        return (self.cosines[positions], self.sines[positions]) if self.config.position == "rope" else None

    def forward(self, ids: Tensor) -> Tensor:
        """Logits after every position.

        Args:
            ids: (B, T) int64, T at most `config.context_tokens`; every row starts at position 0.

        Returns:
            (B, T, V) float.
        """
        return self.head(self.hidden(ids))

    def hidden(self, ids: Tensor) -> Tensor:
        """(B, T) ids to the normalised last residual stream (B, T, D), before the head."""
        num_tokens = ids.shape[1]
        if num_tokens > self.config.context_tokens:
            raise ValueError(f"at most {self.config.context_tokens} tokens fit, got {num_tokens}")
        positions = torch.arange(num_tokens, device=ids.device)  # (T,)
        x = self.embedded(ids, positions)  # (B, T, D)
        angles = self.angles(positions)
        for block in self.blocks:
            x = block(x, angles, ids)
        normalised: Tensor = self.final_norm(x)
        return normalised

    def head(self, hidden: Tensor) -> Tensor:
        """(..., D) normalised residual stream to (..., V) logits."""
        logits: Tensor = F.linear(hidden, self.embed.weight) if self.config.is_tied else self.unembed(hidden)
        cap = self.config.logit_cap
        return logits if cap == 0 else cap * torch.tanh(logits / cap)
