"""What the masked Transformer's training is made of, on sets made here."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from genworkers.nets.fsq_tokenizer import FsqTokenizer, TokenizerConfig
from genworkers.nets.masked_transformer import Captions, MaskedTransformer, MosaicConfig
from genworkers.training.mosaic_data import CaptionTable, CodeSet, ScenePool, TextNumbers, scene_codes, sticker_codes
from genworkers.training.sticker_data import Caption, StickerSet
from genworkers.training.train_mosaic import (
    Folded,
    RowPicker,
    joined,
    make_optimisers,
    random_captions,
    share_digits,
    spoil,
)

LEVELS = (3, 2)
CONFIG = MosaicConfig(
    num_codes=6, num_styles=2, num_tiles=4, caption_tokens=3, caption_width=5, width=8, num_layers=1, num_heads=2
)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def stickers() -> CodeSet:
    return CodeSet(
        codes=torch.arange(24).reshape(6, 4) % 6,
        style=torch.tensor([0, 0, 0, 1, 1, 1]),
        is_held_out=torch.tensor([False, False, True, False, True, True]),
        texts=torch.tensor([[0, 1], [1, 2], [2, 3], [0, 1], [1, 2], [2, 3]]),
        chances=torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.5, 0.5], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]]),
    )


@pytest.fixture
def scenes() -> CodeSet:
    return CodeSet(
        torch.zeros(2, 4, dtype=torch.long),
        torch.tensor([0, 1]),
        torch.tensor([False, False]),
        torch.tensor([[4], [5]]),
        torch.ones(2, 1),
    )


@pytest.fixture
def table() -> CaptionTable:
    return CaptionTable(torch.randn(6, 3, 5).half(), torch.tensor([1, 2, 3, 1, 2, 3]), torch.randn(6, 5).half())


def test_a_net_that_shares_digits_folds_into_a_plain_one_that_guesses_the_same() -> None:
    torch.manual_seed(0)
    net, plain = MaskedTransformer(CONFIG), MaskedTransformer(CONFIG)
    share_digits(net, LEVELS)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    plain.load_state_dict(Folded(net).state_dict())
    codes = torch.randint(7, (2, 4))
    captions = Captions(
        torch.randn(2, 3, 5), torch.ones(2, 3, dtype=torch.bool), torch.randn(2, 5), torch.tensor([0, 1])
    )
    torch.testing.assert_close(plain(codes, captions), net(codes, captions))


def test_the_digits_of_a_code_reach_every_code_that_has_one_of_them() -> None:
    net = MaskedTransformer(CONFIG)
    share_digits(net, LEVELS)
    with torch.no_grad():
        net.head.parametrizations.weight[0].shared[1] = 1.0  # type: ignore[union-attr,index]
    changed = net.head.weight.detach().abs().sum(1) > 0
    assert changed.tolist() == [code % 3 == 1 for code in range(6)]


def test_training_steps_lower_the_loss(generator: torch.Generator, stickers: CodeSet, table: CaptionTable) -> None:
    torch.manual_seed(0)
    net = MaskedTransformer(CONFIG)
    share_digits(net, LEVELS)
    captions = random_captions(stickers, torch.arange(6), table, 2, generator)
    hidden = torch.full_like(stickers.codes, net.mask_code)
    losses = []
    optimisers = make_optimisers(net, 0.02, 0.02)
    for _ in range(30):
        loss = torch.nn.functional.cross_entropy(net(hidden, captions).flatten(0, 1), stickers.codes.flatten())
        losses.append(float(loss.detach()))
        for optimiser, _ in optimisers:
            optimiser.zero_grad()
        loss.backward()
        for optimiser, _ in optimisers:
            optimiser.step()
    assert losses[-1] < 0.5 * losses[0]


def test_held_out_pictures_are_never_picked_and_scenes_have_their_share(
    generator: torch.Generator, stickers: CodeSet, scenes: CodeSet
) -> None:
    rows = RowPicker(stickers, scenes, [1.0, 3.0], scene_share=0.25).pick(400, generator)
    assert (rows >= 6).sum() == 100
    own = rows[rows < 6]
    assert set(own.tolist()) == {0, 1, 3}
    assert 0.65 < float((own == 3).float().mean()) < 0.85


def test_sets_are_joined_with_as_many_captions_as_the_first_has(stickers: CodeSet, scenes: CodeSet) -> None:
    both = joined(stickers, scenes)
    assert both.codes.shape == (8, 4)
    assert both.texts[7].tolist() == [5, 0]
    assert both.chances[7].tolist() == [1.0, 0.0]


def test_random_captions_keep_to_the_chances_and_drop_some(
    generator: torch.Generator, stickers: CodeSet, table: CaptionTable
) -> None:
    rows = torch.zeros(600, dtype=torch.long)
    captions = random_captions(stickers, rows, table, 2, generator)
    assert (captions.states == table.states[0].float()).all()
    dropped = 1.0 - float(captions.is_token.any(1).float().mean())
    assert 0.07 < dropped < 0.2  # without a caption, or the only word of it hidden
    mixed = float((captions.style == 0.5).all(1).float().mean())
    assert 0.02 < mixed < 0.1


def test_spoiled_codes_are_few_and_stay_codes(generator: torch.Generator) -> None:
    codes = torch.zeros(100, 64, dtype=torch.long)
    spoiled = spoil(codes, 6, generator)
    assert 0 <= int(spoiled.min()) <= int(spoiled.max()) < 6
    assert 0.005 < float((spoiled != codes).float().mean()) < 0.05


def test_stickers_and_scenes_become_codes_with_their_texts(tmp_path: Path) -> None:
    torch.manual_seed(0)
    tokenizer = FsqTokenizer(TokenizerConfig(widths=(8, 8, 8), detail_width=8)).eval()
    captions: Mapping[str, Caption] = {"a": Caption("a", "cat", ("pet",)), "b": Caption("b", "dog", ())}
    small = np.zeros((2, 64, 64, 4), np.uint8)
    stickers = StickerSet("plain", ("a", "b"), small, np.zeros((2, 128, 128, 4), np.uint8))
    numbers = TextNumbers()
    first = sticker_codes([stickers], captions, tokenizer, numbers, tmp_path)
    second = scene_codes([ScenePool(small, ("two cats", "cat"))], tokenizer, numbers, tmp_path)
    assert first.codes.shape == (2, 64)
    again = sticker_codes([stickers], captions, tokenizer, TextNumbers(), tmp_path)
    assert torch.equal(first.codes, again.codes)
    assert [numbers.texts()[number] for number in first.texts[:, 0].tolist()] == ["cat", "dog"]
    assert [numbers.texts()[number] for number in second.texts[:, 0].tolist()] == ["two cats", "cat"]
    torch.testing.assert_close(first.chances.sum(1), torch.ones(2))
