"""The secret coins of marked text: thirty for each candidate after each context, from one keyed function."""

from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from genworkers.marks.keys import MarkKey

CONTEXT_TOKENS = 3
NUM_LAYERS = 30
# The coins leave little to chance: two texts of one key that begin alike would go on alike. So each seed has one of so
# many sets of coins. More sets make texts more different and marks harder to find: all of them are tried.
NUM_LANES = 16
KEY_BYTES = 16
BLOCK = np.dtype("<u4")

Context: TypeAlias = tuple[int, int, int]
Words: TypeAlias = NDArray[np.uint32]


def lane_key(key: MarkKey, lane: int) -> bytes:
    """The AES key of one set of coins, KEY_BYTES bytes.

    Args:
        lane: 0..NUM_LANES-1.
    """
    return key.derived(f"text {lane}")[:KEY_BYTES]


def keyed_words(key: bytes, contexts: Words, candidates: Words) -> Words:
    """Coins of all candidates: bit l of a word, from 0, is the coin of layer l + 1; the two highest mean nothing.

    Each is the first word of AES-128 (FIPS 197) over one block, the four little-endian numbers of the context's tokens
    and the candidate. Blocks differ wherever context or candidate do, so without the key the coins are fair and
    independent.

    Args:
        key: of `lane_key`.
        contexts: (B, CONTEXT_TOKENS) ids of the tokens before, oldest first.
        candidates: (B, K) ids.

    Returns:
        (B, K).
    """
    blocks = np.empty((*candidates.shape, CONTEXT_TOKENS + 1), BLOCK)
    blocks[..., :CONTEXT_TOKENS] = contexts[:, None]
    blocks[..., CONTEXT_TOKENS] = candidates
    secret = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(blocks.tobytes())
    return np.frombuffer(secret, BLOCK).reshape(blocks.shape)[..., 0]


class Place(NamedTuple):
    """Whose coins a token is drawn by.

    Args:
        key: of `lane_key`.
        context: ids of the tokens before it, oldest first.
    """

    key: bytes
    context: Context


@dataclass(slots=True)
class Contexts:
    """What stands before the next token of one text, each context once.

    A context that comes again would bring the same coins again: writing by them twice would make the text repeat
    itself, and counting them twice would make chance look like a mark. Whoever writes and whoever reads skip the same.
    """

    _recent: tuple[int, ...] = ()
    _used: set[tuple[int, ...]] = field(default_factory=set)

    @property
    def current(self) -> Context | None:
        """The last tokens; None while there are too few of them, or where they stood before."""
        if len(self._recent) < CONTEXT_TOKENS or self._recent in self._used:
            return None
        first, second, third = self._recent
        return first, second, third

    def add(self, token_id: int) -> None:
        """Go on by a token."""
        if len(self._recent) == CONTEXT_TOKENS:
            self._used.add(self._recent)
        self._recent = (*self._recent[1 - CONTEXT_TOKENS :], token_id)


class Trail:
    """The places of one text that is being written, one after the other.

    Args:
        key: of the workspace that it is written for.
        seed: of the text, 0 or more; neighbours have different coins.
    """

    def __init__(self, key: MarkKey, seed: int) -> None:
        self._key = lane_key(key, seed % NUM_LANES)
        self._contexts = Contexts()

    @property
    def place(self) -> Place | None:
        """Of the next token; None where it cannot be marked."""
        context = self._contexts.current
        return None if context is None else Place(self._key, context)

    def add(self, token_id: int) -> None:
        """Go on by a token."""
        self._contexts.add(token_id)
