"""When a picture's own caption counts as found."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from genworkers.evaluation.retrieval import retrieve_captions


def unit_vectors(num: int, seed: int = 0) -> Tensor:
    return F.normalize(torch.randn(num, 32, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_a_picture_that_points_at_its_caption_finds_it() -> None:
    captions = unit_vectors(150)
    found = retrieve_captions(captions[:120], captions, range(120))
    assert (found.at_1, found.num_pictures, found.num_candidates) == (1.0, 120, 100)


def test_pictures_that_say_nothing_find_their_caption_by_chance() -> None:
    found = retrieve_captions(unit_vectors(2000, seed=1), unit_vectors(100), [place % 100 for place in range(2000)])
    assert found.at_1 == pytest.approx(0.01, abs=0.01)
    assert found.at_5 == pytest.approx(0.05, abs=0.02)


def test_equal_captions_are_not_told_apart() -> None:
    captions = unit_vectors(1).repeat(10, 1)
    found = retrieve_captions(captions, captions, range(10))
    assert (found.at_1, found.num_candidates) == (0.0, 10)


def test_the_seed_decides_the_other_candidates() -> None:
    pictures, captions = unit_vectors(300, seed=1), unit_vectors(300)
    first, again, other = (retrieve_captions(pictures, captions, range(300), seed=seed).at_5 for seed in (0, 0, 1))
    assert first == again
    assert first != other
