"""Penalties, bias and masks change the logits that they should, and no other."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genworkers.sampling.penalties import SeenTokens, add_bias, allow_only, penalise

ids = st.integers(0, 60)


@given(st.lists(ids), st.lists(ids))
def test_seen_tokens_are_counted(prompt: list[int], written: list[int]) -> None:
    seen = SeenTokens(prompt)
    for token_id in written:
        seen.add(token_id)
    counts = Counter(written)
    counted = dict(zip(seen.ids.tolist(), seen.num_written.tolist(), strict=True))
    assert counted == {token_id: counts[token_id] for token_id in {*prompt, *written}}


def test_repetition_makes_positive_and_negative_logits_less_likely() -> None:
    logits = np.array([2.0, -2.0, 2.0, 0.0], np.float32)
    seen = SeenTokens([0])
    seen.add(1)
    penalise(logits, seen, repetition=2.0, presence=0.0, frequency=0.0)
    assert logits.tolist() == [1.0, -4.0, 2.0, 0.0]


def test_presence_and_frequency_count_written_tokens_only() -> None:
    logits = np.zeros(4, np.float32)
    seen = SeenTokens([0, 1])
    for token_id in (1, 2, 2, 2):
        seen.add(token_id)
    penalise(logits, seen, repetition=1.0, presence=0.5, frequency=0.25)
    assert logits.tolist() == [0.0, -0.75, -1.25, 0.0]


def test_nothing_seen_changes_nothing() -> None:
    logits = np.array([1.0, 2.0], np.float32)
    penalise(logits, SeenTokens([]), repetition=2.0, presence=1.0, frequency=1.0)
    assert logits.tolist() == [1.0, 2.0]


def test_bias_is_added() -> None:
    logits = np.zeros(3, np.float32)
    add_bias(logits, {2: 5.0, 0: -100.0})
    assert logits.tolist() == [-100.0, 0.0, 5.0]


@pytest.mark.parametrize("length", [1, 3, 4])
def test_a_mask_forbids_what_it_says_and_all_beyond_its_end(length: int) -> None:
    logits = np.arange(4, dtype=np.float32)
    mask = np.array([True, False, True, False])[:length]
    allow_only(logits, mask)
    assert np.isfinite(logits).tolist() == [True, False, length > 2, False]
