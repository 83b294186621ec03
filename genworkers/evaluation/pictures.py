"""Numbers and sheets about pictures: how well a tokenizer paints, and how often a net finds a known picture again.

Pictures are uint8 arrays (H, W, 4) with straight alpha; everything is compared on white.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
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


@dataclass(frozen=True)
class Recall:
    """Whether drawn pictures are nearest to the picture of their own prompt.

    Attributes:
        at_1, at_5: share of prompts whose own picture is the nearest, or among the five nearest.
        median_psnr_db: between a drawn picture and its own.
    """

    at_1: float
    at_5: float
    median_psnr_db: float


def recall_of_own_picture(drawn: Sequence[Pixels], gallery: Sequence[Pixels], own: Sequence[int]) -> Recall:
    """How well a net that knows these pictures finds them again: a measure of memory, not of invention.

    Args:
        drawn: one picture a prompt, of one size.
        gallery: the pictures of all prompts, of the same size.
        own: for each drawn picture the place of its own one in the gallery.
    """
    flat = np.stack([on_white(picture).ravel() for picture in gallery])
    ranks, scores = [], []
    for picture, place in zip(drawn, own, strict=True):
        mean_square = np.square(flat - on_white(picture).ravel()).mean(1)
        ranks.append(int((mean_square < mean_square[place]).sum()))
        scores.append(psnr_db(picture, gallery[place]))
    found: NDArray[np.int64] = np.array(ranks)
    return Recall(float((found < 1).mean()), float((found < 5).mean()), float(np.median(scores)))


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
