"""Text to the numbers of its n-grams: characters, words and pairs of words, hashed into a fixed number of buckets.

The same text gives the same numbers in every process and on every machine: they are what a net was trained on.
"""

import numpy as np
from numpy.typing import NDArray

CHAR_LENGTHS = (3, 4, 5)
_BASE = np.uint64(0x9E6D62D06F6A9A9B)
_INVERSE = np.uint64(pow(int(_BASE), -1, 2**64))
_MIX = np.uint64(0xD6E8FEB86659FD93)
_WORD_SALT = np.uint64(0xA0761D6478BD642F)
_PAIR_SALT = np.uint64(0xE7037ED1A0B428DB)
_SPACE = ord(" ")


def hashed_ngrams(text: str, num_buckets: int) -> NDArray[np.int64]:
    """Buckets of a text's n-grams, repeated ones included; none for a blank text.

    Runs of 3 to 5 characters (spaces included, one around the text), whole words and pairs of neighbouring words, as
    in Joulin, Grave, Bojanowski, Mikolov 2016, "Bag of Tricks" (arXiv:1607.01759), section 2.1. All hashes come from
    one pass of prefix sums: the sum of code times base to the place, modulo 2^64, moved to the start of its span.

    Args:
        text: anything; case and the kind of white space do not count.
        num_buckets: a power of two, at most 2^32.

    Raises:
        ValueError: `num_buckets` is none.
    """
    if not 2 <= num_buckets <= 2**32 or num_buckets & (num_buckets - 1):
        raise ValueError(f"num_buckets must be a power of two, 2..2^32, got {num_buckets}")
    words = text.casefold().split()
    if not words:
        return np.empty(0, dtype=np.int64)
    codes = np.frombuffer(f" {' '.join(words)} ".encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    places = np.full(len(codes), _BASE)
    places[0] = 1
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(codes.astype(np.uint64) * np.cumprod(places))])
    places[1:] = _INVERSE
    back = np.cumprod(places)

    gaps = np.flatnonzero(codes == _SPACE)
    begins, ends = gaps[:-1] + 1, gaps[1:]
    spans = [(np.arange(len(codes) - n + 1), np.arange(n, len(codes) + 1), np.uint64(n)) for n in CHAR_LENGTHS]
    spans += [(begins, ends, _WORD_SALT), (begins[:-1], ends[1:], _PAIR_SALT)]
    hashes = [(sums[end] - sums[begin]) * back[begin] + salt for begin, end, salt in spans]
    shift = np.uint64(64 - (num_buckets.bit_length() - 1))
    mixed = np.concatenate(hashes) * _MIX
    return ((mixed ^ (mixed >> np.uint64(32))) * _MIX >> shift).astype(np.int64)
