"""The layer sheets of the characters corpus as numbers of palette colours: read from their tar once, kept in a cache.

A sheet shows one thing (a body, a shirt, a haircut) in one colour from four directions. Every pixel is either empty or
opaque, so a picture is layers written over one another, and all pictures together have fewer than 256 colours.
"""

import io
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FRAME_PX = 64
DIRECTIONS = ("up", "left", "down", "right")  # rows of a sheet, top to bottom
TRANSPARENT = "transparent"
GROUNDS = {
    # The five of the corpus ...
    "white": (0xFF, 0xFF, 0xFF),
    "green": (0x78, 0xB4, 0x64),
    "black": (0x14, 0x14, 0x18),
    "grey": (0xBE, 0xBE, 0xBE),
    "light blue": (0xAD, 0xD8, 0xF0),
    # ... and more, which no layer has.
    "red": (0xC8, 0x48, 0x48),
    "orange": (0xE6, 0x96, 0x50),
    "yellow": (0xF2, 0xDC, 0x78),
    "pink": (0xF0, 0xB4, 0xC8),
    "purple": (0x8C, 0x64, 0xB4),
    "blue": (0x46, 0x78, 0xC8),
    "brown": (0x82, 0x60, 0x46),
}


@dataclass(frozen=True)
class LayerFrames:
    """First frames of all sheets.

    Attributes:
        palette: (P, 4) uint8 straight RGBA; row 0 is transparent.
        numbers: sheet path below `layers/`, without ".png", to its row.
        starts: (S * 4 + 1) int64; where the pixels of row r seen from direction d begin: `starts[4 * r + d]`.
        places: flat positions 0..4095 of opaque pixels, int64.
        colours: their palette numbers, uint8.
    """

    palette: NDArray[np.uint8]
    numbers: dict[str, int]
    starts: NDArray[np.int64]
    places: NDArray[np.int64]
    colours: NDArray[np.uint8]

    def names(self, folder: str) -> tuple[str, ...]:
        """Sheets that lie directly in a folder, sorted, without their path; `_Behind` is none of them."""
        own = (PurePosixPath(name) for name in self.numbers)
        return tuple(sorted(path.name for path in own if str(path.parent) == folder and path.name[0] != "_"))

    def pixels(self, sheet: str, direction: str) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """Flat places (M) in 0..4095 of one layer's pixels, and their palette numbers (M)."""
        row = 4 * self.numbers[sheet] + DIRECTIONS.index(direction)
        part = slice(self.starts[row], self.starts[row + 1])
        return self.places[part], self.colours[part]

    def write(self, canvas: NDArray[np.uint8], sheet: str, direction: str) -> None:
        """Write one layer over a flat (4096) canvas of palette numbers."""
        places, colours = self.pixels(sheet, direction)
        canvas[places] = colours

    def ground(self, name: str) -> int:
        """Palette number of a ground colour, 0 for the transparent one."""
        if name == TRANSPARENT:
            return 0
        return int((self.palette[1:, :3] == np.array(GROUNDS[name])).all(1).argmax()) + 1


def load_layers(corpus: Path, cache: Path) -> LayerFrames:
    """Read all sheets from `corpus/characters/layers.tar`, or the arrays that `cache` already has."""
    cached = cache / "character-layers.npz"
    if not cached.exists():
        cache.mkdir(parents=True, exist_ok=True)
        _read_tar(corpus / "characters" / "layers.tar", cached)
    with np.load(cached) as arrays:
        numbers = {name: row for row, name in enumerate(arrays["names"].tolist())}
        return LayerFrames(arrays["palette"], numbers, arrays["starts"], arrays["places"], arrays["colours"])


def _read_tar(path: Path, cached: Path) -> None:
    names: list[str] = []
    lengths: list[int] = []
    places: list[NDArray[np.int64]] = []
    colours: list[NDArray[np.uint32]] = []
    with tarfile.open(path) as tar:
        for member in sorted(tar.getmembers(), key=lambda m: m.name):
            handle = tar.extractfile(member) if member.name.endswith(".png") else None
            if handle is None:
                continue
            with Image.open(io.BytesIO(handle.read())) as image:
                sheet = np.asarray(image.convert("RGBA"))
            names.append(member.name.removeprefix("layers/").removesuffix(".png"))
            for row in range(len(DIRECTIONS)):
                frame = sheet[row * FRAME_PX : (row + 1) * FRAME_PX, :FRAME_PX].reshape(-1, 4)
                opaque = np.flatnonzero(frame[:, 3])
                places.append(opaque)
                lengths.append(len(opaque))
                colours.append(_packed(frame[opaque, :3]))
    grounds = _packed(np.array(list(GROUNDS.values()), dtype=np.uint8))
    flat = np.concatenate(colours)
    distinct = np.unique(np.concatenate([flat, grounds]))
    palette = np.zeros((len(distinct) + 1, 4), dtype=np.uint8)
    palette[1:] = np.stack([distinct >> 16, distinct >> 8 & 255, distinct & 255, np.full_like(distinct, 255)], 1)
    np.savez_compressed(
        cached,
        palette=palette,
        names=np.array(names),
        starts=np.cumsum([0, *lengths]),
        places=np.concatenate(places),
        colours=(np.searchsorted(distinct, flat) + 1).astype(np.uint8),
    )


def _packed(rgb: NDArray[np.uint8]) -> NDArray[np.uint32]:
    wide = rgb.astype(np.uint32)
    return np.asarray(wide[:, 0] << 16 | wide[:, 1] << 8 | wide[:, 2], dtype=np.uint32)
