"""How near two fingerprints are, and from where on they, or two equal texts, are of the same thing.

They are made by `genworkers/marks/fingerprint.py`; the thresholds are measured in
docs/experiments/2026-11-21-picture-marks.md.
"""

import re
from itertools import islice

PICTURE, TEXT = b"P", b"T"  # the first byte of a fingerprint
SAME = {PICTURE: 0.95, TEXT: 0.35}
# Shorter texts are written twice, or begin alike, without being copies, and the shortest can be guessed.
MIN_WORDS_EQUAL, MIN_WORDS_ALIKE = 40, 100
_UNSPACED = "\u3040-\u30ff\u3400-\u9fff"  # Japanese and Chinese: each sign counts as a word
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")


def num_words(text: str) -> int:
    """The words of a text, counted up to MIN_WORDS_ALIKE."""
    return sum(1 for _ in islice(_WORD.finditer(text), MIN_WORDS_ALIKE))


def similarity(first: bytes, second: bytes) -> float:
    """How near two fingerprints are, 0 to 1: at least SAME for the same thing; 0 for two kinds.

    Of pictures the share of equal bits (unlike ones have about 0.6); of texts the estimated share of word triples that
    are in both, among those that are in either (its standard error is 0.045 at most).
    """
    if len(first) != len(second) or first[:1] != second[:1]:
        return 0.0
    if first[:1] == PICTURE:
        differing = int.from_bytes(first[1:]) ^ int.from_bytes(second[1:])
        return 1.0 - differing.bit_count() / (8 * (len(first) - 1))
    equal = sum(one == other for one, other in zip(first[1:], second[1:], strict=True)) / (len(first) - 1)
    by_chance = 1.0 / 256.0
    return max(0.0, (equal - by_chance) / (1.0 - by_chance))
