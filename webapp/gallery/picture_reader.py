"""Reads one picture file of a stranger in a process of its own (`webapp/processes.py`), and imports nothing of ours.

The header is looked at before anything is decoded, memory and time are bounded by the system, and what comes out are
pixels alone, encoded anew: nothing else that the file held survives. File in; one JSON line and, if all is well, a
PNG out.
"""

import io
import json
import resource
import sys

from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

MAX_PIXELS = 50_000_000
MAX_SIDE_PX = 16_384
MAX_KEPT_PX = 1024
MEMORY_BYTES = 2 * 1024**3
CPU_S = 10
# MPO is a JPEG with a second picture behind it, as telephones write them; the first is the photograph.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "AVIF")
STILL_FORMATS = frozenset({"JPEG", "MPO"})
NOT_TAKEN = "this is no picture file that can be read here; PNG, JPEG, WebP, GIF and AVIF can"
# What Pillow raises at bytes that are not what they seem.
BROKEN = (OSError, SyntaxError, ValueError, TypeError, EOFError, IndexError, KeyError, OverflowError, RuntimeError)


class Refused(Exception):
    """A file that is not taken: a code of docs/ERRORS.md, and the reason in words."""

    def __init__(self, *, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


def cleaned(data: bytes) -> Image.Image:
    """The one picture in these bytes: upright, sRGB with straight alpha, 8 bits, at most MAX_KEPT_PX a side.

    Raises:
        Refused: the file is none that is taken, is broken, too large, or animated.
    """
    try:
        image = _opened(data)
        image.load()
        image = _in_eight_bits(image)
        image.thumbnail((MAX_KEPT_PX, MAX_KEPT_PX), Image.Resampling.LANCZOS, reducing_gap=3.0)
        return _in_srgb(ImageOps.exif_transpose(image)).convert("RGBA")
    except Image.DecompressionBombError as error:
        raise Refused(code="picture_too_large", reason=_too_large("more pixels than can be read")) from error
    except MemoryError as error:
        raise Refused(
            code="picture_too_large", reason="it needs more memory than reading one picture may take"
        ) from error
    except BROKEN as error:
        raise Refused(code="picture_unreadable", reason=f"the file is damaged or ends too early: {error}") from error


def _opened(data: bytes) -> Image.Image:
    """The picture as its header describes it, small JPEGs excepted not yet decoded."""
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise Refused(code="picture_unreadable", reason=NOT_TAKEN) from error
    width, height = image.size
    if min(width, height) < 1:
        raise Refused(code="picture_unreadable", reason=f"the file says that it is {width} x {height} px")
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE_PX:
        raise Refused(code="picture_too_large", reason=_too_large(f"{width} x {height} px"))
    if image.format not in STILL_FORMATS and getattr(image, "is_animated", False):
        raise Refused(code="picture_animated", reason=f"this {image.format} is an animation; send one picture of it")
    image.draft(None, (MAX_KEPT_PX * 2, MAX_KEPT_PX * 2))  # a large JPEG is decoded at a fraction of its size
    return image


def _too_large(what: str) -> str:
    return f"it has {what}; at most {MAX_PIXELS:,} pixels and {MAX_SIDE_PX:,} a side can be read"


def _in_eight_bits(image: Image.Image) -> Image.Image:
    """The same picture in a mode that can be resized smoothly, its transparency in a channel of its own."""
    if image.mode.startswith("I"):  # 16 bits of grey; Pillow itself would cut everything above 255 off
        image.info.pop("transparency", None)
        return image.convert("I").point(lambda value: value * (1 / 257) + 0.5).convert("L")
    if image.mode in ("1", "P", "PA") or "transparency" in image.info:
        return image.convert("RGBA")
    return image


def _in_srgb(image: Image.Image) -> Image.Image:
    """The same colours for eyes that expect sRGB, where the file names the colour space that it is in."""
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "RGBA", "CMYK"):
        return image
    mode = "RGBA" if image.mode == "RGBA" else "RGB"
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode=mode)
    except (ImageCms.PyCMSError, *BROKEN):
        return image  # a profile of another kind of colours, or a broken one: the plain numbers, as without it
    return converted or image


def main() -> None:
    """Answer for the file on standard input."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    png = io.BytesIO()
    try:
        image = cleaned(sys.stdin.buffer.read())
        image.info.clear()
        image.save(png, "PNG")
    except Refused as refused:
        told: dict[str, str | int] = {"code": refused.code, "reason": refused.reason}
    else:
        told = {"width_px": image.width, "height_px": image.height}
    sys.stdout.buffer.write(json.dumps(told).encode() + b"\n" + png.getvalue())


if __name__ == "__main__":
    main()
