"""Whether a picture obeys its prompt: things, colours, counts, positions, judged by the scene detector.

The tests follow Ghosh, Hajishirzi, Schmidt 2023, "GenEval: An Object-Focused Framework for Evaluating Text-to-Image
Alignment" (arXiv:2310.11513): object, colour, count, position, two objects. Differs from the paper: the prompts come
from the house's own composer, the detector is a house net, and a thing counts as found where its look is nearest to
that of its concept among 100 concepts. Real composed scenes of the same questions are the ceiling.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from genworkers.evaluation.house_nets import SeenScene, SeenThing
from genworkers.training.colours import COLOUR_NAMES
from genworkers.training.scene_words import with_article
from genworkers.training.scenes import Scene, Shelf, Thing, compose

TESTS = ("object", "colour", "count", "position", "two")
NUM_CANDIDATES = 100
_KINDS = {"colour": "colour", "count": "count", "position": "relation", "two": "two"}


@dataclass(frozen=True)
class Question:
    """One prompt of one test, and the concepts that its things are told from (their own among them)."""

    test: str
    scene: Scene
    candidates: tuple[str, ...]

    @property
    def prompt(self) -> str:
        """What the net is asked for."""
        return self.scene.caption


@dataclass(frozen=True)
class Answer:
    """How one picture answered.

    Attributes:
        is_right: the test is passed: the thing is the right one, and its colour, count or position too.
        is_attribute_right: colour, count or position alone, whatever the thing; for `object`, that one thing is seen;
            for `two`, that two are.
    """

    is_right: bool
    is_attribute_right: bool


def make_questions(shelf: Shelf, concepts: Sequence[str], *, num: int, seed: int) -> list[Question]:
    """The same number of questions of each test, on transparent ground, without attributes that the test is not about.

    Args:
        shelf: which things may be asked for.
        concepts: what candidates are drawn from: all with a known look.
    """
    random = np.random.default_rng(seed)
    questions = []
    for test in TESTS:
        for _ in range(num):
            scene = _scene_for(test, shelf, random)
            own = [thing.key for thing in scene.things]
            others = [key for key in random.permutation(list(concepts)).tolist() if key not in own]
            questions.append(Question(test, scene, (*own, *others[: NUM_CANDIDATES - len(own)])))
    return questions


def judge(question: Question, seen: SeenScene, looks: Mapping[str, Tensor]) -> Answer:
    """Whether a picture in which `seen` was seen answers a question.

    Args:
        looks: the look of each candidate, unit vectors (L,).
    """
    things, asked = seen.things, question.scene.things
    vectors = torch.stack([looks[key] for key in question.candidates])
    names = [question.candidates[int((vectors @ thing.look).argmax())] for thing in things]
    first_found = asked[0].key in names
    match question.test:
        case "object":
            return Answer(first_found, len(things) == 1)
        case "colour":
            wanted = asked[0].colour
            named = [thing.colour for thing, name in zip(things, names, strict=True) if name == asked[0].key]
            return Answer(wanted in named, bool(things) and things[0].colour == wanted)
        case "count":
            is_count_right = len(things) == len(asked[0].boxes)
            return Answer(is_count_right and first_found, is_count_right)
        case "position":
            is_placed = _stand_right(question, things, looks)
            return Answer(is_placed and all(thing.key in names for thing in asked), is_placed)
        case _:
            return Answer(all(thing.key in names for thing in asked), len(things) == len(asked))


def _scene_for(test: str, shelf: Shelf, random: np.random.Generator) -> Scene:
    if test == "object":
        key = str(random.choice(shelf.keys, p=shelf.chances))
        name = shelf.names[key][0]
        thing = Thing(key, name, shelf.colours[key], False, (shelf.frames[key],))
        return Scene(shelf.stickers.style, test, with_article(name), (thing,))
    while True:
        scene = compose(shelf, random, _KINDS[test])
        first = scene.things[0]
        said = any(word in COLOUR_NAMES for word in scene.caption.split())
        fits = {
            "colour": first.is_recoloured,
            "count": not said and len(first.boxes) > 1,
            "position": not said,
            "two": not said,
        }
        if scene.background is None and fits[test]:
            return scene


def _stand_right(question: Question, things: Sequence[SeenThing], looks: Mapping[str, Tensor]) -> bool:
    """Whether the thing most like the first asked one stands where the caption says, seen from that like the second."""
    if len(things) < 2:
        return False
    vectors = torch.stack([looks[thing.key] for thing in question.scene.things])  # (2, L)
    alike = vectors @ torch.stack([thing.look for thing in things]).T  # (2, things)
    pairs = [(float(alike[0, i] + alike[1, j]), i, j) for i in range(len(things)) for j in range(len(things)) if i != j]
    _, i, j = max(pairs)
    right, down = things[i].x_px - things[j].x_px, things[i].y_px - things[j].y_px
    offsets = {"left of": (-right, down), "right of": (right, down), "above": (-down, right), "below": (down, right)}
    along, across = offsets[question.scene.relation or "left of"]
    return along > abs(across)
