"""The judges learn what they are for, on a handful of pictures."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from genworkers.nets.judges import (
    CaptionScorer,
    CaptionScorerConfig,
    FeatureEncoder,
    FeatureEncoderConfig,
    SceneDetector,
    SceneDetectorConfig,
    hashed_pieces,
)

WIDTHS = (8, 8, 16, 16)


def spots(num: int) -> tuple[Tensor, Tensor]:
    """Pictures with one dark square each, and the cell (line, column) of its centre."""
    generator = torch.Generator().manual_seed(0)
    cells = torch.randint(2, 14, (num, 2), generator=generator)
    pictures = torch.ones(num, 3, 64, 64)
    for picture, (line, column) in zip(pictures, cells.tolist(), strict=True):
        picture[:, line * 4 - 2 : line * 4 + 6, column * 4 - 2 : column * 4 + 6] = torch.rand(
            3, 1, 1, generator=generator
        )
    return pictures, cells


@pytest.mark.slow
def test_features_tell_pictures_apart_after_some_steps() -> None:
    torch.manual_seed(0)
    net = FeatureEncoder(FeatureEncoderConfig(2, 3, 4, widths=WIDTHS, num_features=8))
    pictures, groups = spots(8)[0], torch.arange(8) % 2
    optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(40):
        features, logits = net(pictures)
        loss = F.cross_entropy(logits["group"], groups)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.1
    assert features.shape == (8, 8)
    assert {name: head.shape[1] for name, head in logits.items()} == {"group": 2, "subgroup": 3, "style": 4, "turn": 4}


@pytest.mark.slow
def test_captions_and_their_pictures_come_to_point_the_same_way() -> None:
    torch.manual_seed(0)
    net = CaptionScorer(CaptionScorerConfig(widths=WIDTHS, width=16, num_buckets=256))
    pictures, texts = spots(6)[0], ["cat", "dog", "red apple", "sun", "car", "tree"]
    optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(80):
        loss = net.loss(pictures, texts)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    similarity = net.picture_vectors(pictures) @ net.text_vectors(texts).T
    assert similarity.argmax(1).tolist() == list(range(6))
    assert similarity.diagonal().max() <= 1.0001


def test_pieces_of_a_text_do_not_depend_on_case_or_punctuation() -> None:
    assert hashed_pieces("Red, apple!", 1000) == hashed_pieces("red apple", 1000)
    assert hashed_pieces("apples", 1000)[1:4] == hashed_pieces("apple", 1000)[1:4]
    assert hashed_pieces("…", 1000) == hashed_pieces("", 1000)
    assert max(hashed_pieces("a quick brown fox", 16)) < 16


@pytest.mark.slow
def test_the_detector_finds_where_a_thing_is() -> None:
    torch.manual_seed(0)
    net = SceneDetector(SceneDetectorConfig(3, 4, 5, widths=WIDTHS, map_width=16, look_width=8))
    pictures, cells = spots(8)
    truth = torch.zeros(8, 16, 16)
    truth[torch.arange(8), cells[:, 0], cells[:, 1]] = 1.0
    optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(80):
        maps = net(pictures)
        loss = F.binary_cross_entropy_with_logits(maps.heat, truth, pos_weight=torch.tensor(30.0))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert maps.heat.flatten(1).argmax(1).tolist() == (cells[:, 0] * 16 + cells[:, 1]).tolist()
    assert maps.looks.shape == (8, 8, 16, 16)
    torch.testing.assert_close(maps.looks.detach().norm(dim=1), torch.ones(8, 16, 16))
    assert (maps.colours.shape, maps.grounds.shape) == ((8, 4, 16, 16), (8, 5))
    assert net.concept_logits(maps.looks.flatten(2)[:, :, 0]).shape == (8, 3)
