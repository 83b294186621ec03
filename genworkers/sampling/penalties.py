"""What is done to the logits of one row before anything is drawn: grammar mask, logit bias, penalties. Numpy only."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Logits = NDArray[np.float32]
Ids = NDArray[np.int64]


class SeenTokens:
    """Which tokens stand in a sequence, and how often each has been written; kept from token to token.

    Args:
        prompt_ids: tokens that were there before the first one was written.
    """

    def __init__(self, prompt_ids: Sequence[int]) -> None:
        distinct = dict.fromkeys(prompt_ids)
        self._place_of = {token_id: place for place, token_id in enumerate(distinct)}
        self._ids: Ids = np.fromiter(distinct, np.int64, len(distinct))
        self._num_written = np.zeros(len(distinct), np.float32)

    def add(self, token_id: int) -> None:
        """Count a token that has been written."""
        place = self._place_of.setdefault(token_id, len(self._place_of))
        if place == len(self._ids):
            room = max(16, place)
            self._ids = np.concatenate([self._ids, np.zeros(room, np.int64)])
            self._num_written = np.concatenate([self._num_written, np.zeros(room, np.float32)])
        self._ids[place] = token_id
        self._num_written[place] += 1

    @property
    def ids(self) -> Ids:
        """Distinct tokens of prompt and text, (U,)."""
        return self._ids[: len(self._place_of)]

    @property
    def num_written(self) -> Logits:
        """How often each of `ids` has been written, (U,); 0 for those of the prompt alone."""
        return self._num_written[: len(self._place_of)]


def allow_only(logits: Logits, mask: NDArray[np.bool_]) -> None:
    """Set the logits of forbidden tokens to -inf, in place.

    Args:
        logits: (V,).
        mask: (M,), True for tokens that may be chosen; those from M on may not.
    """
    logits[: len(mask)][~mask] = -np.inf
    logits[len(mask) :] = -np.inf


def add_bias(logits: Logits, bias: Mapping[int, float]) -> None:
    """Add to the logits of some tokens, in place."""
    logits[list(bias)] += np.fromiter(bias.values(), np.float32, len(bias))


def penalise(logits: Logits, seen: SeenTokens, *, repetition: float, presence: float, frequency: float) -> None:
    """Make tokens that were seen less likely, in place.

    Repetition: Keskar et al. 2019, "CTRL" (arXiv:1909.05858), section 4.1, over prompt and text.
    Differs from the paper: a negative logit is multiplied by the penalty, so that it falls as well.
    Presence and frequency: as OpenAI documents them, over the written text alone.

    Args:
        logits: (V,).
        seen: tokens below V.
        repetition: divides positive logits and multiplies negative ones; 1 changes nothing.
        presence: taken off once for every token written.
        frequency: taken off once for each time that it was written.
    """
    ids, num_written = seen.ids, seen.num_written
    at_seen = logits[ids]  # (U,)
    at_seen = np.where(at_seen > 0, at_seen / np.float32(repetition), at_seen * np.float32(repetition))
    logits[ids] = at_seen - np.float32(frequency) * num_written - np.float32(presence) * (num_written > 0)
