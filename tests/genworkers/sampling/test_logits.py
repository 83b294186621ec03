"""Sampling: truncation keeps what it says, draws follow the distribution, seeds decide everything."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genworkers.sampling.logits import Sampling, choose_token, draw, keep_top_k, keep_top_p, uniform_at

rows = st.lists(st.floats(-20, 20, width=32), min_size=1, max_size=40)
uniforms = st.floats(0, 1, exclude_max=True)


@given(rows, st.integers(0, 50))
def test_top_k_keeps_the_k_largest(row: list[float], k: int) -> None:
    logits, tokens = keep_top_k(torch.tensor(row), k)
    expected = sorted(row, reverse=True)[: k or None]
    assert logits.tolist() == pytest.approx(expected)
    assert torch.equal(torch.tensor(row)[tokens], logits)


@given(rows, st.floats(0.01, 1))
def test_top_p_keeps_the_shortest_head_that_holds_p(row: list[float], p: float) -> None:
    probabilities = torch.tensor(sorted(row, reverse=True)).softmax(0)
    kept = keep_top_p(probabilities, p)
    assert kept.sum() >= p - 1e-4
    assert len(kept) == 1 or kept[:-1].sum() < p + 1e-4


@given(rows, uniforms, st.floats(0.01, 2), st.integers(0, 5), st.floats(0.05, 1))
def test_chosen_token_is_one_of_those_kept(
    row: list[float], uniform: float, temperature: float, k: int, p: float
) -> None:
    token = choose_token(torch.tensor(row), Sampling(temperature, k, p), uniform)
    kept = sorted(row, reverse=True)[: k or None]
    assert 0 <= token < len(row)
    assert torch.tensor(row)[token] >= torch.tensor(kept[-1])


@given(rows, uniforms)
def test_temperature_zero_takes_the_likeliest(row: list[float], uniform: float) -> None:
    assert row[choose_token(torch.tensor(row), Sampling(0.0), uniform)] == max(row)


def test_draws_follow_the_distribution() -> None:
    logits = torch.tensor([0.1, 0.2, 0.3, 0.4]).log()
    counts = [0] * 4
    for position in range(4000):
        counts[choose_token(logits, Sampling(), uniform_at(7, position))] += 1
    assert [count / 4000 for count in counts] == pytest.approx([0.1, 0.2, 0.3, 0.4], abs=0.03)


def test_tiny_temperature_does_not_overflow() -> None:
    assert choose_token(torch.tensor([1.0, 15.0, 14.9]), Sampling(1e-30), 0.99) == 1


def test_draw_never_falls_off_the_end() -> None:
    assert draw(torch.tensor([0.5, 0.5]), 1 - 2**-53) == 1
    assert draw(torch.tensor([0.0, 1.0]), 0.0) == 1


@given(st.integers(0, 2**63 - 1), st.integers(0, 2000))
def test_uniform_is_a_function_of_seed_and_position(seed: int, position: int) -> None:
    value = uniform_at(seed, position)
    assert 0 <= value < 1
    assert value == uniform_at(seed, position)
    assert value != uniform_at(seed, position + 1)


@pytest.mark.parametrize("wrong", [{"temperature": -1.0}, {"temperature": float("nan")}, {"top_k": -1}, {"top_p": 0.0}])
def test_values_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Sampling(**wrong)  # type: ignore[arg-type]


def test_logits_that_are_not_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        choose_token(torch.tensor([1.0, float("nan")]), Sampling(), 0.5)
