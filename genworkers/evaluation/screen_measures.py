"""How well scores tell positives from the rest: average precision, and intervals from resampling whole groups."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NUM_RESAMPLES = 1000
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


def average_precision(scores: Floats, is_positive: Bools) -> float:
    """Area under the precision-recall curve by steps: the mean over positives of the precision at their score.

    Equal scores count as one step, so that the order of rows changes nothing.

    Raises:
        ValueError: there is no positive.
    """
    if not is_positive.any():
        raise ValueError("is_positive must hold at least one True")
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(is_positive[order])
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # the last row of each score
    precision = found[ends] / (ends + 1)
    newly_found = np.diff(found[ends], prepend=0)
    return float((precision * newly_found).sum() / found[-1])


def bootstrapped(
    measure: Callable[[NDArray[np.int64]], float], groups: Sequence[str], *, seed: int = 0, num: int = NUM_RESAMPLES
) -> Estimate:
    """A measure of rows with the percentile interval over resamples of groups: rows of one group are not independent.

    Args:
        measure: of row numbers, which may repeat; a resample for which it raises ValueError is left out.
        groups: the group of each row.
    """
    random = np.random.default_rng(seed)
    _, group_of_row, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    by_group = np.argsort(group_of_row, kind="stable")
    begins = np.cumsum(sizes) - sizes
    values = []
    for _ in range(num):
        picked = random.integers(len(sizes), size=len(sizes))
        ends = np.cumsum(sizes[picked])
        shifts = np.repeat(begins[picked] - (ends - sizes[picked]), sizes[picked])
        try:
            values.append(measure(by_group[shifts + np.arange(ends[-1])]))
        except ValueError:  # a resample without positives
            continue
    low, high = np.quantile(values, [0.025, 0.975]) if values else (np.nan, np.nan)
    return Estimate(measure(np.arange(len(groups))), float(low), float(high))


def bootstrapped_mean(values: Floats) -> Estimate:
    """The mean of independent values with its interval."""
    return bootstrapped(lambda rows: float(values[rows].mean()), [str(place) for place in range(len(values))])
