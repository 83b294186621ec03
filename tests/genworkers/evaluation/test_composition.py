"""Which pictures pass a test of composition: the detector's answers are given here."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from genworkers.evaluation.composition import TESTS, Question, judge, make_questions
from genworkers.evaluation.house_nets import SeenScene, SeenThing
from genworkers.training.colours import COLOUR_NAMES
from genworkers.training.scenes import Box, Scene, Shelf, Thing, make_shelf
from genworkers.training.sticker_data import Caption, StickerSet

KEYS = ("apple", "boat", "cat", "dog")
LOOKS: dict[str, Tensor] = dict(zip(KEYS, F.one_hot(torch.arange(4)).float(), strict=True))


def asked(test: str, *names: str, relation: str | None = None, colour: str | None = None, count: int = 1) -> Question:
    things = tuple(Thing(name, name, colour, False, (Box(0, 0, 9, 9),) * count) for name in names)
    return Question(test, Scene("plain", test, "", things, relation=relation), KEYS)


def seen(*things: tuple[str, float, float] | tuple[str, float, float, str]) -> SeenScene:
    return SeenScene(
        tuple(SeenThing(x, y, 0.9, LOOKS[name], *(colour or ["none"])) for name, x, y, *colour in things), "none"
    )


def right(question: Question, scene: SeenScene) -> tuple[bool, bool]:
    answer = judge(question, scene, LOOKS)
    return answer.is_right, answer.is_attribute_right


def test_an_object_is_right_when_it_looks_most_like_its_own_concept() -> None:
    assert right(asked("object", "cat"), seen(("cat", 32, 32))) == (True, True)
    assert right(asked("object", "cat"), seen(("dog", 32, 32))) == (False, True)
    assert right(asked("object", "cat"), seen()) == (False, False)


def test_a_colour_must_be_that_of_the_right_thing() -> None:
    question = asked("colour", "cat", colour="blue")
    assert right(question, seen(("cat", 32, 32, "blue"))) == (True, True)
    assert right(question, seen(("cat", 32, 32, "red"))) == (False, False)
    assert right(question, seen(("dog", 32, 32, "blue"))) == (False, True)
    assert right(question, seen(("dog", 32, 32, "blue"), ("cat", 9, 9, "red"))) == (False, True)
    assert right(question, seen()) == (False, False)


def test_a_count_must_be_exact() -> None:
    question = asked("count", "cat", count=2)
    assert right(question, seen(("cat", 16, 32), ("cat", 48, 32))) == (True, True)
    assert right(question, seen(("dog", 16, 32), ("dog", 48, 32))) == (False, True)
    assert right(question, seen(("cat", 16, 32))) == (False, False)


@pytest.mark.parametrize(
    ("relation", "x", "y"), [("left of", 10, 30), ("right of", 54, 34), ("above", 30, 10), ("below", 34, 54)]
)
def test_a_position_is_seen_from_the_second_thing(relation: str, x: float, y: float) -> None:
    question = asked("position", "cat", "dog", relation=relation)
    assert right(question, seen(("dog", 32, 32), ("cat", x, y))) == (True, True)
    assert right(question, seen(("cat", 32, 32), ("dog", x, y))) == (False, False)
    assert right(question, seen(("apple", 32, 32), ("cat", x, y)))[0] is False
    assert right(question, seen(("cat", x, y))) == (False, False)


def test_two_things_must_both_be_there() -> None:
    assert right(asked("two", "cat", "dog"), seen(("dog", 9, 9), ("cat", 50, 50))) == (True, True)
    assert right(asked("two", "cat", "dog"), seen(("dog", 9, 9), ("dog", 50, 50))) == (False, True)


@pytest.fixture
def shelf() -> Shelf:
    colours = ((200, 30, 40), (40, 90, 220), (50, 160, 60), (240, 190, 60))
    pictures = []
    for px in (64, 128):
        canvas = np.zeros((4, px, px, 4), np.uint8)
        for row, colour in enumerate(colours):
            canvas[row, px // 8 : -px // 8, px // 8 : -px // 8] = (*colour, 255)
        pictures.append(canvas)
    stickers = StickerSet("plain", KEYS, pictures[0], pictures[1])
    return make_shelf(stickers, {key: Caption(key, key, ()) for key in KEYS}, set(KEYS))


def test_questions_ask_for_one_matter_each_and_are_the_same_for_the_same_seed(shelf: Shelf) -> None:
    questions = make_questions(shelf, KEYS, num=6, seed=0)
    assert [question.test for question in questions] == [test for test in TESTS for _ in range(6)]
    assert questions == make_questions(shelf, KEYS, num=6, seed=0)
    assert questions != make_questions(shelf, KEYS, num=6, seed=1)
    for question in questions:
        assert question.scene.background is None
        assert {thing.key for thing in question.scene.things} <= set(question.candidates)
        assert len(set(question.candidates)) == len(question.candidates)
        says_colour = any(word in COLOUR_NAMES for word in question.prompt.split())
        assert says_colour == (question.test == "colour")
    assert all(2 <= len(one.scene.things[0].boxes) <= 5 for one in questions if one.test == "count")
