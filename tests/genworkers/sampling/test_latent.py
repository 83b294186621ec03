"""Ways through a latent space: where they begin and end, and that they neither jump nor leave the shell."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genworkers.sampling.latent import random_walk, slerp


@given(st.integers(0, 2**31), st.integers(2, 65))
@settings(max_examples=40, deadline=None)
def test_the_ends_are_exact(seed: int, width: int) -> None:
    start, end = torch.randn(2, 3, width, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(slerp(start, end, 0.0), start)
    torch.testing.assert_close(slerp(start, end, 1.0), end, atol=1e-4, rtol=1e-4)


def test_halfway_lies_between_at_the_mean_length() -> None:
    start, end = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 4.0])
    halfway = slerp(start, end, 0.5)
    torch.testing.assert_close(halfway, torch.full((2,), 3.0 / math.sqrt(2)))


def test_equal_places_stay() -> None:
    place = torch.randn(5, 16)
    torch.testing.assert_close(slerp(place, place.clone(), 0.3), place)


def test_opposite_places_are_joined_by_half_a_circle() -> None:
    start = torch.randn(4, 9)
    halfway = slerp(start, -start, 0.5)
    torch.testing.assert_close(halfway.norm(dim=-1), start.norm(dim=-1))
    torch.testing.assert_close((halfway * start).sum(-1), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(slerp(start, -start, 1.0), -start, atol=1e-5, rtol=1e-5)


def test_nearly_opposite_places_do_not_jump() -> None:
    start = torch.randn(8, generator=torch.Generator().manual_seed(0))
    for nudge in (1e-2, 1e-3, 1e-5):
        end = -start + nudge * torch.randn(8, generator=torch.Generator().manual_seed(1))
        way = torch.stack([slerp(start, end, share / 20) for share in range(21)])
        assert bool(way.isfinite().all())
        assert float((way[1:] - way[:-1]).norm(dim=-1).max()) < float(start.norm()) * math.pi / 20 * 1.2


def test_the_origin_is_reached_in_a_straight_line() -> None:
    end = torch.randn(6)
    torch.testing.assert_close(slerp(torch.zeros(6), end, 0.25), 0.25 * end)


def test_shares_broadcast_to_a_whole_way() -> None:
    way = slerp(torch.randn(1, 8), torch.randn(1, 8), torch.linspace(0, 1, 7)[:, None])
    assert way.shape == (7, 8)


def test_a_random_walk_is_decided_by_its_seed_and_comes_back_smoothly() -> None:
    start = torch.randn(64, generator=torch.Generator().manual_seed(0))
    walk = random_walk(start, 7, 48)
    torch.testing.assert_close(walk[0], start)
    assert torch.equal(walk, random_walk(start, 7, 48))
    assert not torch.equal(walk, random_walk(start, 8, 48))
    closed = torch.cat([walk, walk[:1]])
    steps = (closed[1:] - closed[:-1]).norm(dim=-1)
    assert float(steps.max()) < 0.25 * float(start.norm())
    lengths = walk.norm(dim=-1) / start.norm()
    assert 0.6 < float(lengths.min()) <= float(lengths.max()) < 1.5


def test_a_walk_without_reach_stays_and_a_bad_one_is_refused() -> None:
    start = torch.randn(8)
    torch.testing.assert_close(random_walk(start, 0, 3, reach=0.0), start.expand(3, 8))
    with pytest.raises(ValueError, match=r"reach 0\.\.1, got 3, 2, 1\.5"):
        random_walk(start, 0, 3, reach=1.5)
