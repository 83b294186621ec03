"""Causal self-attention with grouped heads, rotary or no positions, and optional query and key norms.

`forward` reads whole sequences; who keeps a cache calls `project`, `attend` and `finish` itself.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genworkers.nets.layers import RMSNorm, rotate

Angles = tuple[Tensor, Tensor]


class CausalAttention(nn.Module):
    """Multi-head attention where a token sees itself and what came before.

    Grouped heads: Ainslie et al. 2023, "GQA: Training Generalized Multi-Query Transformer Models"
    (arXiv:2305.13245), section 2.2. Normalised queries and keys: Dehghani et al. 2023, "Scaling
    Vision Transformers to 22 Billion Parameters" (arXiv:2302.05442), section 2.
    Differs from the papers: RMSNorm instead of LayerNorm on queries and keys.

    Args:
        width: of the residual stream.
        num_heads: query heads.
        num_kv_heads: key and value heads; divides num_heads.
        head_width: of one head.
        norm_eps: of the query and key norms.
        qk_norm: as in `DecoderConfig`.
        value_embed_size: rows of the table of token embeddings that are added to the values; 0 for no table.
    """

    def __init__(
        self,
        width: int,
        num_heads: int,
        num_kv_heads: int,
        head_width: int,
        norm_eps: float,
        *,
        qk_norm: Literal["none", "before_rope", "after_rope_free"] = "before_rope",
        has_qkv_bias: bool = False,
        has_out_bias: bool = False,
        value_embed_size: int = 0,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.num_kv_heads = num_kv_heads
        self.head_width = head_width
        self.norm_eps = norm_eps
        self.qk_norm = qk_norm
        self.has_value_embed = value_embed_size > 0
        self.qkv = nn.Linear(width, (num_heads + 2 * num_kv_heads) * head_width, bias=has_qkv_bias)
        self.out = nn.Linear(num_heads * head_width, width, bias=has_out_bias)
        if qk_norm == "before_rope":
            self.query_norm = RMSNorm(head_width, norm_eps)
            self.key_norm = RMSNorm(head_width, norm_eps)
        if self.has_value_embed:
            self.value_embed = nn.Embedding(value_embed_size, num_kv_heads * head_width)
            self.value_scale = nn.Parameter(torch.ones(1))

    def project(self, x: Tensor, angles: Angles | None, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, ready for attention.

        Args:
            x: (B, T, width), normalised.
            angles: cosines and sines, both broadcastable to (B, 1, T, head_width/2); None for no rotation.
            ids: (B, T) int64, the tokens; read only where there is a value embedding.

        Returns:
            queries (B, num_heads, T, head_width); keys and values (B, num_kv_heads, T, head_width).
        """
        batch, num_tokens, _ = x.shape
        heads = self.qkv(x).view(batch, num_tokens, -1, self.head_width).transpose(1, 2)
        queries, keys, values = heads.split((self.num_heads, self.num_kv_heads, self.num_kv_heads), dim=1)
        if self.qk_norm == "before_rope":
            queries, keys = self.query_norm(queries), self.key_norm(keys)
        if angles is not None:
            queries, keys = rotate(queries, *angles), rotate(keys, *angles)
        if self.qk_norm == "after_rope_free":
            queries = F.rms_norm(queries, (self.head_width,), eps=self.norm_eps)
            keys = F.rms_norm(keys, (self.head_width,), eps=self.norm_eps)
        if self.has_value_embed:
            embedded = self.value_embed(ids).view(batch, num_tokens, -1, self.head_width).transpose(1, 2)
            values = values + self.value_scale * embedded
        return queries, keys, values

    def finish(self, attended: Tensor) -> Tensor:
        """(B, num_heads, T, head_width) of attended values to (B, T, width)."""
        batch, _, num_tokens, _ = attended.shape
        projected: Tensor = self.out(attended.transpose(1, 2).reshape(batch, num_tokens, -1))
        return projected

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor, may_see: Tensor | None = None) -> Tensor:
        """Mix the values by how well their keys fit.

        Args:
            queries: (B, num_heads, T, head_width), the last T of the N positions.
            keys: (B, num_kv_heads, N, head_width).
            values: the same.
            may_see: (T, N) bool; None where T is 1 or N, whose masks are plain.

        Returns:
            (B, num_heads, T, head_width).
        """
        return F.scaled_dot_product_attention(
            queries,
            keys,
            values,
            attn_mask=may_see,
            is_causal=may_see is None and queries.shape[-2] > 1,
            enable_gqa=self.num_kv_heads != self.num_heads,
        )

    def forward(self, x: Tensor, angles: Angles | None, ids: Tensor) -> Tensor:
        """(B, T, width) normalised in, (B, T, width) out."""
        queries, keys, values = self.project(x, angles, ids)
        return self.finish(self.attend(queries, keys, values))
