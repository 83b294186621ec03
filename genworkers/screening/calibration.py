"""From a head's logit to a probability: isotonic regression on a labelled split, read off by straight lines between."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

TAIL = 6.0  # how far beyond the outermost blocks, in logits, the probability still moves


@dataclass(frozen=True, slots=True)
class Calibration:
    """A rising line through knots.

    Args:
        logits: rising.
        chances: as many, 0..1, never falling.
    """

    logits: tuple[float, ...]
    chances: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse a line that falls or has gaps."""
        has_order = all(a < b for a, b in zip(self.logits, self.logits[1:], strict=False))
        never_falls = all(a <= b for a, b in zip(self.chances, self.chances[1:], strict=False))
        in_range = all(0.0 <= chance <= 1.0 for chance in self.chances)
        if not (0 < len(self.logits) == len(self.chances) and has_order and never_falls and in_range):
            raise ValueError(f"calibration must be rising knots in 0..1, got {self.logits} to {self.chances}")

    def __call__(self, logits: ArrayLike) -> NDArray[np.float64]:
        """Probabilities of logits, of the same shape."""
        return np.interp(np.asarray(logits, dtype=np.float64), self.logits, self.chances)


def fit_isotonic(logits: ArrayLike, is_positive: ArrayLike) -> Calibration:
    """The calibration of one head: pool adjacent violators, one knot a block.

    Ayer et al. 1955 for the algorithm; Zadrozny and Elkan 2002, "Transforming Classifier Scores into Accurate
    Multiclass Probability Estimates", for its use on scores. Differs from the papers: half a positive and half a
    negative are added to each block, so that no probability is 0 or 1 after a handful of texts; between the middles
    of blocks it is linear instead of a step, and moves on for `TAIL` beyond the last, so that ranks are kept.

    Args:
        logits: (M), not all rows need be distinct.
        is_positive: (M) bool.

    Raises:
        ValueError: there is no positive or no negative.
    """
    scores, targets = np.asarray(logits, dtype=np.float64), np.asarray(is_positive, dtype=np.float64)
    if not 0 < targets.sum() < len(targets):
        raise ValueError(f"is_positive must hold both, got {int(targets.sum())} positives of {len(targets)}")
    distinct, place = np.unique(scores, return_inverse=True)
    rows = np.bincount(place)
    blocks: list[tuple[float, float, float]] = []  # sum of logits, positives, rows
    for block in zip(distinct * rows, np.bincount(place, weights=targets), rows, strict=True):
        while blocks and blocks[-1][1] * block[2] >= block[1] * blocks[-1][2]:
            last = blocks.pop()
            block = (last[0] + block[0], last[1] + block[1], last[2] + block[2])
        blocks.append(block)
    sums, positives, sizes = np.array(blocks).T
    middles = sums / sizes
    chances = np.maximum.accumulate((positives + 0.5) / (sizes + 1.0))
    middles = np.concatenate([[middles[0] - TAIL], middles, [middles[-1] + TAIL]])
    chances = np.concatenate([[chances[0] / 2], chances, [(1.0 + chances[-1]) / 2]])
    return Calibration(tuple(middles.tolist()), tuple(chances.tolist()))
