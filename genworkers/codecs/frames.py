"""Pixels of a picture or film of anybody, to look for marks in: at most NUM_FRAMES frames, all of the first one's size.

What lies behind the first frame never hides it: other sizes and broken frames are left out. `BROKEN` is what Pillow and
FFmpeg raise at bytes that are not what they seem.
"""

import io
from collections.abc import Iterator

import av
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from genworkers.codecs.image_bytes import Pixels

MAX_PIXELS = 50_000_000
# The mark's grid is fixed to the picture's size, so nothing is lost by looking at a smaller copy.
MAX_SIDE_PX = 1024
NUM_FRAMES = 8
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "AVIF", "TIFF", "BMP")
BROKEN = (
    Image.DecompressionBombError,
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    EOFError,
    IndexError,
    KeyError,
    OverflowError,
    RuntimeError,
)


class UnreadableError(Exception):
    """There is nothing to look at; the message says why."""


def of_picture(data: bytes) -> list[Pixels]:
    """The frames of a picture, (H, W, 4) each.

    Raises:
        UnreadableError: it is none, or too large.
        BROKEN: already its first frame is damaged.
    """
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise UnreadableError("this is no picture that can be read here") from error
    return _readable(_of_image(image))


def of_film(data: bytes) -> list[Pixels]:
    """The frames of a film; as `of_picture`."""
    with av.open(io.BytesIO(data), "r") as film:
        if not film.streams.video:
            raise UnreadableError("there are no pictures in this file")
        frames = _readable(_of_stream(film))
    if not frames:
        raise UnreadableError("there are no pictures in this file")
    return frames


def _readable(frames: Iterator[Pixels]) -> list[Pixels]:
    """Those before the first that is damaged, and of the first one's shape."""
    kept: list[Pixels] = []
    try:
        for frame in frames:
            if not kept or frame.shape == kept[0].shape:
                kept.append(frame)
    except (MemoryError, *BROKEN):
        if not kept:
            raise
    return kept


def _of_image(image: Image.Image) -> Iterator[Pixels]:
    size = image.size
    _check(*size)
    image.draft("RGB", (MAX_SIDE_PX * 2, MAX_SIDE_PX * 2))  # a large JPEG is decoded at a fraction of its size
    yield _pixels(image)
    if image.format == "MPO":  # a telephone's JPEG: what lies behind the photograph is another picture
        return
    num_frames = getattr(image, "n_frames", 1)
    for place in sorted({round(place) for place in np.linspace(0, num_frames - 1, min(num_frames, NUM_FRAMES))} - {0}):
        image.seek(place)
        if image.size == size:
            yield _pixels(image)


def _of_stream(film: av.container.InputContainer) -> Iterator[Pixels]:
    num_frames = film.streams.video[0].frames or NUM_FRAMES
    step = max(1, num_frames // NUM_FRAMES)
    num_taken = 0
    for place, frame in enumerate(film.decode(video=0)):
        if place == 0:
            size = frame.width, frame.height
            _check(*size)
        if place % step == 0 and (frame.width, frame.height) == size:
            yield _pixels(Image.fromarray(frame.to_ndarray(format="rgb24")))
            num_taken += 1
        if num_taken == NUM_FRAMES:
            return


def _check(width_px: int, height_px: int) -> None:
    if width_px * height_px > MAX_PIXELS:
        raise UnreadableError(f"it has {width_px} x {height_px} px; at most {MAX_PIXELS:,} pixels can be read")


def _pixels(image: Image.Image) -> Pixels:
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):  # 16 bits of grey; Pillow itself would cut everything above 255 off
        upright.info.pop("transparency", None)
        upright = upright.convert("I").point(lambda value: value * (1 / 257) + 0.5).convert("L")
    rgba = upright.convert("RGBA")
    rgba.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX), Image.Resampling.LANCZOS)
    return np.asarray(rgba)
