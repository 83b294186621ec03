"""What happens to pictures on their way through the world, each as a function: pixels in, pixels out.

Pictures are uint8 arrays (H, W, 3) or (H, W, 4); what a format without alpha keeps was laid on white first.
"""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

from genworkers.codecs.image_bytes import Pixels

Attack = Callable[[Pixels, np.random.Generator], Pixels]


def laid_on(pixels: Pixels, colour: str) -> Pixels:
    """An opaque picture (H, W, 3): what can be seen of pixels on a colour like #ffffff."""
    if pixels.shape[2] == 3:
        return pixels
    ground = Image.new("RGBA", (pixels.shape[1], pixels.shape[0]), colour)
    return np.array(Image.alpha_composite(ground, Image.fromarray(pixels)).convert("RGB"))


def jpeg(pixels: Pixels, quality: int) -> Pixels:
    """Through a JPEG file and back, 4:2:0."""
    return _through(laid_on(pixels, "#ffffff"), format="JPEG", quality=quality)


def webp(pixels: Pixels, quality: int) -> Pixels:
    """Through a lossy WebP file and back, with alpha."""
    return _through(pixels, format="WEBP", quality=quality, method=4)


def resized(pixels: Pixels, factor: float) -> Pixels:
    """Lanczos, as browsers and viewers do."""
    size = max(1, round(pixels.shape[1] * factor)), max(1, round(pixels.shape[0] * factor))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def cropped(pixels: Pixels, frac: float, chance: np.random.Generator) -> Pixels:
    """Without a share of the width and of the height, at a place that chance finds."""
    height_px, width_px = pixels.shape[:2]
    kept_down, kept_across = round(height_px * (1 - frac)), round(width_px * (1 - frac))
    top, left = int(chance.integers(height_px - kept_down + 1)), int(chance.integers(width_px - kept_across + 1))
    return pixels[top : top + kept_down, left : left + kept_across]


def noisy(pixels: Pixels, sigma: float, chance: np.random.Generator) -> Pixels:
    """With independent normal noise on each colour, sigma in levels of 255."""
    return _coloured(pixels, pixels[..., :3] + chance.normal(0.0, sigma, (*pixels.shape[:2], 3)))


def brightened(pixels: Pixels, factor: float) -> Pixels:
    """Every colour times a factor, cut at 255."""
    return _coloured(pixels, pixels[..., :3] * factor)


def blurred(pixels: Pixels, radius_px: float) -> Pixels:
    """Gaussian blur."""
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius_px)))


def in_few_colours(pixels: Pixels, num_colours: int) -> Pixels:
    """In the colours of a palette of its own, not dithered."""
    opaque = Image.fromarray(laid_on(pixels, "#ffffff"))
    indexed = opaque.quantize(num_colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    return np.asarray(indexed.convert("RGB"))


def with_margins(pixels: Pixels, frac: float) -> Pixels:
    """On a white page that is wider and higher by a share."""
    opaque = laid_on(pixels, "#ffffff")
    more_down, more_across = (round(length_px * frac / 2) for length_px in opaque.shape[:2])
    return np.pad(opaque, ((more_down, more_down), (more_across, more_across), (0, 0)), constant_values=255)


def _through(pixels: Pixels, **how: str | int) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, **how)  # type: ignore[arg-type]
    with Image.open(buffer) as image:
        return np.asarray(image)


def _coloured(pixels: Pixels, colour: np.ndarray) -> Pixels:
    changed = pixels.copy()
    changed[..., :3] = np.rint(np.clip(colour, 0.0, 255.0))
    return changed


ATTACKS: dict[str, Attack] = {
    "none": lambda pixels, _: pixels,
    "JPEG 90": lambda pixels, _: jpeg(pixels, 90),
    "JPEG 75": lambda pixels, _: jpeg(pixels, 75),
    "JPEG 50": lambda pixels, _: jpeg(pixels, 50),
    "resize 0.5": lambda pixels, _: resized(pixels, 0.5),
    "resize 2": lambda pixels, _: resized(pixels, 2.0),
    "crop 10 %": lambda pixels, chance: cropped(pixels, 0.1, chance),
    "crop 25 %": lambda pixels, chance: cropped(pixels, 0.25, chance),
    "crop 50 %": lambda pixels, chance: cropped(pixels, 0.5, chance),
    "noise 5": lambda pixels, chance: noisy(pixels, 5.0, chance),
    "noise 10": lambda pixels, chance: noisy(pixels, 10.0, chance),
    "blur 1": lambda pixels, _: blurred(pixels, 1.0),
    "brightness 0.8": lambda pixels, _: brightened(pixels, 0.8),
    "brightness 1.2": lambda pixels, _: brightened(pixels, 1.2),
    "32 colours": lambda pixels, _: in_few_colours(pixels, 32),
    "resize 1.37, JPEG 80": lambda pixels, _: jpeg(resized(pixels, 1.37), 80),
    "crop 20 %, refit, JPEG 75": lambda pixels, chance: jpeg(resized(cropped(pixels, 0.2, chance), 1.25), 75),
    "256 px, WebP 85": lambda pixels, _: webp(resized(pixels, 256 / max(pixels.shape[:2])), 85),
    "128 px": lambda pixels, _: resized(pixels, 128 / max(pixels.shape[:2])),
    "margins 50 %": lambda pixels, _: with_margins(pixels, 0.5),
    "mirrored": lambda pixels, _: np.ascontiguousarray(pixels[:, ::-1]),
}
