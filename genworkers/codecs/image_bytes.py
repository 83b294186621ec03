"""Pixels to files and back: premultiplied resizing, PNG and WebP with alpha.

Pictures are uint8 arrays (H, W, 4) with straight (not premultiplied) alpha unless a name says otherwise.
"""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


def premultiply(pixels: Pixels) -> Floats:
    """Straight uint8 (H, W, 4) to premultiplied float (H, W, 4) in 0..1."""
    straight = pixels.astype(np.float32) / 255.0
    straight[..., :3] *= straight[..., 3:]
    return straight


def unpremultiply(premultiplied: Floats) -> Pixels:
    """Premultiplied float (H, W, 4) to straight uint8; values are clamped to what light can be (0 <= colour <= alpha).

    Colour under alpha below half of 1/255 is set to 0: it cannot be seen and would be noise divided by nothing.
    """
    alpha = np.clip(premultiplied[..., 3:], 0.0, 1.0)
    colour = np.clip(premultiplied[..., :3], 0.0, alpha)
    is_visible = alpha >= 0.5 / 255.0
    straight = np.where(is_visible, colour / np.maximum(alpha, 1e-6), 0.0)
    stacked = np.concatenate([straight, np.where(is_visible, alpha, 0.0)], axis=-1)
    return np.rint(stacked * 255.0).astype(np.uint8)


def resize_premultiplied(premultiplied: Floats, size_px: int) -> Floats:
    """Lanczos-resize premultiplied floats (H, W, 4) to a (size_px, size_px, 4) square.

    Lanczos overshoots at edges; clamping to 0 <= colour <= alpha <= 1 removes the rings that could be seen.
    """
    planes = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(premultiplied[..., channel]), mode="F").resize(
                (size_px, size_px), Image.Resampling.LANCZOS
            )
        )
        for channel in range(4)
    ]
    resized: Floats = np.clip(np.stack(planes, axis=-1), 0.0, 1.0).astype(np.float32)
    resized[..., :3] = np.minimum(resized[..., :3], resized[..., 3:])
    return resized


def resize(pixels: Pixels, size_px: int) -> Pixels:
    """Lanczos-resize a straight-alpha square picture without dark or bright fringes."""
    return unpremultiply(resize_premultiplied(premultiply(pixels), size_px))


def to_png(pixels: Pixels, text_chunks: dict[str, str] | None = None) -> bytes:
    """Encode as PNG with alpha; `text_chunks` become iTXt chunks (keyword 1..79 latin-1 characters)."""
    info = PngImagePlugin.PngInfo()
    for keyword, text in (text_chunks or {}).items():
        info.add_itxt(keyword, text)
    buffer = io.BytesIO()
    Image.fromarray(pixels, mode="RGBA").save(buffer, format="PNG", pnginfo=info)
    return buffer.getvalue()


def to_webp(pixels: Pixels, quality: int = 60, max_px: int = 256) -> bytes:
    """Encode as lossy WebP with alpha, first shrunk to at most `max_px` a side.

    Args:
        quality: 0..100; 40 gives previews of 1 to 2 kB at 64 px.
    """
    if not 0 <= quality <= 100:
        raise ValueError(f"quality must be 0..100, got {quality}")
    if max(pixels.shape[:2]) > max_px:
        pixels = resize(pixels, max_px)
    buffer = io.BytesIO()
    Image.fromarray(pixels, mode="RGBA").save(buffer, format="WEBP", quality=quality, method=4)
    return buffer.getvalue()


def from_bytes(data: bytes) -> Pixels:
    """Decode a PNG or WebP file to straight RGBA (H, W, 4)."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGBA"))
