"""The secret coins of marked text: thirty for each candidate after each context, from one keyed function."""

import math
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from genworkers.marks.keys import MarkKey

CONTEXT_TOKENS = 3
NUM_LAYERS = 30
# The coins leave little to chance: two texts of one key that begin alike would go on alike. So the first tokens are
# drawn without coins, and each seed has one of a few sets of them. More of either makes texts differ more and marks
# harder to find, for all sets have to be tried; these two together cost least.
FREE_TOKENS = 12
NUM_LANES = 4
LANE_SHIFT = 28
MAX_TOKEN_ID = 2**LANE_SHIFT - 1
KEY_BYTES = 16
BLOCK = np.dtype("<u4")

Context: TypeAlias = tuple[int, int, int]
Words: TypeAlias = NDArray[np.uint32]


class Coins:
    """The coins of one key, for one thread.

    Args:
        key: of the workspace that texts are written for.
    """

    def __init__(self, key: MarkKey) -> None:
        self.secret = key.derived("text")[:KEY_BYTES]
        self._encryptor = Cipher(algorithms.AES(self.secret), modes.ECB()).encryptor()

    def words(self, contexts: Words, candidates: Words) -> Words:
        """Bit l of a candidate's word, from 0, is its coin of layer l + 1; the two highest mean nothing.

        Each is the first word of AES-128 (FIPS 197) over one block, the four little-endian numbers of context and
        candidate. Blocks differ wherever one of these does, so without the key the coins are fair and independent.

        Args:
            contexts: (N, CONTEXT_TOKENS) ids of the tokens before, oldest first, as in `Place`.
            candidates: (N,) ids.

        Returns:
            (N,).
        """
        blocks = np.empty((len(candidates), CONTEXT_TOKENS + 1), BLOCK)
        blocks[:, :CONTEXT_TOKENS] = contexts
        blocks[:, CONTEXT_TOKENS] = candidates
        return np.frombuffer(self._encryptor.update(blocks.tobytes()), BLOCK)[:: CONTEXT_TOKENS + 1]


@dataclass(slots=True)
class Place:
    """By whose coins a token is drawn.

    Args:
        context: ids of the tokens before it, oldest first; above the id of the oldest, from bit LANE_SHIFT on, stands
            the lane.
        room: what the coins had to decide, set by the draw: the chance that two draws without them would differ.
    """

    coins: Coins
    context: Context
    room: float = 0.0


@dataclass(slots=True)
class Contexts:
    """What stands before the next token of one text, each context once.

    A context that comes again would bring the same coins again: writing by them twice would make the text repeat
    itself, and counting them twice would make chance look like a mark. Whoever writes and whoever reads skip the same.
    """

    # The last tokens; None among the first FREE_TOKENS, or where they stood before.
    current: Context | None = None
    _recent: Context = (0, 0, 0)
    _used: set[Context] = field(default_factory=set)
    _num_tokens: int = 0

    def add(self, token_id: int) -> None:
        """Go on by a token."""
        _, second, third = self._recent
        self._recent = (second, third, token_id)
        self._num_tokens += 1
        if self._num_tokens < FREE_TOKENS or self._recent in self._used:
            self.current = None
        else:
            self._used.add(self._recent)
            self.current = self._recent


class Trail:
    """The places of one text that is being written, one after the other; `place` is that of the next token.

    Args:
        key: of the workspace that it is written for.
        seed: of the text, 0 or more; neighbours have different coins.
    """

    def __init__(self, key: MarkKey, seed: int) -> None:
        self._coins = Coins(key)
        self._lane = seed % NUM_LANES << LANE_SHIFT
        self._contexts = Contexts()
        self.place: Place | None = None  # also where the next token cannot be marked
        self._num_places = 0
        self._room = 0.0

    @property
    def strength(self) -> float:
        """How strongly the text is marked so far: the room that its places gave, over the root of their number.

        What a finder's z is proportional to, on average over keys; see `text_mark.standing`.
        """
        return self._room / math.sqrt(max(1, self._num_places))

    def add(self, token_id: int) -> None:
        """Go on by a token."""
        if self.place is not None:
            self._num_places += 1
            self._room += self.place.room
        self._contexts.add(token_id)
        context = self._contexts.current
        if context is None:
            self.place = None
        else:
            first, second, third = context
            self.place = Place(self._coins, (first | self._lane, second, third))
