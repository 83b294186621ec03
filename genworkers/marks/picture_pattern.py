"""What a key writes into pictures: a tile of chips for each payload, and that tile repeated over a picture of any size.

A spread-spectrum mark (Cox, Kilian, Leighton, Shamoon 1997). One sign a chip is the key's own, always there, and shows
where a tile begins; 63 further patterns, at right angles to it and to each other, each carry one bit of the BCH code.
Nothing here reads a picture; `image_mark.py` writes and finds what is drawn here.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genworkers.marks import bch

TILE_CHIPS = 32
CHIPS_ACROSS = 128  # over the longer side of a picture, so that a resized one has them too
MIN_CHIP_PX = 2.0
SYNC_FRAC = 0.3  # of the energy; the rest is shared by the bits
MAX_CHIP = 1.4  # chips are about normal: few are louder than this, and they would be seen first

Floats = NDArray[np.float32]
Chips = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Patterns:
    """What one key draws with, all signs +1 or -1.

    Attributes:
        secret: what it is derived from.
        sync: (n,) the tile's signs row by row, n = TILE_CHIPS squared; independent coin tosses to who has no key.
        bits: (63, n) the pattern that says 0 for each bit of the code; its negative says 1.
    """

    secret: bytes
    sync: Chips
    bits: Chips

    def tile(self, codeword: bch.Bits) -> Chips:
        """The chips (n,) that say a codeword, before they are turned to where its payload begins."""
        said = (1.0 - 2.0 * codeword) @ self.bits
        loud = np.sqrt(SYNC_FRAC) * self.sync + np.sqrt((1.0 - SYNC_FRAC) / bch.NUM_BITS) * said
        chips: Chips = np.clip(loud, -MAX_CHIP, MAX_CHIP)
        return chips

    def start(self, payload: int) -> tuple[int, int]:
        """Where in a picture the tile of a payload begins, in chips down and right.

        Every payload begins elsewhere, so that two of one key can be told apart where both lie in a picture, and the
        average of many pictures does not show the key's signs.
        """
        drawn = hashlib.shake_256(self.secret + b"start" + payload.to_bytes(8)).digest(2)
        return drawn[0] % TILE_CHIPS, drawn[1] % TILE_CHIPS


@lru_cache(maxsize=64)
def patterns_of(secret: bytes) -> Patterns:
    """The patterns of 32 secret bytes: rows of a Hadamard matrix, chosen and scrambled by SHAKE-256 (FIPS 202)."""
    num_chips = TILE_CHIPS**2
    stream = hashlib.shake_256(secret).digest(num_chips // 8 + 8 + 8 * (num_chips - 1))
    signs = 1.0 - 2.0 * np.unpackbits(np.frombuffer(stream[: num_chips // 8 + 8], dtype=np.uint8)).astype(np.float64)
    sync, turned = signs[:num_chips], signs[num_chips : num_chips + bch.NUM_BITS]
    lots = np.frombuffer(stream[num_chips // 8 + 8 :], dtype="<u8")
    rows = 1 + np.argsort(lots, kind="stable")[: bch.NUM_BITS]
    hadamard: Chips = 1.0 - 2.0 * (np.bitwise_count(rows[:, None] & np.arange(num_chips)) % 2).astype(np.float64)
    # Without a sign of its own for each bit the patterns of payload 0 would add up to a single spike.
    return Patterns(secret, sync, hadamard * sync * turned[:, None])


@lru_cache(maxsize=8)
def pattern(secret: bytes, payload: int, height_px: int, width_px: int) -> Floats:
    """The mark of a payload over a whole picture, (H, W), about 1 on average; do not write into it."""
    patterns = patterns_of(secret)
    chips = patterns.tile(bch.encode(payload)).astype(np.float32).reshape(TILE_CHIPS, TILE_CHIPS)
    chip_px = max(MIN_CHIP_PX, max(height_px, width_px) / CHIPS_ACROSS)
    down, across = height_px / chip_px, width_px / chip_px
    num_tiles = (int(np.ceil(down / TILE_CHIPS)), int(np.ceil(across / TILE_CHIPS)))
    tiled = np.tile(np.roll(chips, patterns.start(payload), axis=(0, 1)), num_tiles)
    spread = Image.fromarray(tiled, mode="F").resize(
        (width_px, height_px), Image.Resampling.BICUBIC, box=(0, 0, across, down)
    )
    return np.asarray(spread)
