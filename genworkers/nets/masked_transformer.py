"""The picture generator: a Transformer that guesses hidden codes of a picture from the visible ones and a caption.

It reads one row of tokens: caption states, one token for style and whole sentence, then the picture's codes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class MosaicConfig:
    """Shape of a masked Transformer. `num_styles` tables, `num_codes` vocabulary without the mask."""

    num_codes: int
    num_styles: int = 1
    num_tiles: int = 64
    caption_tokens: int = 24
    caption_width: int = 384
    width: int = 256
    num_layers: int = 6
    num_heads: int = 4


@dataclass(frozen=True)
class Captions:
    """A batch of encoded captions.

    Attributes:
        states: (B, T, caption_width) float, zero at padding; T = caption_tokens.
        is_token: (B, T) bool; a row without any token is the empty caption of guidance.
        sentence: (B, caption_width) float; ignored where a row has no token.
        style: (B) int64; or (B, num_styles) float weights that sum to 1, which mix styles.
    """

    states: Tensor
    is_token: Tensor
    sentence: Tensor
    style: Tensor


class MosaicLayer(nn.Module):
    """Pre-normalised attention over all tokens, then an MLP."""

    def __init__(self, config: MosaicConfig) -> None:
        super().__init__()
        width = config.width
        self.num_heads = config.num_heads
        self.attention_norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.mlp_norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) to the same shape."""
        return self.attend(x)[0]

    def attend(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """As `forward`, with the attention weights (B, H, T, T) of who read whom."""
        batch, length, width = x.shape
        qkv = self.qkv(self.attention_norm(x)).view(batch, length, 3, self.num_heads, width // self.num_heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each (B, H, T, D/H)
        # Plain matrix products: over 89 tokens the fused kernel's backward pass costs more than all else on a CPU.
        weights = (query @ key.transpose(2, 3) * key.shape[-1] ** -0.5).softmax(-1)
        x = x + self.out((weights.to(value.dtype) @ value).transpose(1, 2).reshape(batch, length, width))
        update: Tensor = self.down(F.gelu(self.up(self.mlp_norm(x))))
        return x + update, weights


class MaskedTransformer(nn.Module):
    """Bidirectional Transformer over caption, style and codes.

    Chang et al. 2022, "MaskGIT" (arXiv:2202.04200), section 3.1. Differs from the paper: text in context in place of a
    class token, states of a frozen text encoder as input.
    """

    def __init__(self, config: MosaicConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.codes = nn.Embedding(config.num_codes + 1, width)  # the last one is the mask
        self.tile_positions = nn.Parameter(torch.zeros(config.num_tiles, width))
        self.caption_positions = nn.Parameter(torch.zeros(config.caption_tokens, width))
        self.no_token = nn.Parameter(torch.zeros(width))
        self.no_sentence = nn.Parameter(torch.zeros(width))
        self.styles = nn.Embedding(config.num_styles, width)
        self.caption_in = nn.Linear(config.caption_width, width)
        self.sentence_in = nn.Linear(config.caption_width, width)
        self.layers = nn.ModuleList(MosaicLayer(config) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, config.num_codes)
        for parameter in (self.tile_positions, self.caption_positions, self.no_token, self.no_sentence):
            nn.init.normal_(parameter, std=0.02)
        for table in (self.codes, self.styles):
            nn.init.normal_(table.weight, std=0.02)
        nn.init.zeros_(self.head.weight)
        for layer in self.layers:
            nn.init.zeros_(layer.get_submodule("out").weight)  # type: ignore[arg-type]
            nn.init.zeros_(layer.get_submodule("down").weight)  # type: ignore[arg-type]

    @property
    def mask_code(self) -> int:
        """The code that stands for "undecided"."""
        return self.config.num_codes

    def forward(self, codes: Tensor, captions: Captions) -> Tensor:
        """Logits of every tile.

        Args:
            codes: (B, N) int64, `mask_code` where undecided.
            captions: B of them.

        Returns:
            (B, N, K) logits.
        """
        return self._guess(self._think(codes, captions))

    def logits_at(self, codes: Tensor, captions: Captions, is_asked: Tensor) -> Tensor:
        """As `forward`, but (M, K) logits of the M tiles where `is_asked` (B, N): training needs no others."""
        tiles = self._think(codes, captions)[:, -self.config.num_tiles :]
        logits: Tensor = self.head(self.norm(tiles[is_asked]))
        return logits

    def explain(self, codes: Tensor, captions: Captions) -> tuple[Tensor, Tensor]:
        """As `forward`, with how much each tile reads each caption token.

        Returns:
            (B, N, K) logits and (B, N, caption_tokens) float32 attention, the mean over layers and heads.
        """
        x = self._read(codes, captions)
        tiles, words = slice(-self.config.num_tiles, None), slice(self.config.caption_tokens)
        heed = torch.zeros(len(codes), self.config.num_tiles, self.config.caption_tokens, device=x.device)
        for layer in cast(Iterable[MosaicLayer], self.layers):
            x, weights = layer.attend(x)
            heed += weights[:, :, tiles, words].float().mean(1)
        return self._guess(x), heed / len(self.layers)

    def _think(self, codes: Tensor, captions: Captions) -> Tensor:
        x = self._read(codes, captions)
        for layer in self.layers:
            x = layer(x)
        return x

    def _read(self, codes: Tensor, captions: Captions) -> Tensor:
        is_token = captions.is_token[..., None]
        words = torch.where(is_token, self.caption_in(captions.states), self.no_token) + self.caption_positions
        is_captioned = captions.is_token.any(1, keepdim=True)
        sentence = torch.where(is_captioned, self.sentence_in(captions.sentence), self.no_sentence)
        style = captions.style
        mixed = style.to(sentence.dtype) @ self.styles.weight if style.is_floating_point() else self.styles(style)
        whole = (sentence + mixed)[:, None]
        tiles = self.codes(codes) + self.tile_positions
        return torch.cat([words, whole, tiles], dim=1)  # (B, caption_tokens + 1 + N, D)

    def _guess(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.norm(x[:, -self.config.num_tiles :]))
        return logits


def pack_captions(states: list[Tensor], style: list[int], caption_tokens: int) -> Captions:
    """Pad states of several texts to one batch.

    Args:
        states: one (T_i, caption_width) tensor a text; a tensor without rows is the empty caption. What is longer than
            `caption_tokens` is cut; the sentence is the mean of all states.
        style: one number a text.
    """
    width = states[0].shape[1]
    padded = states[0].new_zeros(len(states), caption_tokens, width)
    is_token = torch.zeros(len(states), caption_tokens, dtype=torch.bool, device=padded.device)
    sentence = states[0].new_zeros(len(states), width)
    for row, own in enumerate(states):
        kept = own[:caption_tokens]
        padded[row, : len(kept)] = kept
        is_token[row, : len(kept)] = True
        if len(own):
            sentence[row] = own.mean(0)
    return Captions(padded, is_token, sentence, torch.tensor(style, device=padded.device))
