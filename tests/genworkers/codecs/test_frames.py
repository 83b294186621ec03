"""Frames of strangers' files: what is put behind a picture never hides it, and no depth or order of pixels does."""

import io
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from genworkers.codecs import frames
from genworkers.codecs.image_bytes import Pixels

FIRST = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8))
OTHER_SIZE = Image.new("RGB", (20, 30), "red")
SAME_SIZE = Image.new("RGB", (64, 48), "blue")


def saved(image: Image.Image, *behind: Image.Image, **how: Any) -> bytes:
    target = io.BytesIO()
    many: dict[str, Any] = {"save_all": True, "append_images": [page.copy() for page in behind]} if behind else {}
    image.copy().save(target, **how, **many)
    return target.getvalue()


def assert_first(shown: Pixels) -> None:
    assert np.array_equal(shown[..., :3], np.asarray(FIRST))


@pytest.mark.parametrize("behind", [OTHER_SIZE, SAME_SIZE])
def test_of_a_telephones_jpeg_only_the_photograph_counts(behind: Image.Image) -> None:
    data = saved(FIRST, behind, format="MPO", quality=95)
    assert Image.open(io.BytesIO(data)).format == "MPO"
    (shown,) = frames.of_picture(data)
    (alone,) = frames.of_picture(saved(FIRST, format="JPEG", quality=95))
    assert np.array_equal(shown, alone)


def test_pages_of_another_size_are_left_out() -> None:
    shown = frames.of_picture(saved(FIRST, OTHER_SIZE, SAME_SIZE, format="TIFF"))
    assert [frame.shape for frame in shown] == [(48, 64, 4)] * 2
    assert_first(shown[0])


def broken_at_page(page: int) -> bytes:
    data = bytearray(saved(FIRST, FIRST, format="TIFF", compression="tiff_lzw"))
    with Image.open(io.BytesIO(data)) as image:
        image.seek(page)
        place = image.tag_v2[273][0]  # type: ignore[attr-defined]  # StripOffsets
    data[place : place + 1000] = b"\xff" * 1000
    return bytes(data)


def test_a_damaged_page_hides_nothing_of_the_first() -> None:
    (shown,) = frames.of_picture(broken_at_page(1))
    assert_first(shown)


def test_a_first_page_that_is_damaged_is_an_error() -> None:
    with pytest.raises(frames.BROKEN):
        frames.of_picture(broken_at_page(0))


def test_grey_of_sixteen_bits_keeps_its_shades() -> None:
    shades = np.linspace(0, 65535, 64 * 48).astype(np.uint16).reshape(48, 64)
    for form in ("PNG", "TIFF"):
        (shown,) = frames.of_picture(saved(Image.fromarray(shades), format=form))
        assert np.abs(shown[..., 0].astype(float) - shades / 257).max() <= 1
        assert (shown[..., 3] == 255).all()


def test_a_film_that_changes_its_size_is_read_at_its_first() -> None:
    """Two H.264 streams one after the other, which decoders follow without a word."""
    parts = []
    for size in ((64, 48), (128, 96)):
        encoder = av.CodecContext.create("libx264", "w")
        encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = *size, "yuv420p", Fraction(1, 10)
        grey = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), 90, np.uint8), format="rgb24")
        parts += [bytes(packet) for frame in (grey, grey, None) for packet in encoder.encode(frame)]
    shown = frames.of_film(b"".join(parts))
    assert [frame.shape for frame in shown] == [(48, 64, 4)] * 2


def test_too_many_pixels_are_refused_before_they_are_decoded() -> None:
    with pytest.raises(frames.UnreadableError, match="12000 x 12000 px"):
        frames.of_picture(saved(Image.new("1", (12_000, 12_000)), format="PNG"))


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n" + b"\0" * 300])
def test_what_is_no_picture_is_said(data: bytes) -> None:
    with pytest.raises(frames.UnreadableError, match="no picture"):
        frames.of_picture(data)
