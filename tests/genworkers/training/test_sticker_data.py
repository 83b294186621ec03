"""The stickers corpus, on a corpus of two pictures made here."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genworkers.sampling.schedules import mask_frac
from genworkers.training.sticker_data import Caption, caption_choices, is_held_out, load_stickers, read_captions
from genworkers.training.train_mosaic import hide
from genworkers.training.train_tokenizer import augment, learning_rate_at, reconstruction_loss


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "stickers"
    folder.mkdir()
    rows = [
        {"key": "1f34e", "name": "red apple", "keywords": ["apple", "Fruit", "fruit "]},
        {"key": "1f408", "name": "cat", "keywords": []},
    ]
    (folder / "captions.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    with tarfile.open(folder / "px128-flat.tar", "w") as tar:
        for key, colour in (("1f408", (255, 128, 0, 128)), ("1f34e", (255, 0, 0, 255))):
            buffer = io.BytesIO()
            Image.new("RGBA", (128, 128), colour).save(buffer, format="WEBP", lossless=True, exact=True)
            member = tarfile.TarInfo(f"{key}.webp")
            member.size = len(buffer.getvalue())
            tar.addfile(member, io.BytesIO(buffer.getvalue()))
    return tmp_path


def test_pictures_come_sorted_premultiplied_and_in_two_sizes(corpus: Path, tmp_path: Path) -> None:
    stickers = load_stickers(corpus, "flat", tmp_path / "cache")
    assert stickers.keys == ("1f34e", "1f408")
    assert stickers.small.shape == (2, 64, 64, 4)
    assert stickers.large.shape == (2, 128, 128, 4)
    np.testing.assert_allclose(stickers.small[1, 30, 30], [128, 64, 0, 128], atol=1)
    (corpus / "stickers" / "px128-flat.tar").unlink()
    again = load_stickers(corpus, "flat", tmp_path / "cache")
    np.testing.assert_array_equal(again.small, stickers.small)


def test_captions_lose_repeated_keywords(corpus: Path) -> None:
    assert read_captions(corpus)["1f34e"].keywords == ("apple", "fruit")


def test_a_tenth_of_the_concepts_is_held_out() -> None:
    held_out = sum(is_held_out(f"{number:x}") for number in range(5000)) / 5000
    assert 0.08 < held_out < 0.12


def test_caption_choices_prefer_rare_keywords_and_stay_the_same() -> None:
    caption = Caption("1f408", "cat", ("animal", "kitten"))
    choices = caption_choices(caption, {"animal": 99, "kitten": 1})
    chance = dict(choices[-2:])
    assert sum(chance for _, chance in choices) == pytest.approx(1.0)
    assert chance["kitten"] == pytest.approx(99 * chance["animal"])
    assert choices == caption_choices(caption, {"animal": 99, "kitten": 1})
    assert caption_choices(Caption("2a", "apple", ()), {})[1][0] == "an apple"


def test_augmenting_moves_both_sizes_alike() -> None:
    small = torch.rand(4, 4, 64, 64)
    large = small.repeat_interleave(2, -1).repeat_interleave(2, -2)
    moved_small, moved_large = augment(small, large, torch.Generator().manual_seed(5))
    assert torch.equal(moved_large[..., ::2, ::2], moved_small)
    assert not torch.equal(moved_small, small)


def test_hiding_follows_the_cosine_law_and_hides_at_least_one() -> None:
    codes = torch.zeros(2000, 64, dtype=torch.long)
    hidden, is_hidden = hide(codes, 9, torch.Generator().manual_seed(0))
    assert torch.equal(hidden == 9, is_hidden)
    assert int(is_hidden.sum(1).min()) >= 1
    expected = float(mask_frac(torch.linspace(0, 1, 1001)).mean())
    assert float(is_hidden.float().mean()) == pytest.approx(expected, abs=0.02)


def test_a_perfect_picture_costs_nothing_on_any_background() -> None:
    picture = torch.rand(1, 4, 32, 32)
    assert float(reconstruction_loss(picture, picture, torch.rand(1, 3, 1, 1))) == 0.0
    assert float(reconstruction_loss(picture + 0.1, picture, torch.zeros(1, 3, 1, 1))) > 0.1


def test_the_learning_rate_warms_up_stays_and_cools_down() -> None:
    assert learning_rate_at(0.0, 0, 1.0) < 0.02
    assert learning_rate_at(0.4, 500, 1.0) == 1.0
    assert learning_rate_at(1.0, 5000, 1.0) == pytest.approx(0.01)
