"""Which words of a prompt drew which part of a picture: one map per word, and in words where it is strongest."""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from genworkers.contract.image import Explanation

NEAR_MIDDLE = 0.1  # how far the centre of a word's weight may lie from the picture's, as a share of its side
EVERYWHERE = 0.36  # mean distance from that centre, as a share of the side, from which no place is named; even is 0.41


@dataclass(frozen=True)
class WordHeat:
    """One word, where it is strongest in words, and its own uint8 map in base64, row by row."""

    word: str
    place: str
    heat: str


@dataclass(frozen=True)
class Heat:
    """The words of one picture; every map has `grid` rows and columns."""

    grid: int
    words: list[WordHeat]


def heat_of(facts: Mapping[str, Any]) -> Heat | None:
    """What an artifact's facts explain, or None when they explain nothing that can be read."""
    try:
        told = Explanation.model_validate(facts["explanation"])
        maps = b64decode(told.maps, validate=True)
    except (KeyError, ValidationError, binascii.Error):
        return None
    num_tiles = told.grid**2
    if not told.words or num_tiles == 0 or len(maps) != num_tiles * len(told.words):
        return None
    parts = [maps[start : start + num_tiles] for start in range(0, len(maps), num_tiles)]
    words = [
        WordHeat(word, place_of(part, told.grid), b64encode(part).decode())
        for word, part in zip(told.words, parts, strict=True)
    ]
    return Heat(told.grid, words)


def place_of(values: bytes, grid: int) -> str:
    """Where a map is strongest: "mostly top left", "mostly in the middle", or "all over".

    >>> place_of(bytes([255, 9, 9, 9]), 2), place_of(bytes([9, 9, 9, 9]), 2)
    ('mostly top left', 'all over')
    """
    mean = sum(values) / len(values)
    weights = [max(0.0, value - mean) for value in values]
    total = sum(weights)
    if total == 0.0:
        return "all over"
    spots = [((tile % grid + 0.5) / grid, (tile // grid + 0.5) / grid) for tile in range(grid * grid)]
    across = sum(weight * x for weight, (x, _) in zip(weights, spots, strict=True)) / total
    down = sum(weight * y for weight, (_, y) in zip(weights, spots, strict=True)) / total
    spread = sum(w * ((x - across) ** 2 + (y - down) ** 2) for w, (x, y) in zip(weights, spots, strict=True)) / total
    if spread**0.5 > EVERYWHERE:
        return "all over"
    row = "top" if down < 0.5 - NEAR_MIDDLE else "bottom" if down > 0.5 + NEAR_MIDDLE else ""
    column = "left" if across < 0.5 - NEAR_MIDDLE else "right" if across > 0.5 + NEAR_MIDDLE else ""
    return f"mostly {f'{row} {column}'.strip() or 'in the middle'}"
