"""A decoder's pass over packed rows: every document starts at position 0 and sees itself alone."""

import torch
from torch import Tensor
from torch.nn import functional as F

from genworkers.nets.decoder import Block, Decoder


def document_mask(documents: Tensor) -> Tensor:
    """Which token may see which: itself and what came before in its own document.

    Args:
        documents: (B, T) which document each token belongs to.

    Returns:
        (B, 1, T, T) bool, block-diagonal and causal.
    """
    num_tokens = documents.shape[1]
    is_past = torch.ones(num_tokens, num_tokens, dtype=torch.bool, device=documents.device).tril()
    return ((documents[:, :, None] == documents[:, None, :]) & is_past)[:, None]


def packed_hidden(net: Decoder, ids: Tensor, documents: Tensor, positions: Tensor) -> Tensor:
    """What `Decoder.hidden` gives for each document alone.

    Args:
        ids: (B, T).
        documents: (B, T) which document of its row each token belongs to.
        positions: (B, T) its place in that document.

    Returns:
        (B, T, D), the normalised last residual stream.
    """
    may_see = document_mask(documents)
    angles = net.angles(positions[:, None])  # (B, 1, T, head_width/2)
    x = net.embedded(ids, positions)  # (B, T, D)
    for block in net.blocks:
        assert isinstance(block, Block)
        attention = block.attention
        queries, keys, values = attention.project(block.attention_norm(x), angles, ids)
        attended = F.scaled_dot_product_attention(
            queries,
            keys,
            values,
            attn_mask=may_see,
            enable_gqa=attention.num_kv_heads != attention.num_heads,
        )
        x = x + attention.finish(attended)
        x = x + block.mlp(block.mlp_norm(x))
    hidden: Tensor = net.final_norm(x)
    return hidden
