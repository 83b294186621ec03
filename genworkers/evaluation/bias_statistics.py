"""Statistics of the bias audit: whether counts differ from what is expected, by how much, and after how many looks."""

from collections.abc import Mapping, Sequence
from math import comb

import numpy as np
import torch
from numpy.typing import NDArray

MAX_FLIPS = 14  # signs that are flipped in all ways; above that at random
NUM_FLIPS = 20000

Floats = NDArray[np.float64]


def chi_square_p(counts: Sequence[int], expected_fracs: Sequence[float]) -> float:
    """The chance of counts at least this far from the expected shares, by Pearson's chi-square with k - 1 degrees.

    Raises:
        ValueError: nothing was counted, the shares do not sum to 1, or they are not as many as the counts.
    """
    total = sum(counts)
    if total == 0 or len(counts) != len(expected_fracs) or abs(sum(expected_fracs) - 1.0) > 1e-6:
        raise ValueError(f"counts must be of shares that sum to 1, got {list(counts)} of {list(expected_fracs)}")
    statistic = sum(
        (count - total * share) ** 2 / (total * share) for count, share in zip(counts, expected_fracs, strict=True)
    )
    half_freedom = torch.tensor((len(counts) - 1) / 2, dtype=torch.float64)
    return float(torch.special.gammaincc(half_freedom, torch.tensor(statistic / 2, dtype=torch.float64)))


def effect_size(counts: Sequence[int], expected_fracs: Sequence[float]) -> float:
    """Cohen's w: 0.1 is small, 0.3 medium, 0.5 large. Cohen 1988, "Statistical Power Analysis", section 7.2."""
    total = sum(counts)
    return float(
        sum((count / total - share) ** 2 / share for count, share in zip(counts, expected_fracs, strict=True)) ** 0.5
    )


def binomial_p(num: int, total: int) -> float:
    """The two-sided chance of a split at least as uneven as `num` of `total` where both sides are as likely."""
    fewer = min(num, total - num)
    tail = sum(comb(total, count) for count in range(fewer + 1)) * 0.5**total
    return min(1.0, float(2.0 * tail))


def sign_flip_p(values: Floats, seed: int = 0) -> float:
    """The chance that paired differences have a mean at least this far from 0 where signs are by chance.

    All 2^n flips are tried for up to 14 values, else 20,000 at random.
    """
    num = len(values)
    if num <= MAX_FLIPS:
        flips = 1.0 - 2.0 * ((np.arange(2**num)[:, None] >> np.arange(num)) & 1)
    else:
        flips = np.random.default_rng(seed).choice([-1.0, 1.0], (NUM_FLIPS, num))
        flips[0] = 1.0  # what was seen is one of the possible
    sums: Floats = np.abs(flips @ values)
    is_as_far = sums >= abs(float(values.sum())) - 1e-12
    return float(np.mean(is_as_far))


def holm(p_of: Mapping[str, float]) -> dict[str, float]:
    """p values made larger for the number of tests, in the given order.

    Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure".
    """
    corrected: dict[str, float] = {}
    largest = 0.0
    for place, (name, p) in enumerate(sorted(p_of.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, p * (len(p_of) - place)))
        corrected[name] = largest
    return {name: corrected[name] for name in p_of}
