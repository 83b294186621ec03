"""Between pixels and a tokenizer's codes or latents, on one device: what all painters share of a tokenizer."""

from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from genworkers.codecs.image_bytes import (
    Floats,
    Pixels,
    contain,
    enlarge_flat,
    enlarge_nearest,
    enlarge_soft,
    premultiply,
    shrink,
    unpremultiply,
)
from genworkers.contract.image import ImageRequest
from genworkers.engine.painter import PREVIEW_PX
from genworkers.nets.fsq_tokenizer import FsqTokenizer
from genworkers.nets.palette_tokenizer import PaletteTokenizer

PictureTokenizer: TypeAlias = FsqTokenizer | PaletteTokenizer


def fast_precision(device: torch.device) -> torch.dtype:
    """bfloat16 where the device multiplies it faster than float32, else float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    has_bfloat16 = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if has_bfloat16 else torch.float32


class _AtPrecision(nn.Module):
    """A convolutional net that works at another precision than its neighbours."""

    def __init__(self, net: nn.Module, precision: torch.dtype) -> None:
        super().__init__()
        self.net = net.to(precision).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.precision = precision

    def forward(self, x: Tensor) -> Tensor:
        painted: Tensor = self.net(x.to(self.precision, memory_format=torch.channels_last))
        return painted.float()


class Canvas:
    """One tokenizer, its pixels and how they are enlarged.

    Every picture is encoded and painted in a pass of its own shape, so that company changes nothing.

    Args:
        tokenizer: taken over: a decoder of convolutions is set to the device's fast precision.
        is_pixel_art: enlarge by whole factors with the nearest neighbour.
        soft_styles: styles whose outlines must not be made crisp (shadows, glass).

    Attributes:
        empty_codes: (N), those of a picture of nothing.
        is_painted: (N) bool, where a code says what that place looks like; the others of a palette tokenizer say which
            colours there are.
    """

    def __init__(
        self,
        tokenizer: PictureTokenizer,
        *,
        is_pixel_art: bool = False,
        soft_styles: frozenset[str] = frozenset(),
        device: torch.device,
    ) -> None:
        self.device = device
        self.is_pixel_art = is_pixel_art
        self.grid = tokenizer.config.grid
        self.image_px = tokenizer.config.image_px
        self.num_tiles = tokenizer.config.num_tiles
        self._soft_styles = soft_styles
        self.is_painted = torch.ones(self.num_tiles, dtype=torch.bool)
        if isinstance(tokenizer, FsqTokenizer):
            tokenizer.decoder = nn.Sequential(_AtPrecision(tokenizer.decoder, fast_precision(device)))
        else:
            self.is_painted[:] = False
            self.is_painted[tokenizer.config.places()[0]] = True
        self._tokenizer = tokenizer.to(device).eval()
        self.empty_codes = self.codes_of(np.zeros((self.image_px, self.image_px, 4), dtype=np.uint8))

    @torch.inference_mode()
    def codes_of(self, pixels: Pixels) -> Tensor:
        """What the tokenizer sees in a picture of any size, fitted into its square: codes (N) on the CPU."""
        return self._tokenizer.encode(self._fitted(pixels))[0].cpu()

    @torch.inference_mode()
    def latents_of(self, pixels: Pixels) -> Tensor:
        """As `codes_of`, but latents (1, D, grid, grid) in -1..1, not rounded, on the canvas's device."""
        return self._with_latents().encode_latents(self._fitted(pixels))

    @torch.inference_mode()
    def paint(self, codes: Tensor) -> Floats:
        """Codes (N) to one premultiplied picture (S, S, 4) in 0..1."""
        painted: Floats = self._tokenizer.decode(codes[None].to(self.device))[0].permute(1, 2, 0).cpu().numpy()
        return painted

    @torch.inference_mode()
    def paint_latents(self, latents: Tensor) -> list[Floats]:
        """Latents (B, D, grid, grid) in -1..1 to B premultiplied pictures; equal B means equal rounding."""
        painted = self._with_latents().decode_latents(latents.to(self.device))
        return list(painted.permute(0, 2, 3, 1).cpu().numpy())

    @torch.inference_mode()
    def snap(self, latents: Tensor) -> Tensor:
        """The values of codes next to latents (B, D, grid, grid)."""
        return self._with_latents().quantiser.snap(latents.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def enlarge(self, painted: Floats, request: ImageRequest) -> Pixels:
        """A painted picture as its request wants it: at its size, or as it is for a draft; straight alpha."""
        if request.is_draft:
            return unpremultiply(painted)
        if self.is_pixel_art:
            return enlarge_nearest(painted, request.size_px)
        if self._soft_styles & {request.style, request.style_mix}:
            return enlarge_soft(painted, request.size_px)
        return enlarge_flat(painted, request.size_px)

    def thumbnail(self, painted: Floats) -> Pixels:
        """A painted picture at PREVIEW_PX, straight alpha."""
        factor = len(painted) // PREVIEW_PX
        if factor > 1:
            return unpremultiply(painted.reshape(PREVIEW_PX, factor, PREVIEW_PX, factor, 4).mean((1, 3)))
        return shrink(unpremultiply(painted), PREVIEW_PX)

    def _fitted(self, pixels: Pixels) -> Tensor:
        fitted = premultiply(contain(pixels, self.image_px))
        return torch.from_numpy(fitted).permute(2, 0, 1)[None].to(self.device)

    def _with_latents(self) -> FsqTokenizer:
        if not isinstance(self._tokenizer, FsqTokenizer):
            raise TypeError("a palette tokenizer has codes only, no latents to draw in")
        return self._tokenizer
