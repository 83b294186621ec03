"""The n-gram baseline: its probabilities are probabilities, and what was seen often is likely."""

import math

import numpy as np
import pytest

from genworkers.evaluation.kneser_ney import KneserNey

V = 12
PAD = 11


def documents(count: int) -> list[list[int]]:
    generator = np.random.default_rng(0)
    return [[int(one) for one in generator.integers(0, 10, 30) * generator.integers(0, 2, 30)] for _ in range(count)]


@pytest.mark.parametrize(("order", "count"), [(1, 3), (2, 3), (3, 40), (5, 400)])
def test_probabilities_after_any_context_sum_to_one(order: int, count: int) -> None:
    model = KneserNey(documents(count), V, order, PAD)
    for context in ([], [0], [0, 0, 3, 1], [9, 9, 9, 9, 9], [10, 10]):
        total = sum(model.probabilities([*context, token], len(context))[0] for token in range(V))
        assert total == pytest.approx(1, abs=1e-12)


def test_unseen_tokens_keep_a_probability() -> None:
    assert KneserNey(documents(40), V, 3, PAD).probabilities([10], 0)[0] > 0


def test_by_hand_with_one_discount() -> None:
    # Bigrams of one document: pad 0, 0 1, 1 0, 0 1. Counts are too few for three discounts: each is 0.5.
    model = KneserNey([[0, 1, 0, 1]], vocab_size=3, order=2, pad_id=2)
    # In how many contexts: 0 after pad and 1, 1 after 0; what the discounts leave goes to 1/3 each.
    unigram_of_1 = (1 - 0.5) / 3 + (2 * 0.5 / 3) / 3
    assert model.probabilities([0, 1], 1)[0] == pytest.approx((2 - 0.5) / 2 + 0.5 / 2 * unigram_of_1)


def test_longer_contexts_help_where_they_decide() -> None:
    rows = [[1, 2, 3] * 9, [4, 2, 5] * 9] * 5
    bits = [-math.log2(KneserNey(rows, V, order, PAD).probabilities([1, 2, 3], 2)[0]) for order in (1, 2, 3)]
    assert bits[0] > bits[1] > bits[2]
    assert bits[2] < 0.1


def test_orders_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"order must be 1\.\.4 for 8192 tokens, got 5"):
        KneserNey([[1]], 8192, 5, 0)
