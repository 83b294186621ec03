"""Fingerprints: what a picture or a text still has after it was compressed, resized or lightly edited. No secrets.

`of_picture` and `of_text` make one, `bands` says under which numbers to look for near ones; they are compared in
`genworkers/contract/fingerprints.py`. A cropped, turned or redrawn picture has another; a mark is what finds that.
"""

import hashlib
import re
import unicodedata

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genworkers.contract.fingerprints import PICTURE, TEXT

Pixels = NDArray[np.uint8]
Flags = NDArray[np.bool_]

SIDE_PX = 32
LOWEST_WAVES = (120, 64, 64)  # of the light, of blue and of red
WAVE_LEVELS = (8.0, -8.0)  # above noise and rounding, so that flat parts always say the same
MEAN_LEVELS = ((64, 128, 192), (104, 120, 136, 152), (104, 120, 136, 152))
NUM_PATCHES = 4  # by as many
BAND_BITS = 32
SPREAD = 211  # shares no factor with the number of bits, so that a band takes bits from everywhere

SHINGLE_WORDS = 3
NUM_HASHES = 126
BAND_HASHES = 3
_ODD = np.frombuffer(hashlib.shake_256(b"tessera text fingerprint").digest(16 * NUM_HASHES), "<u8").reshape(2, -1, 1)


def of_picture(pixels: Pixels) -> bytes:
    """The fingerprint of a picture as it looks on white: 85 bytes.

    After Zauner 2010, "Implementation and benchmarking of perceptual image hash functions" (its DCT hash). Differs from
    it: three planes of colour, each wave against two levels instead of their median, and the colours of 4 x 4 patches,
    because stickers of one shape differ in colour only.

    Args:
        pixels: (H, W, 3) or (H, W, 4).

    Raises:
        ValueError: shape or type are others.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (3, 4) or not pixels.size:
        raise ValueError(f"pixels must be uint8 (H, W, 3) or (H, W, 4), got {pixels.dtype} {pixels.shape}")
    picture = Image.fromarray(pixels)
    if picture.mode == "RGBA":
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    small = np.asarray(picture.convert("YCbCr").resize((SIDE_PX, SIDE_PX), Image.Resampling.BOX), dtype=np.float64)
    bits = []
    for plane, num_waves, levels in zip(np.moveaxis(small, 2, 0), LOWEST_WAVES, MEAN_LEVELS, strict=True):
        waves = (_COSINES @ plane @ _COSINES.T).ravel()[_FROM_LOW[1 : num_waves + 1]]
        means = plane.reshape(NUM_PATCHES, SIDE_PX // NUM_PATCHES, NUM_PATCHES, -1).mean((1, 3)).ravel()
        bits += [waves > level for level in WAVE_LEVELS] + [means > level for level in levels]
    return PICTURE + np.packbits(np.concatenate(bits)).tobytes()


def of_text(text: str) -> bytes:
    """The fingerprint of a text: 127 bytes; case, punctuation, spaces and compatibility forms do not count.

    MinHash (Broder 1997) of its triples of words, of which one byte a hash is kept (Li, König 2010, "b-Bit minwise
    hashing"). A text of fewer words is one shingle, one without words (emoji) is read by characters.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    words = re.findall(r"\w+", folded) or list("".join(folded.split()))
    last = max(1, len(words) - SHINGLE_WORDS + 1)
    shingles = {" ".join(words[start : start + SHINGLE_WORDS]).encode() for start in range(last)}
    digests = b"".join(hashlib.blake2b(shingle, digest_size=8).digest() for shingle in shingles)
    hashed = np.frombuffer(digests, dtype="<u8")
    least = [(factor * hashed + offset).min() for factor, offset in zip(_ODD[0] | 1, _ODD[1], strict=True)]
    return TEXT + bytes(int(each) & 255 for each in least)


def bands(fingerprint: bytes) -> list[int]:
    """Numbers below 2**38, for an index: fingerprints that are near share at least one, others seldom do.

    21 of a picture, 42 of a text; no picture's is a text's.
    """
    if fingerprint[:1] == PICTURE:
        bits = _bits(fingerprint)
        spread = bits[np.arange(len(bits)) * SPREAD % len(bits)].reshape(-1, BAND_BITS)
        values = [int.from_bytes(np.packbits(band).tobytes()) for band in spread]
        return [place << 32 | value for place, value in enumerate(values)]
    kept = fingerprint[1:]
    starts = range(0, len(kept), BAND_HASHES)
    return [1 << 37 | start << 24 | int.from_bytes(kept[start : start + BAND_HASHES]) for start in starts]


def _bits(fingerprint: bytes) -> Flags:
    return np.unpackbits(np.frombuffer(fingerprint[1:], dtype=np.uint8)).astype(np.bool_)


def _cosines() -> NDArray[np.float64]:
    """(SIDE_PX, SIDE_PX): the waves of a DCT-II, one a row, all of one norm but the first."""
    angles = (np.arange(SIDE_PX) + 0.5) * np.pi / SIDE_PX
    rows: NDArray[np.float64] = np.cos(np.arange(SIDE_PX)[:, None] * angles) * np.sqrt(2.0 / SIDE_PX)
    return rows


_COSINES = _cosines()
_FROM_LOW = np.argsort(np.add.outer(np.arange(SIDE_PX), np.arange(SIDE_PX)).ravel(), kind="stable")
