"""Unlimited captioned scenes, composed from stickers of one style: colours, counts, places, sizes, several things.

`compose` decides what is where and says it; `render` paints it. The record is the truth that judges are trained on.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genworkers.codecs.image_bytes import Pixels
from genworkers.training.colours import COLOUR_NAMES, colour_of, recolour
from genworkers.training.scene_layout import (
    LAYOUTS,
    PLACE_CENTRES,
    SCENE_PX,
    SIZES_PX,
    fitted,
    jittered,
    lay_over,
    shade,
)
from genworkers.training.scene_words import (
    PLACES,
    RELATIONS,
    familiarity,
    ground_words,
    is_countable,
    is_speakable,
    one_of,
    plain,
    thing_words,
    without_colour,
)
from genworkers.training.sticker_data import Caption, StickerSet

KINDS: dict[str, float] = {
    "colour": 0.22,
    "size": 0.08,
    "place": 0.11,
    "count": 0.20,
    "relation": 0.21,
    "two": 0.10,
    "three": 0.04,
    "ground": 0.04,
}
GROUND_CHANCE = 0.22
COLOUR_CHANCE = 0.35
KEYWORD_CHANCE = 0.06


@dataclass(frozen=True)
class Box:
    """What a thing covers, in px of a 64 px picture."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Thing:
    """One sort of thing in a scene.

    Attributes:
        key: its concept.
        name: what the caption calls it, without colour.
        colour: the basic colour that it clearly has; None where it has several.
        is_recoloured: True where the sticker has another colour by nature.
        boxes: one for each time it is there; their number is its count.
    """

    key: str
    name: str
    colour: str | None
    is_recoloured: bool
    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class Scene:
    """What is in a picture, and a caption that says so.

    Attributes:
        kind: a key of KINDS: what the scene is about.
        things: one or more, the first named first.
        size: "tiny", "small" or "large" where the caption says it of the first thing.
        place: a key of PLACES where the caption says it of the first thing.
        relation: a key of RELATIONS: where the first thing stands, seen from the second.
        background: a basic colour; None is transparent.
        ground: the exact colour of the background, red, green, blue in 0..255.
    """

    style: str
    kind: str
    caption: str
    things: tuple[Thing, ...]
    size: str | None = None
    place: str | None = None
    relation: str | None = None
    background: str | None = None
    ground: tuple[int, int, int] | None = None


@dataclass
class Shelf:
    """The stickers of one style that scenes may be made of, with what has to be known of each."""

    stickers: StickerSet
    rows: Mapping[str, int]
    names: Mapping[str, tuple[str, ...]]
    keys: tuple[str, ...]
    chances: NDArray[np.float64]
    colours: Mapping[str, str | None]
    frames: Mapping[str, Box]
    can_have: dict[tuple[str, str], bool] = field(default_factory=dict)

    def takes(self, key: str, colour: str) -> bool:
        """True where the sticker has a basic colour clearly, painted over if need be."""
        if self.colours[key] == colour:
            return True
        if (key, colour) not in self.can_have:
            self.can_have[key, colour] = colour_of(recolour(self.stickers.small[self.rows[key]], colour)) == colour
        return self.can_have[key, colour]


def make_shelf(stickers: StickerSet, captions: Mapping[str, Caption], keys: Collection[str]) -> Shelf:
    """What scenes of one style are composed from.

    Args:
        stickers: pictures of one style.
        captions: what they are called.
        keys: the concepts that may be used: give only trained ones for training.
    """
    counts = Counter(word for caption in captions.values() for word in caption.keywords)
    rows = {key: row for row, key in enumerate(stickers.keys) if key in keys and is_speakable(captions[key].name)}
    names = {}
    for key in rows:
        others = [
            word for word in captions[key].keywords if counts[word] == 1 and is_speakable(word) and " " not in word
        ]
        names[key] = (captions[key].name, *others)
    shown = tuple(sorted(rows))
    weights = np.array([familiarity(names[key][0]) for key in shown])
    return Shelf(
        stickers,
        rows,
        names,
        shown,
        weights / weights.sum(),
        {key: colour_of(stickers.small[row]) for key, row in rows.items()},
        {key: _frame(stickers.large[row]) for key, row in rows.items()},
    )


def compose(shelf: Shelf, random: np.random.Generator, kind: str | None = None) -> Scene:
    """Make up one scene; the same state of `random` gives the same scene."""
    kind = kind or str(random.choice(list(KINDS), p=list(KINDS.values())))
    makers = {"count": _count, "relation": _several, "two": _several, "three": _several}
    scene = makers.get(kind, _single)(shelf, kind, random)
    if kind != "ground" and random.random() >= GROUND_CHANCE:
        return scene
    taken = {thing.colour for thing in scene.things}
    background = str(random.choice([name for name in COLOUR_NAMES if name not in taken]))
    words = ground_words(background, random)
    changes = {"background": background, "ground": shade(background, random), "caption": f"{scene.caption} {words}"}
    return Scene(**{**scene.__dict__, **changes})


def render(scene: Scene, stickers: StickerSet, size_px: int) -> Pixels:
    """Paint a scene.

    Args:
        scene: what `compose` made from stickers of this style.
        stickers: where its pictures are.
        size_px: 64, or 128, at which its stickers are sharpest.

    Returns:
        (size_px, size_px, 4) uint8, premultiplied.
    """
    canvas = np.zeros((size_px, size_px, 4), dtype=np.float32)
    if scene.ground is not None:
        canvas[:] = (*scene.ground, 255)
    scale = size_px / SCENE_PX
    for thing in scene.things:
        picture = stickers.large[stickers.keys.index(thing.key)]
        if thing.is_recoloured and thing.colour is not None:
            picture = recolour(picture, thing.colour)
        frame = _frame(picture)
        factor = picture.shape[0] / SCENE_PX
        source = tuple(round(edge * factor) for edge in (frame.left, frame.top, frame.right, frame.bottom))
        for box in thing.boxes:
            left, top, right, bottom = (round(edge * scale) for edge in (box.left, box.top, box.right, box.bottom))
            width, height = max(right - left, 1), max(bottom - top, 1)
            patch = Image.fromarray(picture, mode="RGBa").resize((width, height), Image.Resampling.LANCZOS, box=source)
            lay_over(canvas, np.asarray(patch, dtype=np.float32), left, top)
    return np.rint(canvas).astype(np.uint8)


def _frame(picture: Pixels) -> Box:
    """The smallest box around what can be seen of a square picture, in px of 64."""
    seen = picture[..., 3] > 12
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    if not len(rows):
        return Box(0.0, 0.0, float(SCENE_PX), float(SCENE_PX))
    scale = SCENE_PX / picture.shape[0]
    left, top, right, bottom = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return Box(float(left * scale), float(top * scale), float(right * scale), float(bottom * scale))


def _placed(shelf: Shelf, key: str, centre: tuple[float, float], side_px: float) -> Box:
    frame = shelf.frames[key]
    return Box(*fitted((frame.right - frame.left, frame.bottom - frame.top), centre, side_px))


def _pick(shelf: Shelf, random: np.random.Generator, *, avoid: Collection[str] = (), countable: bool = False) -> str:
    while True:
        key = str(random.choice(shelf.keys, p=shelf.chances))
        if key not in avoid and (is_countable(shelf.names[key][0]) or not countable):
            return key


def _colour_for(shelf: Shelf, key: str, random: np.random.Generator) -> str | None:
    """A colour that the sticker takes, its own among them; None where five tries found none."""
    for name in random.permutation(list(COLOUR_NAMES))[:5].tolist():
        if shelf.takes(key, name):
            return str(name)
    return shelf.colours[key]


def _thing(shelf: Shelf, key: str, said_colour: str | None, boxes: tuple[Box, ...], name: str) -> Thing:
    own = shelf.colours[key]
    return Thing(key, name, said_colour or own, said_colour is not None and said_colour != own, boxes)


def _name(shelf: Shelf, key: str, said_colour: str | None, random: np.random.Generator, *, plain_only: bool) -> str:
    names = shelf.names[key]
    other = len(names) > 1 and not plain_only and random.random() < KEYWORD_CHANCE
    name = names[int(random.integers(1, len(names)))] if other else names[0]
    return without_colour(name) if said_colour else name


def _single(shelf: Shelf, kind: str, random: np.random.Generator) -> Scene:
    key = _pick(shelf, random)
    is_coloured = kind == "colour" or random.random() < COLOUR_CHANCE
    colour = _colour_for(shelf, key, random) if is_coloured else None
    name = _name(shelf, key, colour, random, plain_only=False)
    size, place, box, where = None, None, shelf.frames[key], ""
    if kind == "size":
        size = str(random.choice(list(SIZES_PX)))
        box = _placed(shelf, key, jittered((32, 32), 5, random), float(random.uniform(*SIZES_PX[size])))
    elif kind == "place":
        place = str(random.choice(list(PLACES)))
        box = _placed(shelf, key, jittered(PLACE_CENTRES[place], 2, random), float(random.uniform(22, 30)))
        where = f" {one_of(PLACES[place], random)}"
    caption = plain(thing_words(name, random, colour=colour, size=size) + where, random)
    return Scene(shelf.stickers.style, kind, caption, (_thing(shelf, key, colour, (box,), name),), size, place)


def _count(shelf: Shelf, kind: str, random: np.random.Generator) -> Scene:
    key = _pick(shelf, random, countable=True)
    count = int(random.integers(1, 6))
    colour = _colour_for(shelf, key, random) if random.random() < COLOUR_CHANCE else None
    name = _name(shelf, key, colour, random, plain_only=True)
    if count == 1:
        boxes: tuple[Box, ...] = (shelf.frames[key],)
        colour_words = f"{colour} " if colour else ""
        caption = f"one {colour_words}{name}"
    else:
        centres, side_px = LAYOUTS[count][int(random.integers(len(LAYOUTS[count])))]
        boxes = tuple(_placed(shelf, key, jittered(centre, 1.5, random), side_px) for centre in centres)
        caption = thing_words(name, random, colour=colour, count=count)
    return Scene(shelf.stickers.style, kind, caption, (_thing(shelf, key, colour, boxes, name),))


def _several(shelf: Shelf, kind: str, random: np.random.Generator) -> Scene:
    """Two or three things side by side, or two that stand in a relation."""
    number = 3 if kind == "three" else 2
    relation = str(random.choice(list(RELATIONS))) if kind == "relation" else None
    if relation is None:
        centres, side_px = LAYOUTS[number][int(random.integers(len(LAYOUTS[number])))]
    else:
        centres, side_px = LAYOUTS[2][0 if relation in ("left of", "right of") else 3]
        centres = centres if relation in ("left of", "above") else centres[::-1]
    keys: list[str] = []
    things, words = [], []
    for centre in centres:
        keys.append(_pick(shelf, random, avoid=keys))
        colour = _colour_for(shelf, keys[-1], random) if random.random() < COLOUR_CHANCE else None
        name = _name(shelf, keys[-1], colour, random, plain_only=number == 3)
        box = _placed(shelf, keys[-1], jittered(centre, 1, random), side_px)
        things.append(_thing(shelf, keys[-1], colour, (box,), name))
        words.append(thing_words(name, random, colour=colour))
    if relation is not None:
        caption = f"{words[0]} {one_of(RELATIONS[relation], random)} {words[1]}"
    elif number == 3:
        caption = f"{words[0]}, {words[1]} and {words[2]}"
    else:
        caption = f"{words[0]} {'and' if random.random() < 0.8 else 'with'} {words[1]}"
    return Scene(shelf.stickers.style, kind, plain(caption, random), tuple(things), relation=relation)
