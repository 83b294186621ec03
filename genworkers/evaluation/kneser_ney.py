"""An n-gram model over a net's own tokens: the baseline that a trained net has to beat."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Floats = NDArray[np.float64]
MAX_KEY_BITS = 63
DISCOUNT_OF_SPARSE_COUNTS = 0.5


@dataclass(frozen=True, slots=True)
class _Order:
    """The n-grams of one length that were seen.

    Args:
        keys: (N,) ascending; the ids of a gram in one integer, the last token lowest.
        kept: (N,) counts after the discount.
        contexts: (C,) ascending; the keys without their last token.
        totals: (C,) sum of the counts of a context.
        backoffs: (C,) share of a context's probability that its grams give to the shorter context.
    """

    keys: Ids
    kept: Floats
    contexts: Ids
    totals: Floats
    backoffs: Floats


class KneserNey:
    """Interpolated, modified Kneser-Ney.

    Chen, Goodman 1999, "An empirical study of smoothing techniques for language modeling", section 3: three discounts
    an order from the counts of counts; lower orders count in how many different contexts a gram was seen.
    Differs from the paper: documents begin with n - 1 copies of one padding id, and the unigrams are interpolated with
    the uniform distribution, so that every token has a probability.

    Args:
        documents: ids of each training document, each below vocab_size.
        vocab_size: V.
        order: n, at least 1; n times the bits of an id must fit into 63.
        pad_id: stands before the beginning of every document.
    """

    def __init__(self, documents: Iterable[Sequence[int]], vocab_size: int, order: int, pad_id: int) -> None:
        self.vocab_size, self.order, self.pad_id = vocab_size, order, pad_id
        self._bits = max(1, (vocab_size - 1).bit_length())
        if order < 1 or order * self._bits > MAX_KEY_BITS:
            raise ValueError(f"order must be 1..{MAX_KEY_BITS // self._bits} for {vocab_size} tokens, got {order}")
        keys, counts = np.unique(np.concatenate([self._keys(ids) for ids in documents]), return_counts=True)
        orders: list[_Order] = []
        for length in range(order, 0, -1):
            orders.append(self._order_of(keys, counts))
            if length > 1:
                suffixes = keys & ((1 << (length - 1) * self._bits) - 1)
                keys, counts = np.unique(suffixes, return_counts=True)
        self._orders = orders[::-1]

    def probabilities(self, ids: Sequence[int], start: int = 0) -> Floats:
        """Of each token of a document from `start` on, given those before it; (T - start,)."""
        keys = self._keys(ids)[start:]
        values = np.full(len(keys), 1 / self.vocab_size)
        for length, order in enumerate(self._orders, start=1):
            own = keys & ((1 << length * self._bits) - 1)
            place, is_known = _find(order.contexts, own >> self._bits)
            gram, is_seen = _find(order.keys, own)
            kept = np.where(is_seen, order.kept[gram], 0)
            values = np.where(is_known, kept / order.totals[place] + order.backoffs[place] * values, values)
        return values

    def _keys(self, ids: Sequence[int]) -> Ids:
        """The n-gram that ends at each token, (T,)."""
        padded = np.concatenate([np.full(self.order - 1, self.pad_id), np.asarray(ids, np.int64)]).astype(np.int64)
        keys = np.zeros(len(ids), np.int64)
        for offset in range(self.order):
            keys = keys << self._bits | padded[offset : offset + len(ids)]
        return keys

    def _order_of(self, keys: Ids, counts: Ids) -> _Order:
        discounts = _discounts(counts)[np.minimum(counts, 3)]
        contexts, starts = np.unique(keys >> self._bits, return_index=True)
        totals = np.add.reduceat(counts, starts).astype(np.float64)
        return _Order(keys, counts - discounts, contexts, totals, np.add.reduceat(discounts, starts) / totals)


def _discounts(counts: Ids) -> Floats:
    """What is taken off a count of 0, 1, 2, and 3 or more; (4,)."""
    n1, n2, n3, n4 = (int((counts == count).sum()) for count in (1, 2, 3, 4))
    if 0 in (n1, n2, n3, n4):
        return np.array([0, *[DISCOUNT_OF_SPARSE_COUNTS] * 3])
    y = n1 / (n1 + 2 * n2)
    found = np.array([0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3])
    clipped: Floats = np.clip(found, 0, [0, 1, 2, 3])
    return clipped


def _find(known: Ids, wanted: Ids) -> tuple[Ids, NDArray[np.bool_]]:
    """Where each wanted key stands among the known ones, and whether it does."""
    places = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return places, known[places] == wanted
