"""The palette tokenizer: codes of counted patterns and colours, there and back."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from genworkers.nets.palette_tokenizer import PaletteTokenizer
from genworkers.training.character_composer import Character
from genworkers.training.character_materials import find_materials
from genworkers.training.character_tokenizer import CharacterCodes, make_tokenizer
from tests.genworkers.tiny_characters import tiny_composer


@pytest.fixture(scope="module")
def codes(tmp_path_factory: pytest.TempPathFactory) -> CharacterCodes:
    composer = tiny_composer(tmp_path_factory.mktemp("corpus"))
    materials = find_materials(composer)
    return CharacterCodes(composer, materials, make_tokenizer(composer, materials, 600, 4096))


@pytest.fixture(scope="module")
def characters(codes: CharacterCodes) -> list[Character]:
    random = np.random.default_rng(5)
    return [codes.composer.draw(random) for _ in range(6)]


def same_pixels(ours: Tensor, real: Tensor) -> float:
    return float(((ours - real).abs() < 1e-3).all(1).float().mean())


def test_pictures_have_colours_of_the_palette_only(codes: CharacterCodes, characters: list[Character]) -> None:
    pictures = codes.tokenizer.decode(codes.of(characters))
    assert pictures.shape == (6, 4, 64, 64)
    assert set(pictures[:, 3].unique().tolist()) <= {0.0, 1.0}
    palette = {tuple(colour) for colour in codes.composer.frames.palette.tolist()}
    shown = (pictures * 255).round().to(torch.uint8).permute(0, 2, 3, 1).reshape(-1, 4).unique(dim=0)
    assert {tuple(colour) for colour in shown.tolist()} <= palette


def test_encoding_a_painted_picture_finds_codes_that_paint_it_again(
    codes: CharacterCodes, characters: list[Character]
) -> None:
    pictures = codes.tokenizer.decode(codes.of(characters))
    again = codes.tokenizer.decode(codes.tokenizer.encode(pictures))
    assert same_pixels(again, pictures) == 1.0


def test_encoding_overlooks_small_errors_of_colour(codes: CharacterCodes, characters: list[Character]) -> None:
    pictures = codes.tokenizer.decode(codes.of(characters[:2]))
    noise = 0.04 * torch.randn(pictures.shape, generator=torch.Generator().manual_seed(0))
    noise[:, 3] = 0.0
    again = codes.tokenizer.decode(codes.tokenizer.encode((pictures + noise * pictures[:, 3:]).clamp(0.0, 1.0)))
    assert same_pixels(again, pictures) > 0.99


def test_nothing_is_encoded_as_nothing(codes: CharacterCodes) -> None:
    tokenizer = codes.tokenizer
    empty = tokenizer.encode(torch.zeros(1, 4, 64, 64))
    assert float(tokenizer.decode(empty).abs().max()) == 0.0


def test_a_colour_in_the_table_changes_that_thing_everywhere(
    codes: CharacterCodes, characters: list[Character]
) -> None:
    first = replace(characters[0], top=(characters[0].top[0], "Red"), ground="white")
    table = codes.tokenizer.config.places()[1]
    red = codes.of([first])
    tan = codes.of([replace(first, top=(first.top[0], "Tan"))])
    assert (red != tan).nonzero()[:, 1].tolist() == [table[3]]
    differing = codes.tokenizer.decode_indices(red) != codes.tokenizer.decode_indices(tan)
    assert int(differing.sum()) > 50


def test_codes_of_the_wrong_kind_are_read_as_nothing(codes: CharacterCodes) -> None:
    config = codes.tokenizer.config
    generator = torch.Generator().manual_seed(1)
    nonsense = torch.randint(config.num_codes, (4, config.num_tiles), generator=generator)
    assert codes.tokenizer.decode(nonsense).shape == (4, 4, 64, 64)


def test_tables_outlive_saving(codes: CharacterCodes, characters: list[Character], tmp_path: Path) -> None:
    torch.save(codes.tokenizer.state_dict(), tmp_path / "tables.pt")
    again = PaletteTokenizer(codes.tokenizer.config)
    again.load_state_dict(torch.load(tmp_path / "tables.pt", weights_only=True))
    own = codes.of(characters)
    assert torch.equal(again.decode(own), codes.tokenizer.decode(own))
