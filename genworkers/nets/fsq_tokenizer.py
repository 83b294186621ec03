"""The picture tokenizer: a convolutional autoencoder whose latent is a small grid of discrete codes (FSQ).

A 64 px RGBA picture becomes 8x8 codes; the decoder paints them back at 128 px, a learned 2x.
Pictures here are premultiplied, channels first, 0..1.
"""

from dataclasses import dataclass
from itertools import accumulate
from math import prod
from operator import mul

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class TokenizerConfig:
    """Shape of a tokenizer. `widths` are the channels at 32, 16 and 8 px."""

    levels: tuple[int, ...] = (8, 8, 8, 6)
    widths: tuple[int, int, int] = (64, 128, 192)
    detail_width: int = 32
    image_px: int = 64
    decoded_px: int = 128
    grid: int = 8

    @property
    def num_codes(self) -> int:
        """Size of the vocabulary: the product of the levels."""
        return prod(self.levels)

    @property
    def num_tiles(self) -> int:
        """How many codes one picture has."""
        return self.grid * self.grid


class FiniteScalarQuantiser(nn.Module):
    """Round each of a few latent dimensions to a handful of levels; the code is the mixed-radix number of the digits.

    Mentzer, Minnen, Agustsson, Tschannen 2023, "Finite Scalar Quantization: VQ-VAE Made Simple" (arXiv:2309.15505),
    section 3. Differs from the paper: the bound is 2*sigmoid(1.6 z) - 1 ("iFSQ") and the bins are of equal width, so
    that Gaussian latents use all of them about equally often.
    """

    levels: Tensor
    bases: Tensor

    def __init__(self, levels: tuple[int, ...]) -> None:
        super().__init__()
        if min(levels) < 2:
            raise ValueError(f"every level count must be 2 or more, got {levels}")
        self.num_codes = prod(levels)
        self.register_buffer("levels", torch.tensor(levels), persistent=False)
        self.register_buffer("bases", torch.tensor([1, *accumulate(levels[:-1], mul)]), persistent=False)

    def forward(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Quantise with a straight-through gradient.

        Args:
            latent: (..., D) float, unbounded, D = number of levels.

        Returns:
            The quantised latent (..., D) in -1..1, and the codes (...) as int64.
        """
        bounded = self.bound(latent)
        digits = self._digits(bounded)
        quantised = self._digits_to_values(digits).to(latent.dtype)
        return bounded + (quantised - bounded).detach(), (digits * self.bases).sum(-1)

    def bound(self, latent: Tensor) -> Tensor:
        """Unbounded latents to -1..1, not yet rounded: same shape."""
        return 2.0 * torch.sigmoid(1.6 * latent) - 1.0

    def snap(self, bounded: Tensor) -> Tensor:
        """The quantised latents next to bounded ones: (..., D) in -1..1 to the same shape."""
        return self._digits_to_values(self._digits(bounded)).to(bounded.dtype)

    def codes_to_values(self, codes: Tensor) -> Tensor:
        """Codes (...) int64 in 0..num_codes-1 to quantised latents (..., D)."""
        return self._digits_to_values(codes[..., None] // self.bases % self.levels)

    def _digits(self, bounded: Tensor) -> Tensor:
        digits = ((bounded + 1.0) * 0.5 * self.levels).floor().long()
        return torch.minimum(digits.clamp(min=0), self.levels - 1)

    def _digits_to_values(self, digits: Tensor) -> Tensor:
        return (digits.float() + 0.5) / self.levels * 2.0 - 1.0


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a skip; the second starts at zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(8, width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.norm2 = nn.GroupNorm(8, width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        hidden = self.conv1(F.silu(self.norm1(x)))
        update: Tensor = self.conv2(F.silu(self.norm2(hidden)))
        return x + update


class GridAttention(nn.Module):
    """Self-attention over the whole 8x8 grid, so that far tiles can agree on a colour."""

    def __init__(self, width: int, num_heads: int = 4) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm = nn.GroupNorm(8, width)
        self.qkv = nn.Conv2d(width, 3 * width, 1)
        self.out = nn.Conv2d(width, width, 1)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        batch, width, height, breadth = x.shape
        qkv = self.qkv(self.norm(x)).reshape(batch, 3, self.num_heads, width // self.num_heads, height * breadth)
        query, key, value = qkv.transpose(3, 4).unbind(1)  # each (B, H, N, D/H)
        mixed = F.scaled_dot_product_attention(query, key, value)
        update: Tensor = self.out(mixed.transpose(2, 3).reshape(batch, width, height, breadth))
        return x + update


class FsqTokenizer(nn.Module):
    """Encoder, quantiser and decoder."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        self.config = config
        fine, middle, coarse = config.widths
        num_dims = len(config.levels)
        self.quantiser = FiniteScalarQuantiser(config.levels)
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(16, fine, 3, padding=1),
            ResidualBlock(fine),
            nn.Conv2d(fine, middle, 4, stride=2, padding=1),
            ResidualBlock(middle),
            nn.Conv2d(middle, coarse, 4, stride=2, padding=1),
            ResidualBlock(coarse),
            GridAttention(coarse),
            ResidualBlock(coarse),
            nn.GroupNorm(8, coarse),
            nn.SiLU(),
            nn.Conv2d(coarse, num_dims, 1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(num_dims, coarse, 3, padding=1),
            ResidualBlock(coarse),
            GridAttention(coarse),
            ResidualBlock(coarse),
            ResidualBlock(coarse),
            nn.Conv2d(coarse, middle * 4, 1),
            nn.PixelShuffle(2),
            ResidualBlock(middle),
            ResidualBlock(middle),
            nn.Conv2d(middle, fine * 4, 1),
            nn.PixelShuffle(2),
            ResidualBlock(fine),
            nn.Conv2d(fine, config.detail_width * 4, 1),
            nn.PixelShuffle(2),
            nn.SiLU(),
            nn.Conv2d(config.detail_width, 16, 3, padding=1),
            nn.PixelShuffle(2),
        )

    def encode(self, pictures: Tensor) -> Tensor:
        """Premultiplied pictures (B, 4, 64, 64) in 0..1 to codes (B, N) int64, row by row."""
        codes: Tensor = self._quantise(pictures)[1]
        return codes.flatten(1)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, N) int64 to premultiplied pictures (B, 4, 128, 128) in 0..1, colour never above alpha."""
        grid = self.config.grid
        values = self.quantiser.codes_to_values(codes.reshape(-1, grid, grid))
        return self.decode_latents(values.permute(0, 3, 1, 2))

    def encode_latents(self, pictures: Tensor) -> Tensor:
        """Premultiplied pictures (B, 4, 64, 64) in 0..1 to bounded latents (B, D, grid, grid) in -1..1, not rounded."""
        return self.quantiser.bound(self.encoder(pictures * 2.0 - 1.0).float())

    def decode_latents(self, latents: Tensor) -> Tensor:
        """Latents (B, D, grid, grid) in -1..1 to pictures as `decode` gives them; between the levels they blend."""
        painted: Tensor = self.decoder(latents)
        alpha = painted[:, 3:].float().clamp(0.0, 1.0)
        colour = torch.minimum(painted[:, :3].float().clamp(min=0.0), alpha)
        return torch.cat([colour, alpha], dim=1)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Reconstruct for training.

        Returns:
            Raw (unclamped) premultiplied reconstruction (B, 4, 128, 128) and codes (B, grid, grid).
        """
        quantised, codes = self._quantise(pictures)
        return self.decoder(quantised.permute(0, 3, 1, 2)), codes

    def _quantise(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        latent = self.encoder(pictures * 2.0 - 1.0).float()
        quantised, codes = self.quantiser(latent.permute(0, 2, 3, 1))  # (B, grid, grid, D)
        return quantised, codes
