"""How well a tokenizer paints, and contact sheets. Sets of pictures are measured in `image_metrics.py`.

Pictures are uint8 arrays (H, W, 4) with straight alpha; everything is compared on white.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from genworkers.codecs.image_bytes import Floats, Pixels, premultiply, resize


def on_white(pixels: Pixels) -> Floats:
    """Composite on white: (H, W, 3) in 0..1."""
    premultiplied = premultiply(pixels)
    return premultiplied[..., :3] + 1.0 - premultiplied[..., 3:]


def psnr_db(ours: Pixels, real: Pixels) -> float:
    """Peak signal-to-noise ratio on white, in dB; 60 for equal pictures.

    Raises:
        ValueError: the pictures differ in size.
    """
    if ours.shape != real.shape:
        raise ValueError(f"pictures must have the same size, got {ours.shape} and {real.shape}")
    mean_square = float(np.square(on_white(ours) - on_white(real)).mean())
    return -10.0 * float(np.log10(max(mean_square, 1e-6)))


def contact_sheet(pictures: Sequence[Pixels], labels: Sequence[str], *, num_columns: int, cell_px: int) -> Image.Image:
    """Pictures in rows on white, each with its label beneath."""
    label_px = 16
    num_rows = -(-len(pictures) // num_columns)
    sheet = Image.new("RGB", (num_columns * cell_px, num_rows * (cell_px + label_px)), "white")
    draw = ImageDraw.Draw(sheet)
    for place, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        left, top = place % num_columns * cell_px, place // num_columns * (cell_px + label_px)
        shown = Image.fromarray(resize(picture, cell_px), mode="RGBA")
        sheet.paste(shown, (left, top), shown)
        draw.text((left + cell_px // 2, top + cell_px + 1), label, fill="black", anchor="ma")
    return sheet
