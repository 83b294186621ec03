"""Bringing JSON to its end: which tokens close soonest, and when a number has run on for too long.

A small net may write digits or a string without end; what it writes fits the schema and is worth nothing unfinished.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_DIGITS = 15  # in a row; as many as a float keeps


@dataclass(slots=True)
class JsonTail:
    """The end of a JSON text that grows: whether it stands in a string, and how many digits it ends with."""

    is_string: bool = False
    num_digits: int = 0  # outside of strings
    _is_escaped: bool = False

    def push(self, raw: bytes) -> None:
        """Read on."""
        for letter in raw:
            if self._is_escaped:
                self._is_escaped = False
            elif letter == ord('"'):
                self.is_string = not self.is_string
            elif self.is_string:
                self._is_escaped = letter == ord("\\")
            self.num_digits = self.num_digits + 1 if not self.is_string and letter in b"0123456789" else 0


@dataclass(frozen=True, slots=True)
class ClosingTokens:
    """What the tokens of a vocabulary do to JSON that is open.

    Args:
        ranks: (2, V) int8, outside and inside of a string: of the tokens that are allowed, those of the highest rank
            end the text soonest.
        is_digits: (V,) bool, True for tokens that begin with a digit.
    """

    ranks: NDArray[np.int8]
    is_digits: NDArray[np.bool_]

    @classmethod
    def of(cls, tokens: Sequence[bytes], end_ids: Collection[int]) -> "ClosingTokens":
        """For a vocabulary: the bytes of each token, and those that end a text."""
        ranks = np.array([list(map(_rank, tokens)), list(map(_rank_in_string, tokens))], np.int8)
        ranks[:, list(end_ids)] = 5
        return cls(ranks, np.array([token[:1].isdigit() for token in tokens], np.bool_))

    def soonest(self, mask: NDArray[np.bool_], tail: JsonTail) -> NDArray[np.bool_]:
        """Those of the tokens that the mask (V,) allows which end the text soonest."""
        ranks = np.where(mask, self.ranks[int(tail.is_string)], -1)
        closing: NDArray[np.bool_] = mask & (ranks == ranks.max())
        return closing

    def without_endless_numbers(self, mask: NDArray[np.bool_], tail: JsonTail) -> NDArray[np.bool_]:
        """The mask (V,), less the digits where a number has enough of them and may go on otherwise."""
        if tail.num_digits < MAX_DIGITS:
            return mask
        left: NDArray[np.bool_] = mask & ~self.is_digits
        return left if left.any() else mask


def _rank(token: bytes) -> int:
    """4 closes lists and objects, 3 begins a string, 2 leads on to what is still required, 0 is anything else."""
    if token and not token.strip(b'}]"'):
        return 3 if token.startswith(b'"') else 4
    return 2 if token in (b",", b":", b", ", b": ") else 0


def _rank_in_string(token: bytes) -> int:
    """3 ends the string, 0 goes on with it."""
    return 3 if token.startswith(b'"') and not token.strip(b'}]"') else 0
