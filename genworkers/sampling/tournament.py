"""Marks a draw: candidates compete by secret coins, so that tokens with many heads are drawn more often. Numpy only.

Dathathri et al. 2024, "Scalable watermarking for identifying large language model outputs" (Nature 634, 818-823):
tournament sampling with two leaves, in closed form. Over all keys the probabilities are what they were.
"""

from collections.abc import Sequence

import numpy as np

from genworkers.marks.text_bits import NUM_LAYERS, Place, Words
from genworkers.sampling.draws import Ids, Weights

# The tournament is held among so many of the likeliest; those behind keep their probabilities. It bounds the work.
MOST_CANDIDATES = 256
SHIFTS = np.arange(NUM_LAYERS, dtype=np.uint32)[:, None]


def mark(ids: Ids, weights: Weights, places: Sequence[Place | None]) -> None:
    """Change the weights of each row that has a place, in place; sums stay what they were, up to rounding.

    Args:
        ids: (B, K) tokens.
        weights: (B, K), not negative, largest first.
        places: B of them; None leaves the row as it is. Each is told the room that its draw gives.
    """
    if not any(places):
        return
    head = weights[:, :MOST_CANDIDATES]
    is_candidate = head > 0
    num_candidates = is_candidate.sum(axis=1)
    is_marked = [place is not None and num > 1 for place, num in zip(places, num_candidates.tolist(), strict=True)]
    if not all(is_marked):
        is_candidate[np.logical_not(is_marked)] = False
    marked = [place for place, is_own in zip(places, is_marked, strict=True) if place is not None and is_own]
    if not marked:
        return
    counts = num_candidates[is_marked]
    row_of = np.repeat(np.arange(len(marked)), counts)  # (N,) of each candidate
    words = _words(ids[:, :MOST_CANDIDATES][is_candidate], row_of, marked)
    own, starts = head[is_candidate], counts.cumsum() - counts
    alike = np.add.reduceat(own * own, starts) / np.square(np.add.reduceat(own, starts))
    for place, chance in zip(marked, alike.tolist(), strict=True):
        place.room = 1.0 - chance
    head[is_candidate] = tournament(own, row_of, starts, words)


def tournament(weights: Weights, row_of: Ids, starts: Ids, words: Words) -> Weights:
    """Weights (N,) after all layers, with the same sums; their mean over all words is what they were.

    In a layer two candidates are drawn and the one whose coin shows heads goes on, either where both coins are alike:
    p becomes p (1 + g - sum of g p).

    Args:
        weights: (N,) of the candidates of all rows, one row after the other; positive.
        row_of: (N,) from 0.
        starts: (R,) where each row begins.
        words: (N,) of `Coins.words`.
    """
    totals = np.add.reduceat(weights, starts)[row_of]
    p = weights / totals
    coins = (words >> SHIFTS & 1).astype(np.float64)
    # It runs at every token, and most of what it takes is calling numpy: so few calls, and rows laid end to end. Sums
    # are taken of one row at a time and know no other.
    won = np.empty_like(p)
    for g, g_and_1 in zip(coins, coins + 1, strict=True):
        np.multiply(g, p, won)
        np.subtract(g_and_1, np.add.reduceat(won, starts)[row_of], won)
        np.multiply(p, won, p)
    return np.maximum(p, 0) * totals  # 1 - sum may have been a rounding error below 0


def _words(ids: Ids, row_of: Ids, places: Sequence[Place]) -> Words:
    """The coins of each candidate (N,), all rows of a key at once."""
    contexts, candidates = np.array([place.context for place in places], np.uint32)[row_of], ids.astype(np.uint32)
    coins_of = {place.coins.secret: place.coins for place in places}
    if len(coins_of) == 1:
        return places[0].coins.words(contexts, candidates)
    words = np.empty_like(candidates)
    for secret, coins in coins_of.items():
        is_own = np.array([place.coins.secret == secret for place in places])[row_of]
        words[is_own] = coins.words(contexts[is_own], candidates[is_own])
    return words
