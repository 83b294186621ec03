"""Characters: composed from layers, taken apart, told in words and read again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from genworkers.nets.judges import CharacterClassifier
from genworkers.training.character_captions import full_caption, varied_caption, words_of
from genworkers.training.character_classifier import CharacterJudge, as_batch, values_of_attributes
from genworkers.training.character_composer import Character, Composer
from genworkers.training.character_materials import Materials, find_materials
from genworkers.training.character_reading import CharacterReader, attributes_of
from genworkers.training.character_tokenizer import CharacterCodes, exactness, make_tokenizer
from tests.genworkers.tiny_characters import tiny_composer


@pytest.fixture(scope="module")
def composer(tmp_path_factory: pytest.TempPathFactory) -> Composer:
    return tiny_composer(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def materials(composer: Composer) -> Materials:
    return find_materials(composer)


def plain(**changes: object) -> Character:
    character = Character(
        direction="down",
        is_woman=False,
        is_elderly=False,
        skin="Ivory",
        eyes="Blue",
        hair=("Short 01 - Buzzcut", "Blonde"),
        helm=None,
        beard=None,
        eyewear=None,
        top=("Shirt 09 - Polo", "Red"),
        bottom=("Pants 03 - Pants", "Blue"),
        feet=("Shoes 02 - Boots", "Tan"),
        bowtie=None,
        ground="green",
    )
    return replace(character, **changes)  # type: ignore[arg-type]


def colours(composer: Composer, character: Character) -> set[tuple[int, ...]]:
    return {tuple(colour) for colour in composer.frames.palette[np.unique(composer.paint(character))].tolist()}


def test_a_character_has_the_colours_of_its_things_and_its_ground(composer: Composer) -> None:
    shown = colours(composer, plain())
    assert {(200, 40, 40, 255), (40, 60, 200, 255), (0x78, 0xB4, 0x64, 255)} <= shown
    assert (0, 0, 0, 0) not in shown


def test_a_transparent_ground_is_empty(composer: Composer) -> None:
    assert composer.paint(plain(ground="transparent"))[0, 0] == 0


def test_overalls_lie_over_the_shirt_and_trousers_under_it(composer: Composer) -> None:
    def legs(character: Character) -> list[str]:
        return [sheet.split("/")[2] for sheet in composer.sheets(character) if "/Torso/" in sheet or "/Legs/" in sheet]

    assert legs(plain(bottom=("Pants 05 - Overalls", "Blue"))) == ["Torso", "Legs"]
    assert legs(plain()) == ["Legs", "Torso"]


def test_drawn_characters_keep_to_their_side_of_the_held_out_pairs(composer: Composer) -> None:
    random = np.random.default_rng(0)
    assert all(composer.draw(random, held_out=True).is_held_out for _ in range(20))
    assert not any(composer.draw(random).is_held_out for _ in range(20))


def test_a_second_reading_of_the_layers_comes_from_the_cache(tmp_path: Path) -> None:
    first = tiny_composer(tmp_path)
    (tmp_path / "characters" / "layers.tar").unlink()
    again = Composer(type(first.frames)(**vars(first.frames)))
    assert (tmp_path / "cache" / "character-layers.npz").exists()
    assert np.array_equal(first.paint(plain()), again.paint(plain()))


def test_shades_and_colours_give_back_every_pixel(composer: Composer, materials: Materials) -> None:
    random = np.random.default_rng(1)
    for _ in range(60):
        character = composer.draw(random)
        shades = materials.map(composer, character)
        painted = materials.render(shades, materials.table(character), composer.frames.ground(character.ground))
        assert np.array_equal(painted, composer.paint(character))


def test_one_shade_serves_all_colours_of_a_thing(composer: Composer, materials: Materials) -> None:
    red, tan = (materials.map(composer, plain(top=("Shirt 09 - Polo", colour))) for colour in ("Red", "Tan"))
    assert np.array_equal(red, tan)


def test_a_tokenizer_with_enough_patterns_is_exact_and_one_with_few_is_not(
    composer: Composer, materials: Materials
) -> None:
    random = np.random.default_rng(2)
    shown = [composer.draw(random) for _ in range(40)]
    many = CharacterCodes(composer, materials, make_tokenizer(composer, materials, 600, 4096))
    few = CharacterCodes(composer, materials, make_tokenizer(composer, materials, 600, 16))
    assert exactness(many, shown)["figure_pixels"] > 0.999
    assert exactness(few, shown)["figure_pixels"] < 0.95


def test_the_full_caption_says_every_attribute() -> None:
    assert full_caption(plain()) == (
        "a man with ivory skin and blonde buzzcut hair, red polo, blue pants, tan boots, facing the viewer, "
        "green background"
    )
    bare = plain(hair=None, beard=("Facial Hair 07 - Medium Beard", "Black"), feet=None, is_elderly=True)
    assert full_caption(bare) == (
        "an elderly man with ivory skin, bald, black medium beard, red polo, blue pants, barefoot, facing the viewer, "
        "green background"
    )


def test_varied_captions_differ_and_say_nothing_false(composer: Composer) -> None:
    random = np.random.default_rng(3)
    texts = {varied_caption(plain(), random) for _ in range(60)}
    assert len(texts) > 20
    assert all("woman" not in text and "glasses" not in text and "facing left" not in text for text in texts)
    assert any("polo" not in text for text in texts)


@pytest.mark.parametrize(
    ("style", "words"),
    [("Medium 02 - Curly", "long curly"), ("Short 03 - Curly", "curly"), ("Helm 03 - Norman", "norman helm")],
)
def test_a_folder_has_words(style: str, words: str) -> None:
    assert words_of(style) == words


def test_a_reader_finds_what_differs_from_what_was_asked(composer: Composer, materials: Materials) -> None:
    reader = CharacterReader(composer, materials)
    shown = plain(top=("Shirt 09 - Polo", "Tan"), is_woman=True, direction="left", ground="black")
    reading = reader.read(composer.paint(shown), plain())
    assert attributes_of(reading.character) == attributes_of(shown)
    assert reading.unexplained_frac == 0.0


def test_a_reader_believes_what_cannot_be_seen(composer: Composer, materials: Materials) -> None:
    asked = plain(feet=("Shoes 01 - Shoes", "Tan"))
    hidden = replace(asked, eyes="Gray", eyewear=("Eyewear 03 - Eyepatch", ""))
    reading = CharacterReader(composer, materials).read(composer.paint(hidden), hidden)
    assert attributes_of(reading.character) == attributes_of(hidden)


def test_pixels_that_no_layer_gives_stay_unexplained(composer: Composer, materials: Materials) -> None:
    picture = composer.paint(plain())
    picture[30:34, 26:30] = composer.frames.ground("pink")
    assert CharacterReader(composer, materials).read(picture, plain()).unexplained_frac > 0.0


@pytest.mark.slow
def test_a_classifier_learns_to_tell_what_a_character_wears(composer: Composer) -> None:
    values = values_of_attributes(composer)
    torch.manual_seed(0)
    num_values = {name: len(own) for name, own in values.items()}
    judge = CharacterJudge(CharacterClassifier(len(composer.frames.palette), num_values), values)
    random = np.random.default_rng(3)
    shown = [composer.draw(random) for _ in range(32)]
    pictures = [composer.paint(character) for character in shown]
    targets = judge.targets(shown)
    optimiser = torch.optim.AdamW(judge.net.parameters(), lr=2e-3)
    for _ in range(60):
        logits = judge.net(as_batch(pictures))
        loss = torch.stack([torch.nn.functional.cross_entropy(logits[name], targets[name]) for name in values]).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    read = judge.read(pictures)
    wanted = [attributes_of(character) for character in shown]
    for name in ("direction", "skin", "ground"):
        right = sum(one[name] == other[name] for one, other in zip(read, wanted, strict=True))
        assert right >= 29, name
