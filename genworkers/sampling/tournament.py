"""Marks a draw: candidates compete by secret coins, so that tokens with many heads are drawn more often. Numpy only.

Dathathri et al. 2024, "Scalable watermarking for identifying large language model outputs" (Nature 634, 818-823):
tournament sampling with two leaves, in closed form. Over all keys the probabilities are what they were.
"""

from collections.abc import Sequence

import numpy as np

from genworkers.marks.text_bits import NUM_LAYERS, Place, Words, keyed_words
from genworkers.sampling.draws import Ids, Weights

# The tournament is held among so many of the likeliest; those behind keep their probabilities. It bounds the work.
MOST_CANDIDATES = 256
# After so many layers one looks whether there is still something to decide.
LAYERS_AT_ONCE = 10
SHIFTS = np.arange(NUM_LAYERS, dtype=np.uint32).reshape(-1, LAYERS_AT_ONCE, 1, 1)
# A row is left as it is once all but this share has gone to one candidate: the layers behind would hardly show. When to
# stop depends on coins that were thrown already, so it favours nobody.
UNDECIDED_FRAC = 2.0**-6


def mark(ids: Ids, weights: Weights, places: Sequence[Place | None]) -> None:
    """Change the weights of each row that has a place, in place; sums stay what they were, up to rounding.

    Args:
        ids: (B, K) tokens.
        weights: (B, K), not negative, some positive in each row, largest first.
        places: B of them; None leaves the row as it is.
    """
    marked = [(row, place) for row, place in enumerate(places) if place is not None]
    if not marked:
        return
    rows = np.array([row for row, _ in marked])
    own = weights[rows]
    K = min(int((own > 0).sum(axis=1).max()), MOST_CANDIDATES)
    own = own[:, :K]
    totals = own.cumsum(axis=1)[:, -1:]
    words = _words(ids[rows, :K], [place for _, place in marked])
    weights[rows, :K] = tournament(own / totals, words) * totals


def tournament(p: Weights, words: Words) -> Weights:
    """Probabilities (B, K) after all layers; their mean over all words is what they were.

    In a layer two candidates are drawn and the one whose coin shows heads goes on, either where both coins are alike:
    p becomes p (1 + g - sum of g p).

    Args:
        p: (B, K), each row with the sum 1.
        words: (B, K) of `keyed_words`.
    """
    final, rows, p = p.copy(), np.arange(len(p)), p.copy()
    for shifts in SHIFTS:
        is_open = p.max(axis=1) < 1 - UNDECIDED_FRAC
        if np.count_nonzero(is_open) < len(p):
            final[rows] = p
            rows, p, words = rows[is_open], p[is_open], words[is_open]
            if not len(rows):
                break
        coins = (words >> shifts & 1).astype(np.float64)
        # Most of the time at every token goes into calling numpy: four calls a layer, into arrays that are there.
        heads, sums = np.empty_like(p), np.empty_like(p)
        num_heads = sums[:, -1:]
        for g, g_and_1 in zip(coins, coins + 1, strict=True):
            np.multiply(g, p, heads)
            np.add.accumulate(heads, 1, None, sums)
            np.subtract(g_and_1, num_heads, heads)
            np.multiply(p, heads, p)
    final[rows] = p
    return np.maximum(final, 0)  # 1 - sum may have been a rounding error below 0


def _words(ids: Ids, places: Sequence[Place]) -> Words:
    """`keyed_words` of each row (B, K) under its own key; all rows of a key at once."""
    rows_of_key: dict[bytes, list[int]] = {}
    for row, place in enumerate(places):
        rows_of_key.setdefault(place.key, []).append(row)
    contexts, candidates = np.array([place.context for place in places], np.uint32), ids.astype(np.uint32)
    if len(rows_of_key) == 1:
        return keyed_words(places[0].key, contexts, candidates)
    words = np.empty_like(candidates)
    for key, rows in rows_of_key.items():
        words[rows] = keyed_words(key, contexts[rows], candidates[rows])
    return words
