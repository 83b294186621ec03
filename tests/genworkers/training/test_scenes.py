"""Composed scenes, on a shelf of plain shapes drawn here."""

from collections.abc import Mapping

import numpy as np
import pytest

from genworkers.codecs.image_bytes import Pixels
from genworkers.training.colours import COLOUR_NAMES, colour_of, recolour
from genworkers.training.scene_words import NUMBER_WORDS, plural, with_article, without_colour
from genworkers.training.scenes import KINDS, Scene, Shelf, compose, make_shelf, render
from genworkers.training.sticker_data import Caption, StickerSet

NAMES = {
    "a": ("red apple", (200, 30, 40)),
    "b": ("cat", (240, 190, 60)),
    "c": ("boat", (40, 90, 220)),
    "d": ("leaf", (50, 160, 60)),
    "e": ("cherries", (210, 20, 60)),
    "f": ("Pisces", (150, 80, 220)),
    "g": ("key", (120, 70, 30)),
}


def _square(colour: tuple[int, int, int], size_px: int) -> Pixels:
    picture = np.zeros((size_px, size_px, 4), np.uint8)
    rim = size_px // 8
    picture[rim:-rim, rim:-rim] = (*colour, 255)
    return picture


@pytest.fixture
def captions() -> Mapping[str, Caption]:
    return {key: Caption(key, name, ("thing", f"{name} again")) for key, (name, _) in NAMES.items()}


@pytest.fixture
def stickers() -> StickerSet:
    small, large = (np.stack([_square(colour, px) for _, colour in NAMES.values()]) for px in (64, 128))
    return StickerSet("plain", tuple(NAMES), small, large)


@pytest.fixture
def shelf(stickers: StickerSet, captions: Mapping[str, Caption]) -> Shelf:
    return make_shelf(stickers, captions, {"a", "b", "c", "d", "e", "f"})


def _scenes(shelf: Shelf, kind: str | None, count: int = 40) -> list[Scene]:
    random = np.random.default_rng(3)
    return [compose(shelf, random, kind) for _ in range(count)]


def test_the_same_seed_composes_and_paints_the_same(shelf: Shelf) -> None:
    first, second = (compose(shelf, np.random.default_rng(5)) for _ in range(2))
    assert first == second
    assert np.array_equal(render(first, shelf.stickers, 64), render(second, shelf.stickers, 64))


def test_concepts_that_were_not_given_and_names_that_do_not_fit_never_appear(shelf: Shelf) -> None:
    for scene in _scenes(shelf, None, 200):
        assert not {thing.key for thing in scene.things} & {"f", "g"}


@pytest.mark.parametrize("kind", list(KINDS))
def test_what_is_said_is_in_the_record_and_in_the_frame(shelf: Shelf, kind: str) -> None:
    for scene in _scenes(shelf, kind):
        assert scene.kind == kind
        assert all(thing.name in scene.caption or plural(thing.name) in scene.caption for thing in scene.things)
        for thing in scene.things:
            for box in thing.boxes:
                assert 0 <= box.left < box.right <= 64
                assert 0 <= box.top < box.bottom <= 64
            assert not thing.is_recoloured or str(thing.colour) in scene.caption


def test_a_recoloured_thing_has_the_colour_that_is_said(shelf: Shelf) -> None:
    for scene in _scenes(shelf, "colour"):
        if scene.background is None and scene.things[0].is_recoloured:
            assert colour_of(render(scene, shelf.stickers, 64)) == scene.things[0].colour


def test_a_count_has_as_many_boxes_and_they_do_not_cover_each_other(shelf: Shelf) -> None:
    for scene in _scenes(shelf, "count"):
        boxes = scene.things[0].boxes
        assert NUMBER_WORDS[len(boxes)] in scene.caption or str(len(boxes)) in scene.caption
        for i, one in enumerate(boxes):
            for other in boxes[:i]:
                apart = max(
                    one.left - other.right, other.left - one.right, one.top - other.bottom, other.top - one.bottom
                )
                assert apart > -4


def test_a_relation_is_where_the_boxes_are(shelf: Shelf) -> None:
    for scene in _scenes(shelf, "relation"):
        first, second = (thing.boxes[0] for thing in scene.things)
        is_true = {
            "left of": first.left < second.left,
            "right of": first.left > second.left,
            "above": first.top < second.top,
            "below": first.top > second.top,
        }
        assert scene.relation is not None
        assert is_true[scene.relation]


def test_a_ground_is_opaque_and_has_its_colour_and_without_one_it_is_transparent(shelf: Shelf) -> None:
    for scene in _scenes(shelf, None, 60):
        corner = render(scene, shelf.stickers, 64)[0, 0]
        if scene.background is None:
            assert corner[3] == 0 or scene.kind in ("size", "place")
        else:
            assert render(scene, shelf.stickers, 64)[..., 3].min() == 255
            assert scene.ground is not None
            assert colour_of(np.array([[[*scene.ground, 255]]], np.uint8)) == scene.background


def test_painted_pictures_are_premultiplied(shelf: Shelf) -> None:
    for scene in _scenes(shelf, None, 20):
        picture = render(scene, shelf.stickers, 128)
        assert picture.shape == (128, 128, 4)
        assert (picture[..., :3] <= picture[..., 3:]).all()


@pytest.mark.parametrize("colour", COLOUR_NAMES)
def test_every_basic_colour_is_known_again_after_painting(colour: str) -> None:
    assert colour_of(recolour(_square((220, 60, 50), 64), colour)) == colour


def test_a_picture_of_many_colours_has_none() -> None:
    picture = np.concatenate([_square(colour, 32) for colour in ((255, 0, 0), (0, 200, 0), (0, 0, 255))])
    assert colour_of(picture) is None
    assert colour_of(np.zeros((8, 8, 4), np.uint8)) is None


@pytest.mark.parametrize(
    ("name", "several"),
    [("cat", "cats"), ("cherry", "cherries"), ("box", "boxes"), ("key", "keys"), ("tropical fish", "tropical fish")],
)
def test_plurals(name: str, several: str) -> None:
    assert plural(name) == several


def test_articles_and_colour_words() -> None:
    assert [with_article(word) for word in ("apple", "cat", "cherries", "glass")] == [
        "an apple",
        "a cat",
        "cherries",
        "a glass",
    ]
    assert [without_colour(name) for name in ("red apple", "orange")] == ["apple", "orange"]
