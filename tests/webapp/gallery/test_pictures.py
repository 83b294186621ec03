"""Pictures of strangers: what is taken comes out clean and right, and the rest is refused by name."""

import io
import struct
import zlib

import pytest
from PIL import Image

from tests.webapp.gallery.picture_files import BLUE, RED, SVG, animated, file_of, half_red, noise, rotated
from webapp import processes
from webapp.errors import AppError
from webapp.gallery import pictures


def cleaned(data: bytes) -> Image.Image:
    picture = pictures.clean(data)
    image = Image.open(io.BytesIO(picture.png))
    assert (image.format, image.mode, image.size) == ("PNG", "RGBA", (picture.width_px, picture.height_px))
    return image


def near(colour: object, wanted: tuple[int, ...]) -> bool:
    assert isinstance(colour, tuple)
    return all(abs(a - b) <= 6 for a, b in zip(colour, (*wanted, 255)[:4], strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "AVIF"])
def test_a_file_of_each_kind_is_taken(form: str) -> None:
    image = cleaned(file_of(half_red(), form))
    assert image.size == (60, 40)
    assert near(image.getpixel((5, 20)), RED)
    assert near(image.getpixel((55, 20)), BLUE)


def test_exif_rotation_is_applied_and_gone() -> None:
    image = cleaned(rotated())
    assert image.size == (40, 60)
    assert near(image.getpixel((20, 5)), RED)
    assert not image.getexif()


@pytest.mark.parametrize(
    ("image", "form", "wanted"),
    [
        (Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", (255, 0, 0, 255)),
        (Image.new("I;16", (8, 8), 40_000), "PNG", (156, 156, 156, 255)),
        (Image.new("LA", (8, 8), (100, 50)), "PNG", (100, 100, 100, 50)),
        (Image.new("L", (8, 8), 100), "PNG", (100, 100, 100, 255)),
        (Image.new("1", (8, 8), 1), "PNG", (255, 255, 255, 255)),
    ],
)
def test_every_kind_of_pixel_becomes_the_right_colour(
    image: Image.Image, form: str, wanted: tuple[int, int, int, int]
) -> None:
    assert near(cleaned(file_of(image, form)).getpixel((4, 4)), wanted)


def test_sixteen_bits_per_colour_become_eight() -> None:
    row = b"\0" + struct.pack(">HHH", 65_535, 32_768, 0) * 8

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0))
    png = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(row * 8)) + chunk(b"IEND", b"")
    assert near(cleaned(png).getpixel((4, 4)), (255, 128, 0))


def test_a_palette_keeps_its_transparency() -> None:
    palette = half_red().convert("P")
    clear = palette.getpixel((0, 0))
    image = cleaned(file_of(palette, "PNG", transparency=clear))
    assert (image.getpixel((0, 0)), image.getpixel((59, 0))) == ((*RED, 0), (*BLUE, 255))


def test_a_large_picture_is_kept_at_1024_px_a_side() -> None:
    assert cleaned(file_of(half_red(3000, 1500))).size == (1024, 512)


@pytest.mark.parametrize(("size", "kept"), [((1, 1), (1, 1)), ((1, 10_000), (1, 1024))])
def test_odd_sizes_are_pictures_too(size: tuple[int, int], kept: tuple[int, int]) -> None:
    assert cleaned(file_of(Image.new("RGB", size, RED))).size == kept


def test_what_hides_behind_or_inside_a_picture_is_gone() -> None:
    hidden = b"PK\x03\x04 <script>alert(1)</script>"
    data = file_of(half_red(), "JPEG", comment=hidden) + hidden
    assert hidden in data
    assert b"script" not in pictures.clean(data).png


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "picture_unreadable"),
        (SVG, "picture_unreadable"),
        (file_of(half_red(), "BMP"), "picture_unreadable"),
        (noise(200, 200)[:5000], "picture_unreadable"),
        (noise(200, 200, "JPEG")[:5000], "picture_unreadable"),
        (file_of(half_red())[:40], "picture_unreadable"),
        (animated("GIF"), "picture_animated"),
        (animated("WEBP"), "picture_animated"),
        (animated("PNG"), "picture_animated"),
        (file_of(Image.new("L", (20_000, 20_000))), "picture_too_large"),
        (file_of(Image.new("L", (8000, 8000))), "picture_too_large"),
        (file_of(Image.new("L", (20_000, 2))), "picture_too_large"),
        (bytes(pictures.MAX_BYTES + 1), "picture_too_large"),
    ],
    ids=["empty", "svg", "bmp", "cut_png", "cut_jpeg", "head", "gif", "webp", "apng", "bomb", "64m", "side", "bytes"],
)
def test_what_cannot_be_taken_is_refused_with_field_value_and_limits(data: bytes, code: str) -> None:
    with pytest.raises(AppError) as refused:
        pictures.clean(data, field_name="image")
    assert refused.value.code == code
    (problem,) = refused.value.problems
    assert (problem["field"], problem["code"], problem["value"]) == ("image", code, f"{len(data):,} bytes")
    assert "PNG, JPEG, WebP, GIF" in problem["allowed"]


def test_a_file_that_takes_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "TIMEOUT_S", 0.001)
    with pytest.raises(AppError) as refused:
        pictures.clean(file_of(half_red()))
    assert refused.value.code == "picture_unreadable"
    assert "time" in refused.value.message
