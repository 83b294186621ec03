"""What is left of a picture when its content is taken away, folded onto one tile at every scale it may have.

Start at `tiles_of`. Nothing here knows a key, so it is done once however many are tried.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genworkers.marks.picture_pattern import CHIPS_ACROSS, TILE_CHIPS, Floats

Pixels = NDArray[np.uint8]
Spectra = NDArray[np.complex64]

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601
WHITE = 255.0
# How many chips lie along the longer side: 128 in a whole picture, fewer in a cropped one, more in one with margins.
LEVELS_CHIPS = ((40, 64), (64, 128), (128, 200))
MAX_DRIFT_CHIPS = 0.3  # how far chips at the border of what is marked may be off, between two scales that are tried
CROPPED_FROM_CHIP_PX = (2.0, 4.0, 8.0)  # of pictures of 256, 512 and 1,024 px
CELLS_A_CHIP = 2
RADIUS_PX = 4
EDGE = 24.0  # levels; what differs by more is another thing, not the mark
MAX_TO_MEDIAN = 3.0
LEAST_LEFT = 0.01
MAX_READ_PX = 1024


@dataclass(frozen=True, eq=False)
class Tiles:
    """What a picture leaves in a tile, for every way its chips may lie.

    Attributes:
        chips: (N, TILE_CHIPS, TILE_CHIPS), each of norm 1, or all 0 where nothing was left.
        spectra: (N, TILE_CHIPS, TILE_CHIPS // 2 + 1), what `numpy.fft.rfft2` makes of them.
        across: (N,) how many chips lie along the picture's longer side.
    """

    chips: Floats
    spectra: Spectra
    across: NDArray[np.float64]


def tiles_of(lumas: Sequence[Floats], scales: NDArray[np.float64]) -> Tiles:
    """Fold what is left of a picture, or of the frames of an animation together.

    Args:
        lumas: one or more of `luma_on_white`, all of one size.
        scales: (S,) how many chips may lie along the longer side, each within LEVELS_CHIPS.
    """
    chips, across = [], []
    for low, high in LEVELS_CHIPS:
        of_level = scales[(scales > low) & (scales <= high)]
        if len(of_level):
            left = np.stack([_residual(_with_side(luma, CELLS_A_CHIP * high)) for luma in lumas])
            chips.append(_chips(_folded(left.mean(0), of_level)))
            across.append(np.repeat(of_level, CELLS_A_CHIP**2))
    return Tiles(*_whitened(np.concatenate(chips)), np.concatenate(across))


def likely_scales(longer_px: int) -> NDArray[np.float64]:
    """How many chips lie along the longer side of whole pictures of any size, and of merely cropped ones."""
    exact = [float(CHIPS_ACROSS), *(longer_px / chip_px for chip_px in CROPPED_FROM_CHIP_PX)]
    return np.unique([each for each in exact if LEVELS_CHIPS[0][0] < each <= LEVELS_CHIPS[-1][1]])


def all_scales() -> NDArray[np.float64]:
    """Every scale in LEVELS_CHIPS, near enough to each other."""
    lowest, highest = LEVELS_CHIPS[0][0], LEVELS_CHIPS[-1][1]
    step = 4.0 * MAX_DRIFT_CHIPS  # half a step away, half the chips from the middle are off by a share of it
    parts = np.arange(lowest + step, CHIPS_ACROSS, step)
    wider = CHIPS_ACROSS * np.exp(np.arange(0.0, np.log(highest / CHIPS_ACROSS), step / CHIPS_ACROSS))
    return np.concatenate([parts, wider])


def luma_on_white(pixels: Pixels) -> Floats:
    """How light a picture is on a white page: (H, W) in 0..255; large ones are read at half size, a third, ...."""
    factor = max(pixels.shape[:2]) // MAX_READ_PX
    if factor > 1:
        pixels = np.asarray(Image.fromarray(pixels).reduce(factor))
    luma = pixels[..., :3].astype(np.float32) @ LUMA
    alpha = pixels[..., 3].astype(np.float32) / 255.0 if pixels.shape[2] == 4 else np.float32(1.0)
    return np.asarray(WHITE + (luma - WHITE) * alpha, dtype=np.float32)


def _with_side(luma: Floats, longer_px: int) -> Floats:
    height_px, width_px = luma.shape
    factor = longer_px / max(height_px, width_px)
    size = max(1, round(width_px * factor)), max(1, round(height_px * factor))
    return np.asarray(Image.fromarray(luma, mode="F").resize(size, Image.Resampling.LANCZOS))


def _residual(luma: Floats) -> Floats:
    """How far each pixel differs from those near it that are about as light: noise and marks, no edges and no slopes.

    What a bilateral filter takes away (Tomasi, Manduchi 1998), with Tukey's biweight in place of the Gaussian and not
    divided by the sum of the weights, so that a pixel with few neighbours of its own kind counts for less.
    """
    height_px, width_px = luma.shape
    left = np.zeros_like(luma)
    for down in range(RADIUS_PX + 1):
        for right in range(-RADIUS_PX, RADIUS_PX + 1):
            is_second_of_pair = down == 0 and right <= 0
            if is_second_of_pair or down**2 + right**2 > RADIUS_PX**2 or down >= height_px or abs(right) >= width_px:
                continue
            here = slice(0, height_px - down), slice(max(0, -right), width_px - max(0, right))
            there = slice(down, height_px), slice(max(0, right), width_px - max(0, -right))
            difference = luma[here] - luma[there]
            kinship = np.maximum(1.0 - np.square(difference / EDGE), 0.0)
            difference *= kinship * kinship
            left[here] += difference
            left[there] -= difference
    return left


def _folded(left: Floats, across: NDArray[np.float64]) -> Floats:
    """Sum all tiles of a picture into one, at each scale: (S, cells, cells), CELLS_A_CHIP cells a chip."""
    cells_a_px = CELLS_A_CHIP * across / max(left.shape)
    rows, columns = (_fold_weights(length_px, cells_a_px) for length_px in left.shape)
    down = (rows.reshape(-1, left.shape[0]) @ left).reshape(len(across), -1, left.shape[1])
    folded: Floats = np.matmul(down, columns.transpose(0, 2, 1))
    return folded


def _fold_weights(length_px: int, cells_a_px: NDArray[np.float64]) -> Floats:
    """(S, cells, length_px): the share of each pixel that falls into each cell; cells are at least a pixel wide."""
    num_cells = CELLS_A_CHIP * TILE_CHIPS
    starts = np.arange(length_px) * cells_a_px[:, None]
    first = np.floor(starts).astype(np.intp)
    share = np.minimum(1.0, (first + 1 - starts) / cells_a_px[:, None])
    weights = np.zeros((len(cells_a_px), num_cells, length_px), dtype=np.float32)
    scale, place = np.indices(starts.shape)
    weights[scale, first % num_cells, place] = share
    weights[scale, (first + 1) % num_cells, place] = 1.0 - share
    return weights


def _chips(folded: Floats) -> Floats:
    """Cells to chips, for each cell in which a chip may begin: (S * CELLS_A_CHIP**2, TILE_CHIPS, TILE_CHIPS)."""
    begun = [(down, right) for down in range(CELLS_A_CHIP) for right in range(CELLS_A_CHIP)]
    turned = np.stack([np.roll(folded, (-down, -right), axis=(1, 2)) for down, right in begun], axis=1)
    chips: Floats = turned.reshape(-1, TILE_CHIPS, CELLS_A_CHIP, TILE_CHIPS, CELLS_A_CHIP).sum((2, 4))
    return chips


def _whitened(chips: Floats) -> tuple[Floats, Spectra]:
    """Without what repeats: no frequency is louder than a few times the median. Then of norm 1, with its spectrum."""
    spectra = np.fft.rfft2(chips).astype(np.complex64, copy=False)
    spectra[:, 0, 0] = 0.0
    loudness = np.abs(spectra)
    most = MAX_TO_MEDIAN * np.median(loudness, axis=(1, 2), keepdims=True)
    spectra *= np.minimum(1.0, most / np.maximum(loudness, 1e-9))
    white = np.fft.irfft2(spectra, s=chips.shape[1:]).astype(np.float32, copy=False)
    norm = np.linalg.norm(white, axis=(1, 2), keepdims=True)
    # A flat picture leaves rounding errors only, which would be made as loud as a mark.
    share = np.where(norm > LEAST_LEFT, 1.0 / np.maximum(norm, LEAST_LEFT), 0.0).astype(np.float32)
    return white * share, spectra * share
