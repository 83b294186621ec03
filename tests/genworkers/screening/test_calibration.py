"""Logits become probabilities that never fall, keep ranks and agree with how often a text is positive."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genworkers.screening.calibration import Calibration, fit_isotonic


def test_probabilities_are_as_often_right_as_they_say() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=20_000) * 2
    truth = 1 / (1 + np.exp(-(2 * logits - 3)))  # the net is too timid and biased
    calibration = fit_isotonic(logits, random.random(len(logits)) < truth)
    assert np.abs(calibration(logits) - truth).mean() < 0.02


@given(st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=2, max_size=60))
def test_a_higher_logit_is_never_less_likely(rows: list[tuple[int, bool]]) -> None:
    logits, is_positive = np.array(rows, dtype=float).T
    if is_positive.all() or not is_positive.any():
        with pytest.raises(ValueError, match="must hold both"):
            fit_isotonic(logits, is_positive)
        return
    chances = fit_isotonic(logits, is_positive)(np.linspace(-20, 20, 200))
    assert (np.diff(chances) >= 0).all()
    assert 0.0 < chances.min() <= chances.max() < 1.0


def test_beyond_the_labelled_range_ranks_are_kept_for_a_while() -> None:
    calibration = fit_isotonic([-2.0, -1.0, 1.0, 2.0], [False, False, True, True])
    assert calibration([3.0])[0] < calibration([4.0])[0] < 1.0


def test_no_logit_at_all_is_the_least_likely() -> None:
    calibration = fit_isotonic([-2.0, 2.0], [False, True])
    assert calibration(-np.inf) == calibration.chances[0]


@pytest.mark.parametrize(
    ("logits", "chances"),
    [((), ()), ((0.0, 0.0), (0.1, 0.2)), ((0.0, 1.0), (0.2, 0.1)), ((0.0,), (1.5,)), ((0.0, 1.0), (0.5,))],
)
def test_a_line_that_falls_or_leaves_the_range_is_refused(
    logits: tuple[float, ...], chances: tuple[float, ...]
) -> None:
    with pytest.raises(ValueError, match="rising knots"):
        Calibration(logits, chances)
