"""The text net: a decoder-only Transformer.

`Decoder.forward` reads whole sequences (training); `Decoder.extend` and `Decoder.step` read on from a
cache (serving).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genworkers.nets.attention import CausalAttention
from genworkers.nets.layers import RMSNorm, SquaredReluMLP, rotary_table


@dataclass(frozen=True, slots=True)
class RopeScaling:
    """Stretches slow rotary frequencies so that a net reads further than it was first trained to (Llama 3.1).

    Args:
        factor: by how much the slowest frequencies are divided.
        low_freq_factor: wavelengths above original_context_tokens / this are divided in full.
        high_freq_factor: wavelengths below original_context_tokens / this stay; in between it is blended.
        original_context_tokens: what the net was first trained on.
    """

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_context_tokens: int


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
    norm: Literal["rms", "layer"] = "rms"
    norm_eps: float = 1e-6
    position: Literal["rope", "learned"] = "rope"
    rope_theta: float = 10_000.0
    rope_scaling: RopeScaling | None = None
    has_qkv_bias: bool = False
    has_out_bias: bool = False
    has_mlp_bias: bool = False
    activation: Literal["relu2", "gelu_tanh", "swiglu"] = "relu2"
    qk_norm: Literal["none", "before_rope", "after_rope_free"] = "before_rope"
    is_tied: bool = True
    has_embed_norm: bool = True
    value_embed_layers: tuple[int, ...] = ()
    logit_cap: float = 15.0

    def __post_init__(self) -> None:
        """Refuse sizes that do not fit together."""
        for name in ("vocab_size", "context_tokens", "width", "num_layers", "num_heads", "num_kv_heads", "mlp_width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.num_heads % self.num_kv_heads:
            raise ValueError(f"num_kv_heads must divide num_heads {self.num_heads}, got {self.num_kv_heads}")


class Block(nn.Module):
    """One layer: attention, then MLP, each on a normalised copy of the residual stream."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(config.width, config.norm_eps)
        self.attention = CausalAttention(
            config.width, config.num_heads, config.num_kv_heads, config.head_width, config.norm_eps
        )
        self.mlp_norm = RMSNorm(config.width, config.norm_eps)
        self.mlp = SquaredReluMLP(config.width, config.mlp_width)

    def forward(self, x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
        """(B, T, D) in, (B, T, D) out."""
        x = x + self.attention(self.attention_norm(x), cosines, sines)
        added: Tensor = self.mlp(self.mlp_norm(x))
        return x + added


@dataclass(frozen=True, slots=True)
class KeyValueCache:
    """Keys and values of the tokens that a decoder has seen, for a fixed number of sequences.

    Args:
        keys: (L, S, num_kv_heads, T, head_width) for S slots.
        values: the same.
    """

    keys: Tensor
    values: Tensor

    @classmethod
    def empty(cls, config: DecoderConfig, num_slots: int, dtype: torch.dtype = torch.float32) -> "KeyValueCache":
        """Room for `num_slots` sequences of full length, allocated at once."""
        shape = (config.num_layers, num_slots, config.num_kv_heads, config.context_tokens, config.head_width)
        return cls(torch.zeros(shape, dtype=dtype), torch.zeros(shape, dtype=dtype))

    @property
    def num_slots(self) -> int:
        """How many sequences fit."""
        return self.keys.shape[1]


class Decoder(nn.Module):
    """Token ids to logits of the next token; the embedding is also the output head.

    Logit cap: Gemma Team 2024, "Gemma 2" (arXiv:2408.00118), section 2.
    """

    cosines: Tensor
    sines: Tensor

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(config.vocab_size, config.width)
        self.embed_norm = RMSNorm(config.width, config.norm_eps)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.final_norm = RMSNorm(config.width, config.norm_eps)
        cosines, sines = rotary_table(config.context_tokens, config.head_width, config.rope_theta)
        self.register_buffer("cosines", cosines, persistent=False)
        self.register_buffer("sines", sines, persistent=False)

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights, and so of a cache for them."""
        return self.embed.weight.dtype

    def init_weights(self, generator: torch.Generator) -> None:
        """Fill the weights for training: every block starts as the identity (zero output matrices)."""
        nn.init.normal_(self.embed.weight, std=0.02, generator=generator)
        for block in self.blocks:
            assert isinstance(block, Block)
            for matrix in (block.attention.qkv.weight, block.mlp.up.weight):
                nn.init.normal_(matrix, std=matrix.shape[1] ** -0.5, generator=generator)
            nn.init.zeros_(block.attention.out.weight)
            nn.init.zeros_(block.mlp.down.weight)

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
        cosines, sines = self.cosines[:num_tokens], self.sines[:num_tokens]  # (T, head_width/2)
        x = self.embed_norm(self.embed(ids))  # (B, T, D)
        for block in self.blocks:
            x = block(x, cosines, sines)
        normalised: Tensor = self.final_norm(x)
        return normalised

    def extend(self, ids: Tensor, cache: KeyValueCache, slot: int, start: int) -> Tensor:
        """Read several tokens of one sequence into its slot.

        Args:
            ids: (T,) int64, the tokens at positions start..start+T-1.
            cache: holds positions 0..start-1 of the slot already; gets the new ones.
            slot: which sequence.
            start: how many tokens the slot holds.

        Returns:
            (V,) logits of the token after the last one.
        """
        end = start + ids.shape[0]
        if end > self.config.context_tokens:
            raise ValueError(f"at most {self.config.context_tokens} tokens fit, got {end}")
        cosines, sines = self.cosines[start:end], self.sines[start:end]  # (T, head_width/2)
        may_see = torch.ones(end - start, end, dtype=torch.bool).tril(start) if start else None
        x = self.embed_norm(self.embed(ids[None]))  # (1, T, D)
        for layer, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            queries, keys, values = block.attention.project(block.attention_norm(x), cosines, sines)
            cache.keys[layer, slot, :, start:end] = keys[0]
            cache.values[layer, slot, :, start:end] = values[0]
            attended = block.attention.attend(
                queries, cache.keys[layer, slot, None, :, :end], cache.values[layer, slot, None, :, :end], may_see
            )
            x = x + block.attention.finish(attended)
            x = x + block.mlp(block.mlp_norm(x))
        return self.head(self.final_norm(x[0, -1:]))[0]

    def step(self, ids: Tensor, cache: KeyValueCache, slots: Sequence[int], positions: Sequence[int]) -> Tensor:
        """Read one token of each of several sequences.

        Every product runs over all slots, whoever is there, and attention over one sequence at a
        time, so that the numbers of a sequence never depend on its company.

        Args:
            ids: (B,) int64.
            cache: holds positions 0..positions[b]-1 of slot slots[b]; gets the new ones.
            slots: B different slots.
            positions: B positions, each below `config.context_tokens`.

        Returns:
            (B, V) logits of the token after each.
        """
        where, at = torch.tensor(slots), torch.tensor(positions)  # (B,)
        all_ids = torch.zeros(cache.num_slots, dtype=torch.long).index_copy(0, where, ids)  # (S,)
        all_positions = torch.zeros(cache.num_slots, dtype=torch.long).index_copy(0, where, at)  # (S,)
        cosines, sines = self.cosines[all_positions, None, None], self.sines[all_positions, None, None]
        x = self.embed_norm(self.embed(all_ids[:, None]))  # (S, 1, D)
        for layer, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            queries, keys, values = block.attention.project(block.attention_norm(x), cosines, sines)
            own_keys, own_values = cache.keys[layer], cache.values[layer]  # (S, num_kv_heads, T, head_width)
            own_keys[where, :, at] = keys[where, :, 0]
            own_values[where, :, at] = values[where, :, 0]
            attended = torch.zeros_like(queries)  # (S, num_heads, 1, head_width)
            for slot, position in zip(slots, positions, strict=True):
                row, seen = slice(slot, slot + 1), slice(position + 1)
                attended[row] = block.attention.attend(queries[row], own_keys[row, :, seen], own_values[row, :, seen])
            x = x + block.attention.finish(attended)
            x = x + block.mlp(block.mlp_norm(x))
        return self.head(self.final_norm(x[:, 0]))[where]

    def head(self, hidden: Tensor) -> Tensor:
        """(..., D) normalised residual stream to (..., V) logits."""
        logits = F.linear(hidden, self.embed.weight)
        cap = self.config.logit_cap
        return logits if cap == 0 else cap * torch.tanh(logits / cap)
