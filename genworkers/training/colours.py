"""Eleven basic colours: which one a picture clearly has, and giving a picture another one."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genworkers.codecs.image_bytes import Pixels

# Hue in degrees, saturation and value in 0..1: what a thing is painted in when it is recoloured.
BASIC_COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (357.0, 0.80, 0.88),
    "orange": (26.0, 0.86, 0.97),
    "yellow": (51.0, 0.76, 0.99),
    "green": (125.0, 0.66, 0.68),
    "blue": (213.0, 0.76, 0.92),
    "purple": (272.0, 0.60, 0.80),
    "pink": (329.0, 0.50, 0.98),
    "brown": (22.0, 0.60, 0.48),
    "black": (0.0, 0.0, 0.14),
    "white": (0.0, 0.0, 0.97),
    "gray": (0.0, 0.0, 0.60),
}
COLOUR_NAMES = tuple(BASIC_COLOURS)
CLEAR_SHARE = 0.55  # of what can be seen
FAMILY_HUE_DEG = 32.0
_HUE_ENDS_DEG = (14.0, 35.0, 68.0, 165.0, 255.0, 295.0, 345.0, 361.0)
_HUE_COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "red")
_HUE_NUMBERS = np.array([COLOUR_NAMES.index(name) for name in _HUE_COLOURS])
_NO_COLOUR = len(COLOUR_NAMES)  # skin and cream


def colour_of(premultiplied: Pixels) -> str | None:
    """The basic colour that most of a premultiplied uint8 picture (H, W, 4) has; None where no one is that frequent."""
    hue, saturation, value = _hsv(premultiplied)
    numbers = _colour_numbers(hue, saturation, value)
    weights = premultiplied[..., 3].astype(np.float64)
    shares = np.bincount(numbers.ravel(), weights.ravel(), _NO_COLOUR + 1) / max(weights.sum(), 1.0)
    best = int(shares[:_NO_COLOUR].argmax())
    return COLOUR_NAMES[best] if shares[best] >= CLEAR_SHARE else None


def recolour(premultiplied: Pixels, colour: str) -> Pixels:
    """Paint the prevailing colour of a premultiplied uint8 picture (H, W, 4) over with a basic colour.

    Its shades keep their differences, other colours (a leaf, an eye) stay. Whether the picture then has that colour
    clearly is for `colour_of` to say: some pictures have no prevailing colour.
    """
    hue, saturation, value = _hsv(premultiplied)
    alpha = premultiplied[..., 3]
    is_seen = alpha > 127
    if not is_seen.any():
        return premultiplied
    numbers = np.bincount(_colour_numbers(hue, saturation, value)[is_seen], minlength=_NO_COLOUR + 1)
    prevailing = _colour_numbers(hue, saturation, value) == int(numbers.argmax())
    core = prevailing & is_seen
    own_hue, own_saturation, own_value = (
        float(np.median(plane[core])) for plane in (_unwrap(hue, core), saturation, value)
    )
    distance = np.abs((hue - own_hue + 180.0) % 360.0 - 180.0)
    if own_saturation >= 0.2:
        family = prevailing | ((distance <= FAMILY_HUE_DEG) & (saturation > 0.2) & (value > 0.15))
    else:
        family = prevailing | ((saturation < 0.2) & (np.abs(value - own_value) < 0.3))
    new_hue, new_saturation, new_value = BASIC_COLOURS[colour]
    shade = (hue - own_hue + 180.0) % 360.0 - 180.0 if own_saturation >= 0.2 else np.zeros_like(hue)
    painted = (
        (new_hue + 0.4 * shade) % 360.0,
        np.clip(new_saturation + 0.5 * (saturation - own_saturation), 0.0, 1.0) if new_saturation > 0 else 0.0 * value,
        np.clip(new_value + 0.7 * (value - own_value), 0.0, 1.0),
    )
    planes = [np.where(family, new, old) for new, old in zip(painted, (hue, saturation, value), strict=True)]
    scale = (255.0 / 360.0, 255.0, 255.0)
    bytes_ = np.stack([np.rint(plane * factor) for plane, factor in zip(planes, scale, strict=True)], -1).astype(
        np.uint8
    )
    straight = np.asarray(Image.fromarray(bytes_, mode="HSV").convert("RGB"), dtype=np.float32)
    result = premultiplied.copy()
    result[..., :3] = np.rint(straight * (alpha[..., None] / np.float32(255.0))).astype(np.uint8)
    return result


def _hsv(premultiplied: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Hue in degrees, saturation and value in 0..1 of the straight colours, each (H, W)."""
    alpha = np.maximum(premultiplied[..., 3:].astype(np.float32), 1.0)
    straight = np.clip(np.rint(premultiplied[..., :3] * (np.float32(255.0) / alpha)), 0, 255).astype(np.uint8)
    planes = np.asarray(Image.fromarray(straight, mode="RGB").convert("HSV"), dtype=np.float32)
    return planes[..., 0] * np.float32(360.0 / 255.0), planes[..., 1] / 255.0, planes[..., 2] / 255.0


def _colour_numbers(
    hue: NDArray[np.float32], saturation: NDArray[np.float32], value: NDArray[np.float32]
) -> NDArray[np.int64]:
    """The number of each pixel's basic colour in COLOUR_NAMES; one more for what has none (skin, cream)."""
    number = COLOUR_NAMES.index
    numbers = _HUE_NUMBERS[np.searchsorted(np.array(_HUE_ENDS_DEG), hue, side="right").clip(max=7)]
    is_reddish = (hue < 14) | (hue >= 330)
    is_brownish = (hue >= 8) & (hue < 68)
    numbers = np.where(is_reddish & (saturation < 0.55) & (value > 0.75), number("pink"), numbers)
    numbers = np.where(is_brownish & (saturation < 0.42) & (value > 0.8), _NO_COLOUR, numbers)
    numbers = np.where(is_brownish & (value < 0.64), number("brown"), numbers)
    numbers = np.where(saturation < 0.15, np.where(value > 0.85, number("white"), number("gray")), numbers)
    return np.where((value < 0.26) | ((value < 0.36) & (saturation < 0.3)), number("black"), numbers)


def _unwrap(hue: NDArray[np.float32], core: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Hues turned so that a family around 0 degrees has one median: 359 next to 1 becomes -1."""
    angles = np.deg2rad(hue[core])
    middle = float(np.rad2deg(np.arctan2(np.sin(angles).mean(), np.cos(angles).mean())))
    unwrapped: NDArray[np.float32] = (hue - middle + 180.0) % 360.0 - 180.0 + middle
    return unwrapped
