"""The likeliest tokens of each row, their weights, what truncation leaves of them, and the draw. Numpy only.

Every number of a row comes from that row alone, to the bit: maxima and order do not round, sums run from left to
right, all else is element by element.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Logits = NDArray[np.float32]
Weights = NDArray[np.float64]
Ids = NDArray[np.int64]

FIRST_HEAD_TOKENS = 512
BLOCK_TOKENS = 256
LOWEST = np.finfo(np.float32).min
NOTHING = 0x7F800000 << 32  # the key of -inf at id 0, behind every other


def largest(logits: Logits, k: int) -> tuple[Ids, Logits]:
    """Each row's k largest logits, largest first, of equals the lower id first.

    Fan, Lewis, Dauphin 2018, "Hierarchical Neural Story Generation" (arXiv:1805.04833).

    Args:
        logits: (B, V), no NaN.
        k: 1..V.

    Returns:
        ids (B, k) and logits (B, k); where a row has fewer above -inf, id 0 with -inf.
    """
    V = logits.shape[1]
    rows, ids = np.divmod(np.flatnonzero(logits >= _below_kth(logits, k)[:, None]), V)
    num_found = np.bincount(rows, minlength=len(logits))
    columns = np.arange(len(rows)) - (num_found.cumsum() - num_found)[rows]
    # One integer holds a logit and its id so that sorting it settles equals: float bits, made to fall as floats rise.
    bits = (logits[rows, ids] + np.float32(0)).view(np.int32)
    keys = np.full((len(logits), max(k, int(num_found.max()))), NOTHING, np.int64)
    keys[rows, columns] = (~_ordered(bits)).astype(np.int64) << 32 | ids
    keys.sort(axis=1)
    keys = keys[:, :k]
    return keys & 0xFFFFFFFF, _ordered(~(keys >> 32).astype(np.int32)).view(np.float32)


def _ordered(bits: NDArray[np.int32]) -> NDArray[np.int32]:
    """Bits of floats as integers in the same order, and back."""
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


def _below_kth(logits: Logits, k: int) -> Logits:
    """A bound for each row, (B,), finite, that at least its k largest logits reach and few others.

    The k-th largest among the maxima of many groups of tokens: each maximum is a logit of the row.
    """
    B, V = logits.shape
    num_groups = min(V, max(1024, 16 * k))
    used = V // num_groups * num_groups
    maxima = logits[:, :used].reshape(B, -1, num_groups).max(axis=1)
    left = maxima[:, : V - used]
    np.maximum(left, logits[:, used:], out=left)
    kth = np.partition(maxima, num_groups - k, axis=1)[:, num_groups - k]
    return np.maximum(kth, LOWEST)


def weigh(logits: Logits, peaks: Logits | np.float32, temperature: Weights | float, min_p: Weights | float) -> Weights:
    """Probabilities after temperature up to a factor, 1 for the likeliest; 0 below the share `min_p` of it.

    Nguyen et al. 2024, "Turning Up the Heat: Min-p Sampling" (arXiv:2407.01082).

    Args:
        logits: (B, K), or (V,) of one row.
        peaks: (B, 1) or one, the largest logit of each row.
        temperature: (B, 1) or one for all, above 0.
        min_p: (B, 1) or one for all, 0..1.
    """
    with np.errstate(over="ignore"):  # a tiny temperature makes all but the likeliest -inf
        weights: Weights = np.exp((logits.astype(np.float64) - peaks) / temperature)
    weights[weights < min_p] = 0
    return weights


def keep_top_p(weights: Weights, top_p: Weights | float, totals: Weights | float) -> Weights:
    """Weights (B, K) with 0 behind the shortest head that holds the share p of the total, at least one.

    Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration" (arXiv:1904.09751), section 3.1.

    Args:
        weights: (B, K), largest first.
        top_p: (B, 1) or one for all, above 0, at most 1.
        totals: (B, 1) or one for all, sum of all weights of the row, those not given here included.
    """
    is_kept = np.ones(weights.shape, np.bool_)
    is_kept[:, 1:] = weights.cumsum(axis=1)[:, :-1] < top_p * totals
    return np.where(is_kept, weights, 0)


def draw(weights: Weights, uniform: Weights | float) -> Ids:
    """The column of each row (B,) that its uniform number falls on when the weights are laid end to end.

    Args:
        weights: (B, K), not negative, some positive in each row.
        uniform: (B, 1) or one for all, in [0, 1).
    """
    ends = weights.cumsum(axis=1)
    columns: Ids = (ends <= uniform * ends[:, -1:]).sum(axis=1)
    last: Ids = (ends < ends[:, -1:]).sum(axis=1)
    return np.minimum(columns, last)


def draw_from_whole(
    logits: Logits,
    *,
    temperature: float,
    min_p: float,
    top_p: float,
    uniform: float,
    change: Callable[[Ids, Weights], None] | None = None,
) -> int:
    """A token of one row where top-k cuts nothing.

    Args:
        logits: (V,), the largest finite.
        change: what is done to ids (1, K) and weights (1, K) of the likeliest before the draw, in place and without
            changing the sum.
    """
    weights = weigh(logits, logits.max(), temperature, min_p)  # (V,)
    if change is not None and top_p == 1:
        ids, values = largest(logits[None], min(FIRST_HEAD_TOKENS, len(logits)))  # (1, K)
        head = weigh(values, values[:, :1], temperature, min_p)
        change(ids, head)
        is_token = values > -np.inf
        weights[ids[is_token]] = head[is_token]
    blocks = np.pad(weights, (0, -len(weights) % BLOCK_TOKENS)).reshape(-1, BLOCK_TOKENS)
    ends = blocks.sum(axis=1).cumsum()
    total = float(ends[-1])
    if top_p == 1:
        # First the block, then the token in it: one running sum over everything would take longer than all the rest.
        target = uniform * total
        block = int(np.searchsorted(ends, target, side="right"))
        within = int(np.searchsorted(blocks[block].cumsum(), target - (ends[block - 1] if block else 0), side="right"))
        return block * BLOCK_TOKENS + min(within, int(np.flatnonzero(blocks[block])[-1]))
    for num_kept in (min(FIRST_HEAD_TOKENS, len(logits)), len(logits)):
        ids, values = largest(logits[None], num_kept)  # (1, K)
        head = weigh(values, values[:, :1], temperature, min_p)
        if head.cumsum(axis=1)[0, -1] >= top_p * total:
            break
    kept = keep_top_p(head, top_p, total)
    if change is not None:
        change(ids, kept)
    return int(ids[0, draw(kept, uniform)[0]])
