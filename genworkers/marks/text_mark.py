"""Finds the mark in a text: how unlikely its coins are by chance, and when a text can tell nothing.

Written by `genworkers/sampling/tournament.py`, while a text is drawn; the coins are in `text_bits.py`.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from genworkers.marks.keys import MarkKey
from genworkers.marks.text_bits import (
    CONTEXT_TOKENS,
    LANE_SHIFT,
    MAX_TOKEN_ID,
    NUM_LANES,
    NUM_LAYERS,
    Coins,
    Contexts,
    Words,
)

# Names in records how texts are marked and found; another number where either changes.
SCHEME = "text.1"
# Of 344 texts of the house net with a strength of 3.5 to 8 all but one are found, with 3.0 to 3.5 80 %, below 1 none.
RELIABLE_STRENGTH = 3.5
LEAST_STRENGTH = 0.1
# Early layers decide more than late ones, which find less left to decide.
LAYER_WEIGHTS = np.linspace(10.0, 1.0, NUM_LAYERS)

Standing: TypeAlias = Literal["marked", "weak", "not_drawn"]


@dataclass(frozen=True, slots=True)
class TextMarkScore:
    """What a text says about one key, and all that leaves here: coins would help to wash the mark out.

    Args:
        num_scored: tokens whose coins were counted.
        p_value: the probability of a score as high by chance, in a text that was not written with the key.
    """

    num_scored: int
    p_value: float


def detect(token_ids: Sequence[int], key: MarkKey) -> TextMarkScore:
    """How surely a text was written with a key.

    The weighted mean of the coins, as in the supplement of Dathathri et al. 2024 (Nature 634, 818-823). Without the
    mark they are fair and independent, so its mean and variance are known, whatever the text; the normal tail that is
    reported lies a little above the exact one. Differs from the paper: of NUM_LANES sets of coins the best counts, and
    the p-value is that of the best of so many.

    Args:
        token_ids: the text as the net's tokenizer cuts it, without prompt and special tokens.

    Raises:
        ValueError: an id is outside 0..MAX_TOKEN_ID.
    """
    return _score(_places(token_ids), key)


def detect_any(token_ids: Sequence[int], keys: Iterable[MarkKey]) -> tuple[MarkKey, TextMarkScore] | None:
    """The key that a text was most likely written with, None without keys.

    Returns:
        The key, and its score with the p-value of the best of so many keys.

    Raises:
        ValueError: as `detect`.
    """
    places = _places(token_ids)
    scores = [(key, _score(places, key)) for key in keys]
    if not scores:
        return None
    key, best = min(scores, key=lambda one: one[1].p_value)
    return key, TextMarkScore(best.num_scored, of_best(best.p_value, len(scores)))


def of_best(p_value: float, num_tried: int) -> float:
    """The p-value of the smallest of so many independent ones, for whoever tries several tokenizers or keys.

    1 - (1 - p) ** num_tried; Sidak 1967 (Journal of the American Statistical Association 62, 626-633).
    """
    return 1.0 if p_value == 1 else -math.expm1(num_tried * math.log1p(-p_value))


def standing(strength: float) -> Standing:
    """What the record of a text may say that was written with a key, by `Trail.strength`.

    It counts what the coins had to decide, whatever left them nothing: greedy settings, a grammar, a repetition or a
    short text. `weak`: a mark may be in it, but cannot be relied on. `not_drawn`: as good as nothing was decided.
    """
    if strength < LEAST_STRENGTH:
        return "not_drawn"
    return "marked" if strength >= RELIABLE_STRENGTH else "weak"


def _places(token_ids: Sequence[int]) -> Words:
    """Context and token of everything that counts, (T, CONTEXT_TOKENS + 1)."""
    if token_ids and not 0 <= min(token_ids) <= max(token_ids) <= MAX_TOKEN_ID:
        raise ValueError(f"token ids must be 0..{MAX_TOKEN_ID}, got {min(token_ids)}..{max(token_ids)}")
    contexts = Contexts()
    places: list[tuple[int, ...]] = []
    for token_id in token_ids:
        if contexts.current is not None:
            places.append((*contexts.current, token_id))
        contexts.add(token_id)
    return np.array(places, np.uint32).reshape(-1, CONTEXT_TOKENS + 1)


def _score(places: Words, key: MarkKey) -> TextMarkScore:
    if not len(places):
        return TextMarkScore(0, 1.0)
    coins, contexts = Coins(key), places[:, :-1].copy()
    highest = -math.inf
    for lane in range(NUM_LANES):
        contexts[:, 0] = places[:, 0] | lane << LANE_SHIFT
        highest = max(highest, _deviation(coins.words(contexts, places[:, -1])))
    spread = math.sqrt(len(places) * float(LAYER_WEIGHTS @ LAYER_WEIGHTS) / 4)
    return TextMarkScore(len(places), of_best(math.erfc(highest / spread / math.sqrt(2)) / 2, NUM_LANES))


def _deviation(words: Words) -> float:
    """By how much the weighted heads are more than half."""
    num_heads = [np.count_nonzero(words & np.uint32(1 << layer)) for layer in range(NUM_LAYERS)]
    return float(LAYER_WEIGHTS @ (np.array(num_heads) - len(words) / 2))
