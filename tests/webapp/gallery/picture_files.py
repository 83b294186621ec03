"""Picture files, good and bad, as people and attackers send them."""

import io
from typing import Any

from PIL import Image

ORIENTATION = 0x0112
RED, BLUE = (255, 0, 0), (0, 0, 255)
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(2)</script></svg>'


def file_of(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    """The picture as a file."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def half_red(width_px: int = 60, height_px: int = 40) -> Image.Image:
    """Blue, its left half red."""
    image = Image.new("RGB", (width_px, height_px), BLUE)
    image.paste(RED, (0, 0, width_px // 2, height_px))
    return image


def rotated() -> bytes:
    """A JPEG whose EXIF says that it is to be turned by 90 degrees: what is left becomes the top."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    return file_of(half_red(), "JPEG", exif=exif, quality=95)


def animated(form: str) -> bytes:
    """Two frames."""
    return file_of(half_red(), form, save_all=True, append_images=[Image.new("RGB", (60, 40), BLUE)])


def noise(width_px: int, height_px: int, form: str = "PNG") -> bytes:
    """A file that cannot be packed small."""
    return file_of(Image.effect_noise((width_px, height_px), 80).convert("RGB"), form)
