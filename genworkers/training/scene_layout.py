"""Where things go in a composed scene: places, rows and groups in px, and laying one picture over another."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genworkers.training.colours import BASIC_COLOURS

SCENE_PX = 64
SIZES_PX = {"tiny": (11, 16), "small": (20, 28), "large": (58, 63)}
PLACE_CENTRES = {
    "top left": (16, 16), "top right": (48, 16), "bottom left": (16, 48), "bottom right": (48, 48),
    "top": (32, 16), "bottom": (32, 48), "left": (16, 32), "right": (48, 32), "middle": (32, 32),
}  # fmt: skip
# Several things: their centres in px, and the side of the square that each may fill.
LAYOUTS: dict[int, tuple[tuple[tuple[tuple[int, int], ...], int], ...]] = {
    2: (
        (((17, 32), (47, 32)), 29),
        (((18, 18), (46, 46)), 29),
        (((46, 18), (18, 46)), 29),
        (((32, 17), (32, 47)), 29),
    ),
    3: (
        (((11, 32), (32, 32), (53, 32)), 20),
        (((32, 17), (17, 47), (47, 47)), 28),
        (((17, 17), (47, 17), (32, 47)), 28),
    ),
    4: ((((17, 17), (47, 17), (17, 47), (47, 47)), 28),),
    5: (
        (((13, 13), (51, 13), (32, 32), (13, 51), (51, 51)), 22),
        (((11, 20), (32, 20), (53, 20), (21, 44), (43, 44)), 20),
    ),
}  # fmt: skip


def fitted(
    size_px: tuple[float, float], centre: tuple[float, float], side_px: float
) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a thing whose longer side shall be `side_px`, moved in where it would stick out.

    Args:
        size_px: its width and height as it is.
        centre: where its middle should be.
    """
    factor = side_px / max(size_px)
    width, height = size_px[0] * factor, size_px[1] * factor
    left = min(max(centre[0] - width / 2, 0.0), SCENE_PX - width)
    top = min(max(centre[1] - height / 2, 0.0), SCENE_PX - height)
    return left, top, left + width, top + height


def jittered(centre: tuple[int, int], spread_px: float, random: np.random.Generator) -> tuple[float, float]:
    """A centre, moved by up to `spread_px` in both directions."""
    moved = np.array(centre) + random.uniform(-spread_px, spread_px, 2)
    return float(moved[0]), float(moved[1])


def lay_over(canvas: NDArray[np.float32], patch: NDArray[np.float32], left: int, top: int) -> None:
    """Lay a premultiplied patch over the canvas (both 0..255), cut where it leaves it."""
    height, width = canvas.shape[:2]
    patch = patch[max(-top, 0) : height - top, max(-left, 0) : width - left]
    top, left = max(top, 0), max(left, 0)
    below = canvas[top : top + patch.shape[0], left : left + patch.shape[1]]
    colour = np.minimum(patch[..., :3], patch[..., 3:])  # Lanczos may overshoot
    covered = 1.0 - patch[..., 3:] / 255.0
    below *= covered
    below[..., :3] += colour
    below[..., 3:] += patch[..., 3:]


def shade(colour: str, random: np.random.Generator) -> tuple[int, int, int]:
    """A basic colour with a little chance in it, as red, green, blue in 0..255."""
    hue, saturation, value = BASIC_COLOURS[colour]
    moved = (
        (hue + random.uniform(-5, 5)) % 360.0 * 255.0 / 360.0,
        min(saturation + random.uniform(-0.06, 0.06), 1.0) * 255.0 if saturation else 0.0,
        min(max(value + random.uniform(-0.06, 0.06), 0.0), 1.0) * 255.0,
    )
    pixel = Image.fromarray(np.array([[moved]]).round().astype(np.uint8), mode="HSV").convert("RGB").getpixel((0, 0))
    red, green, blue = (int(channel) for channel in pixel)  # type: ignore[union-attr]
    return red, green, blue
