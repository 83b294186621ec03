"""The pieces of a draw: the largest, what truncation keeps, where a uniform number falls."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genworkers.sampling.draws import draw, draw_from_whole, keep_top_p, largest, weigh

uniforms = st.floats(0, 1, exclude_max=True)


@given(st.integers(1, 3000), st.integers(1, 4), st.integers(1, 60), st.integers(0, 3), st.integers(0, 10_000))
def test_the_largest_are_found_in_order_and_equals_by_id(
    vocab_size: int, num_rows: int, k: int, digits: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(num_rows, vocab_size)).round(digits).astype(np.float32)
    logits[rng.random(logits.shape) < 0.1] = -np.inf
    k = min(k, vocab_size)
    ids, values = largest(logits, k)
    for row, own_ids, own_values in zip(logits.tolist(), ids.tolist(), values.tolist(), strict=True):
        expected = sorted((i for i in range(vocab_size) if row[i] > -np.inf), key=lambda i: (-row[i], i))[:k]
        assert own_ids == expected + [0] * (k - len(expected))
        assert own_values == [row[i] for i in expected] + [-np.inf] * (k - len(expected))


@given(st.lists(st.floats(-20, 20, width=32), min_size=1, max_size=40), st.floats(0.01, 1))
def test_top_p_keeps_the_shortest_head_that_holds_p(row: list[float], p: float) -> None:
    values = np.array([sorted(row, reverse=True)], np.float32)
    weights = weigh(values, values[:, :1], 1.0, 0.0)
    kept = keep_top_p(weights, p, weights.sum())[0] / weights.sum()
    num_kept = int((kept > 0).sum())
    assert kept.sum() >= p - 1e-12
    assert num_kept == 1 or kept[: num_kept - 1].sum() < p + 1e-12


def test_a_draw_never_falls_off_the_end_nor_on_what_was_cut() -> None:
    last = 1 - 2**-53
    assert draw(np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]), last).tolist() == [1, 0]
    assert draw(np.array([[1.0, 1e-300, 0.0]]), last).tolist() == [0]


@given(st.lists(st.sampled_from([0.0, 1.0, -3.0, -800.0, -np.inf]), min_size=1, max_size=700), uniforms)
def test_a_draw_from_a_whole_row_never_takes_what_is_forbidden(row: list[float], uniform: float) -> None:
    row[len(row) // 2] = 1.0
    for top_p in (1.0, 0.9):
        index = draw_from_whole(np.array(row, np.float32), temperature=1.0, min_p=0.0, top_p=top_p, uniform=uniform)
        assert row[index] > -800


@pytest.mark.parametrize("num_columns", [1, 3, 8, 50, 257])
def test_weights_do_not_depend_on_where_in_memory_a_row_lies(num_columns: int) -> None:
    rng = np.random.default_rng(0)
    values = -np.sort(rng.exponential(5, size=(9, num_columns)).astype(np.float32), axis=1)
    together = weigh(values, values[:, :1], 0.7, 0.0)
    sums = together.cumsum(axis=1)
    for index in range(9):
        alone = weigh(values[index : index + 1].copy(), values[index : index + 1, :1], 0.7, 0.0)
        assert alone.tobytes() == together[index].tobytes()
        assert alone.cumsum(axis=1).tobytes() == sums[index].tobytes()
