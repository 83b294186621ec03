"""Schedules of masked generation."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genworkers.sampling.schedules import decide_tiles, guidance_at, guide, mask_frac, num_masked_after


@given(st.integers(1, 64))
def test_every_step_decides_something_and_the_last_decides_all(num_steps: int) -> None:
    left = [64] + [num_masked_after(step, num_steps, 64) for step in range(num_steps)]
    assert all(before > after for before, after in pairwise(left))
    assert left[-1] == 0


def test_the_cosine_decides_few_tiles_first() -> None:
    left = [num_masked_after(step, 12, 64) for step in range(12)]
    assert left == [63, 61, 59, 55, 50, 45, 38, 32, 24, 16, 8, 0]


@pytest.mark.parametrize(("step", "num_steps"), [(0, 0), (0, 65), (4, 4), (-1, 4)])
def test_numbers_out_of_range_are_refused(step: int, num_steps: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        num_masked_after(step, num_steps, 64)


def test_mask_frac_covers_all_shares() -> None:
    shares = mask_frac(torch.tensor([0.0, 0.5, 1.0]))
    torch.testing.assert_close(shares, torch.tensor([1.0, 0.7071, 0.0]), atol=1e-4, rtol=0)


def test_guidance_grows_from_one() -> None:
    assert guidance_at(0.0, 3.0) == 1.0
    assert guidance_at(0.5, 3.0) == 2.0
    assert guidance_at(1.0, 3.0) == 3.0
    assert guidance_at(1.0, 0.0) == 0.0


def test_guidance_of_one_is_plain_and_of_zero_ignores_the_prompt() -> None:
    with_prompt, without = torch.tensor([1.0, 2.0]), torch.tensor([0.5, 4.0])
    assert torch.equal(guide(with_prompt, without, 1.0), with_prompt)
    assert torch.equal(guide(with_prompt, without, 0.0), without)
    assert guide(with_prompt, without, 2.0).tolist() == [1.5, 0.0]


@given(st.integers(0, 2**63 - 1), st.integers(0, 20), st.floats(0, 10))
@settings(max_examples=40, deadline=None)
def test_deciding_keeps_what_was_decided_and_masks_exactly_so_many(seed: int, num_next: int, warmth: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    is_masked = torch.zeros(32, dtype=torch.bool)
    is_masked[torch.randperm(32, generator=generator)[:21]] = True
    codes = torch.arange(32)
    new_codes, new_mask = decide_tiles(
        torch.randn(21, 7, generator=generator),
        codes,
        is_masked,
        num_masked_next=num_next,
        choice_temperature=warmth,
        temperature=1.0,
        generator=generator,
    )
    assert int(new_mask.sum()) == num_next
    assert not bool((new_mask & ~is_masked).any())
    assert torch.equal(new_codes[~is_masked], codes[~is_masked])
    assert int(new_codes[is_masked].max()) < 7


def test_draws_follow_the_distribution() -> None:
    logits = torch.tensor([0.7, 0.2, 0.1]).log().expand(4000, 3)
    drawn, _ = decide_tiles(
        logits,
        torch.zeros(4000, dtype=torch.long),
        torch.ones(4000, dtype=torch.bool),
        num_masked_next=0,
        choice_temperature=4.5,
        temperature=1.0,
        generator=torch.Generator().manual_seed(0),
    )
    shares = torch.bincount(drawn, minlength=3) / 4000
    torch.testing.assert_close(shares, torch.tensor([0.7, 0.2, 0.1]), atol=0.03, rtol=0)


def test_without_noise_the_most_confident_tiles_are_decided() -> None:
    logits = torch.zeros(4, 3)
    logits[:, 0] = torch.tensor([0.01, 50.0, 0.02, 60.0])
    _, still_masked = decide_tiles(
        logits,
        torch.zeros(4, dtype=torch.long),
        torch.ones(4, dtype=torch.bool),
        num_masked_next=2,
        choice_temperature=0.0,
        temperature=1.0,
        generator=torch.Generator().manual_seed(0),
    )
    assert still_masked.tolist() == [True, False, True, False]
