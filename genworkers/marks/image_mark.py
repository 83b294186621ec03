"""Marks in pictures: `embed` writes a 36-bit payload that is not seen, `detect` finds it and says how sure that is.

What is written is drawn in `picture_pattern.py`; how a picture is read is in `picture_residual.py`; the code that
corrects wrong bits is `bch.py`. Numpy and Pillow only.

How sure: a key's signs are coin tosses to whoever does not have it, whatever the picture shows. So in a picture that
was not marked with the key, the correlation with one of its patterns, divided by its norm, is above z with probability
at most exp(-z**2 / 2) (Hoeffding 1963, "Probability inequalities for sums of bounded random variables", Theorem 2), and
that times the number of patterns tried bounds the chance of a false finding. Nothing is fitted or assumed of pictures.
The bound is about the key. Where the key is there, and with it its sign, another payload than the written one may pass;
so a payload counts only where few of its bits had to be corrected, and how often it is wrong was measured.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from genworkers.contract.examination import FALSE_POSITIVE_FRAC
from genworkers.marks import bch
from genworkers.marks.keys import MarkKey
from genworkers.marks.picture_pattern import TILE_CHIPS, Floats, Patterns, pattern, patterns_of
from genworkers.marks.picture_residual import (
    CELLS_A_CHIP,
    LUMA,
    Pixels,
    Tiles,
    all_scales,
    likely_scales,
    luma_on_white,
    tiles_of,
)

# Names in records how pictures are marked and found; another number where either changes.
SCHEME = "picture.1"
PURPOSE = "picture"
PSNR_DB = 45.0
MAX_PSNR_DB = 60.0
MIN_PSNR_DB = 30.0
MAX_P = FALSE_POSITIVE_FRAC["picture"]
NUM_PAYLOADS = 1 << bch.NUM_PAYLOAD_BITS
DARK = 64.0  # levels; below it one level more is seen better, because screens are not linear
SHARE_IN_BLACK = 0.5
NUM_GAIN_STEPS = 4
MIN_PEAK = 4.0  # chance alone reaches it once in 30,000 places; a mark that can be read is far above
NUM_PEAKS = 6
ONE_SCALE = 0.02
NUM_PLACES = 2 * (CELLS_A_CHIP * TILE_CHIPS) ** 2  # where a tile can begin, as it is and mirrored


@dataclass(frozen=True, slots=True)
class ImageMarkFinding:
    """A mark that was found.

    Attributes:
        key_id: of the key that wrote it.
        payload: 0 .. 2**36 - 1.
        is_agreed: the payload can be relied on: the whole mark is beyond the bound, and at most bch.NUM_CORRECTED bits
            were corrected. Of noisy tiles near the bound 1 in 220 of these was wrong (`docs/experiments`).
        z: how far the picture agrees with the whole mark, in standard deviations of chance.
        p_value: at most so likely would anything be found with these keys in a picture that none of them marked;
            every key, scale, place and payload that was tried is counted.
        read_bits: the 63 bits of the code as they were read, before correction; the first is the lowest.
        num_corrected_bits: how many of them were read wrongly and corrected.
        chips_across: chips along the longer side; 128 in a whole picture, fewer in a part of one.
        is_mirrored: left and right have been swapped since it was written.
        corner_chips: where the corner of the picture that was marked lies, down and right, modulo TILE_CHIPS.
    """

    key_id: str
    payload: int
    is_agreed: bool
    z: float
    p_value: float
    read_bits: int
    num_corrected_bits: int
    chips_across: float
    is_mirrored: bool
    corner_chips: tuple[float, float]


def embed(pixels: Pixels, key: MarkKey, payload: int, *, psnr_db: float = PSNR_DB) -> Pixels:
    """A copy of a picture with a mark in the light of every pixel that can be seen.

    Fully transparent pixels and all alpha stay as they are, to the bit. A picture that has only such pixels comes back
    unchanged.

    Args:
        pixels: (H, W, 3) RGB or (H, W, 4) RGBA, straight.
        payload: 0 .. 2**36 - 1.
        psnr_db: how near the result is to the picture, over the pixels that can be seen and weighted by their alpha.

    Raises:
        ValueError: an argument is out of range.
    """
    _check(pixels, 3)
    if not MIN_PSNR_DB <= psnr_db <= MAX_PSNR_DB:
        raise ValueError(f"psnr_db must be {MIN_PSNR_DB:.0f} to {MAX_PSNR_DB:.0f}, got {psnr_db}")
    if not 0 <= payload < NUM_PAYLOADS:
        raise ValueError(f"payload must be 0 .. 2**{bch.NUM_PAYLOAD_BITS} - 1, got {payload}")
    marked = pixels.copy()
    colour = pixels[..., :3].astype(np.float32)
    alpha = np.ones(pixels.shape[:2], np.float32) if pixels.shape[2] == 3 else pixels[..., 3].astype(np.float32) / 255.0
    if not alpha.any():
        return marked
    light = SHARE_IN_BLACK + (1.0 - SHARE_IN_BLACK) * np.minimum(colour @ LUMA / DARK, 1.0)
    wanted = (alpha > 0.0) * light * pattern(key.derived(PURPOSE), payload, *pixels.shape[:2])
    goal = 255.0**2 / 10.0 ** (psnr_db / 10.0)
    gain = math.sqrt(goal)
    for _ in range(NUM_GAIN_STEPS):  # rounding and clipping at black and white make the error differ from the gain
        marked[..., :3] = np.rint(np.clip(colour + gain * wanted[..., None], 0.0, 255.0))
        error = np.square(marked[..., :3] - colour).mean(-1)
        reached = float((error * alpha).sum() / alpha.sum())
        gain *= math.sqrt(goal / max(reached, goal / 4.0))
    return marked


def findings(pixels: Pixels, keys: Sequence[MarkKey]) -> list[ImageMarkFinding]:
    """Every mark of the keys whose p-value is at most MAX_P, the surest first: several where one lies over another.

    The picture may have been resized, cropped, mirrored or given margins since, so that what was its whole width is now
    0.6 to 3.2 times its longer side; it may not have been turned or stretched in one direction.

    Args:
        pixels: (H, W, 3), (H, W, 4), or frames of one animation (N, H, W, 3 or 4), which are read together.
        keys: all that may have written it; none finds nothing.

    Raises:
        ValueError: the shape or the type of the pixels is another.
    """
    likely = [found for found in candidates(pixels, keys) if found.p_value <= MAX_P]
    return likely[:1] + [found for found in likely[1:] if found.is_agreed and not _is_echo(found, likely[0])]


def candidates(pixels: Pixels, keys: Sequence[MarkKey]) -> list[ImageMarkFinding]:
    """What comes nearest to a mark, likely or not: each key and payload once, agreed ones first; as `findings`."""
    _check(pixels, 3 if pixels.ndim == 3 else 4)
    if not keys:
        return []
    frames = list(pixels) if pixels.ndim == 4 else [pixels]
    lumas = [luma_on_white(frame) for frame in frames]
    rounds = likely_scales(max(frames[0].shape[:2])), all_scales()
    num_tried = len(keys) * NUM_PLACES * sum(map(len, rounds))
    surest: dict[tuple[str, int], ImageMarkFinding] = {}
    for scales in rounds:
        tiles = tiles_of(lumas, scales)
        for found in (each for key in keys for each in _of_key(tiles, key, num_tried)):
            name = found.key_id, found.payload
            if name not in surest or found.z > surest[name].z:
                surest[name] = found
        if any(found.is_agreed for found in surest.values()):
            break
    return sorted(surest.values(), key=lambda found: (not found.is_agreed, found.p_value, -found.z))


def _of_key(tiles: Tiles, key: MarkKey, num_tried: int) -> list[ImageMarkFinding]:
    """What the highest peaks of one key say, likely or not."""
    patterns = patterns_of(key.derived(PURPOSE))
    signs = patterns.sync.astype(np.float32).reshape(TILE_CHIPS, TILE_CHIPS)
    # How far each tile agrees with the key's signs and with their mirror image, begun at each chip: (2, N, T, T).
    of_signs = np.fft.rfft2(np.stack([signs, signs[:, ::-1]]))[:, None].astype(np.complex64, copy=False)
    peaks = np.fft.irfft2(tiles.spectra * of_signs.conj(), s=signs.shape).astype(np.float32, copy=False)
    high = np.flatnonzero(peaks > MIN_PEAK)
    highest = high[np.argsort(-peaks.ravel()[high], kind="stable")[:NUM_PEAKS]]
    found = []
    for place in highest.tolist():
        is_mirrored, index, down, right = (int(each) for each in np.unravel_index(place, peaks.shape))
        read = np.roll(tiles.chips[index], (-down, -right), axis=(0, 1))[:, :: -1 if is_mirrored else 1].ravel()
        z, payload, read_bits, num_corrected_bits = _message(read, patterns)
        payload_p = _bound(z, num_tried * NUM_PAYLOADS)
        begun_down, begun_right = divmod(index % CELLS_A_CHIP**2, CELLS_A_CHIP)
        start_down, start_right = patterns.start(payload)
        corner_down = down + begun_down / CELLS_A_CHIP - start_down
        corner_right = right + begun_right / CELLS_A_CHIP + (start_right if is_mirrored else -start_right)
        sync_p = _bound(float(peaks.ravel()[place]), num_tried)
        # The better of two tests counts double.
        found.append(
            ImageMarkFinding(
                key_id=key.key_id,
                payload=payload,
                is_agreed=payload_p <= MAX_P and num_corrected_bits <= bch.NUM_CORRECTED,
                z=z,
                p_value=min(1.0, 2.0 * min(payload_p, sync_p)),
                read_bits=read_bits,
                num_corrected_bits=num_corrected_bits,
                chips_across=float(tiles.across[index]),
                is_mirrored=bool(is_mirrored),
                corner_chips=(corner_down % TILE_CHIPS, corner_right % TILE_CHIPS),
            )
        )
    return found


def _message(read: Floats, patterns: Patterns) -> tuple[float, int, int, int]:
    """How far the chips (n,) agree with the payload that they most likely say; it; the bits; how many are wrong."""
    soft = patterns.bits @ read
    payload, codeword = bch.decode(soft)
    tile = patterns.tile(codeword)
    z = float(read @ tile) / max(float(np.linalg.norm(read * tile)), 1e-9)
    is_one = soft < 0
    read_bits = sum(int(bit) << place for place, bit in enumerate(is_one))
    return z, payload, read_bits, int((is_one != codeword).sum())


def _is_echo(found: ImageMarkFinding, surest: ImageMarkFinding) -> bool:
    """Whether it is what a surer mark of the same key sounds like elsewhere in the tile.

    A second mark over or under it has the same corner, as each payload begins where its key says.
    """
    if found.key_id != surest.key_id or abs(found.chips_across / surest.chips_across - 1.0) > ONE_SCALE:
        return False
    apart = np.abs(np.subtract(found.corner_chips, surest.corner_chips))
    return found.is_mirrored != surest.is_mirrored or bool((np.minimum(apart, TILE_CHIPS - apart) > 1.0).any())


def _bound(z: float, num_tried: int) -> float:
    return min(1.0, math.exp(math.log(num_tried) - 0.5 * max(z, 0.0) ** 2))


def _check(pixels: Pixels, num_dimensions: int) -> None:
    if pixels.dtype != np.uint8 or pixels.ndim != num_dimensions or pixels.shape[-1] not in (3, 4) or not pixels.size:
        raise ValueError(f"pixels must be uint8 (H, W, 3) or (H, W, 4), got {pixels.dtype} {pixels.shape}")
