"""Takes composed characters apart: which shade of which thing each pixel is, and which colour each thing has.

The artists drew each thing once and coloured it through ramps. Looking at one pixel of a thing in all of its colours
tells which shade it is; few shades make up all sheets. So a picture is a map of shades and a table of colours, as in an
indexed file, and both are told exactly.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genworkers.training.character_composer import Character, Composer
from genworkers.training.character_layers import DIRECTIONS, FRAME_PX, LayerFrames

Bytes = NDArray[np.uint8]
Ramp = tuple[int, ...]  # the palette number of one shade in each colour

THINGS = ("skin", "hair", "eyes", "top", "bottom", "feet", "bowtie", "helm", "eyewear")
RAMPS = {
    "skin": "skin",
    "hair": "hair",
    "eyes": "eyes",
    "top": "cloth",
    "bottom": "cloth",
    "feet": "cloth",
    "bowtie": "cloth",
    "helm": "metal",
    "eyewear": "metal",
}


def thing_of(sheet: str) -> str:
    """Which thing a sheet shows."""
    if sheet.startswith("Clothing"):
        kind = sheet.split("/")[2]
        return {"Torso": "top", "Legs": "bottom", "Feet": "feet", "Accessories": "bowtie"}[kind]
    if sheet.startswith("Head Accessories"):
        return "helm" if "/Helm" in sheet else "eyewear"
    if sheet.startswith("Hair"):
        return "hair"
    return "eyes" if "Overlay - Eyes" in sheet else "skin"


@dataclass(frozen=True)
class Materials:
    """All shades and colours.

    Attributes:
        colour_names: of each ramp; a table entry is a number into their concatenation, the last number is "unused".
        looks: (S, C) palette number of each shade in each colour. Shade 0 is the ground.
        things: (S) which thing gives a shade its colour; 0 where the colour does not matter.
        shades: by sheet and direction, the shade of each of its pixels.
    """

    colour_names: dict[str, tuple[str, ...]]
    looks: Bytes
    things: NDArray[np.int64]
    shades: dict[tuple[str, str], Bytes]

    @property
    def num_colours(self) -> int:
        """How many numbers a table entry can have, with "unused"."""
        return 1 + sum(len(names) for names in self.colour_names.values())

    def colour_number(self, thing: str, colour: str | None) -> int:
        """The table entry of a thing."""
        if colour is None:
            return self.num_colours - 1
        start = sum(len(names) for _, names in _before(self.colour_names, RAMPS[thing]))
        return start + self.colour_names[RAMPS[thing]].index(colour)

    def table(self, character: Character) -> NDArray[np.int64]:
        """The colour of each of THINGS, (9) numbers."""
        beard_or_hair = character.hair or character.beard
        colours = {
            "skin": character.skin,
            "hair": beard_or_hair[1] if beard_or_hair is not None else None,
            "eyes": character.eyes,
            "top": character.top[1],
            "bottom": character.bottom[1],
            "feet": character.feet[1] if character.feet is not None else None,
            "bowtie": character.bowtie,
            "helm": character.helm[1] if character.helm is not None else None,
            "eyewear": (character.eyewear[1] or None) if character.eyewear is not None else None,
        }
        return np.array([self.colour_number(thing, colours[thing]) for thing in THINGS])

    def map(self, composer: Composer, character: Character) -> Bytes:
        """The shade of each pixel, (64, 64); 0 where the ground shows."""
        canvas = np.zeros(FRAME_PX * FRAME_PX, dtype=np.uint8)
        for sheet in composer.sheets(character):
            places = composer.frames.pixels(sheet, character.direction)[0]
            canvas[places] = self.shades[sheet, character.direction]
        return canvas.reshape(FRAME_PX, FRAME_PX)

    def render(self, shades: Bytes, table: NDArray[np.int64], ground: int) -> Bytes:
        """Palette numbers (64, 64) of a map in the colours of a table."""
        painted = self.looks[shades, table[self.things[shades]]]
        return np.where(shades == 0, np.uint8(ground), painted)


def find_materials(composer: Composer) -> Materials:
    """Compare all sheets of each thing over all of its colours."""
    frames = composer.frames
    colour_names = {
        "skin": tuple(sorted((*composer.natural_skins, *composer.other_skins))),
        "cloth": composer.colours,
        "hair": composer.hair_colours,
        "metal": composer.metals,
        "eyes": composer.eyes,
    }
    kinds: dict[str, dict[str, str]] = defaultdict(dict)
    for sheet in frames.numbers:
        kind, _, colour = sheet.replace("/_Alternate Colors", "").rpartition("/")
        kinds[kind][colour] = sheet
    views = [
        _View(frames, thing_of(f"{kind}/"), sheets, colour_names[RAMPS[thing_of(f"{kind}/")]], direction)
        for kind, sheets in kinds.items()
        if "/" in kind and set(colour_names[RAMPS[thing_of(f"{kind}/")]]) <= sheets.keys()
        for direction in DIRECTIONS
    ]
    ramps: dict[str, dict[Ramp, None]] = {ramp: {} for ramp in colour_names}
    for view in views:
        if not view.odd:
            ramps[RAMPS[view.thing]].update(dict.fromkeys(view.rows))

    num_colours = 1 + sum(len(names) for names in colour_names.values())
    looks = [np.zeros(num_colours, dtype=np.uint8)]
    things = [0]
    plain: dict[int, int] = {}  # palette number to the shade that always has this colour
    numbers: dict[tuple[str, Ramp], int] = {}
    for thing in THINGS:
        start = sum(len(names) for _, names in _before(colour_names, RAMPS[thing]))
        for ramp in ramps[RAMPS[thing]]:
            if len(set(ramp)) == 1 and ramp[0] in plain:
                numbers[thing, ramp] = plain[ramp[0]]
                continue
            numbers[thing, ramp] = len(looks)
            if len(set(ramp)) == 1:
                plain[ramp[0]] = len(looks)
            row = np.full(num_colours, ramp[0], dtype=np.uint8)
            row[start : start + len(ramp)] = ramp
            looks.append(row)
            things.append(THINGS.index(thing))
    shades: dict[tuple[str, str], Bytes] = {}
    # Eyewear also comes in a colour of its own, as it was first drawn; the patch comes in no other.
    for sheet in (f"Head Accessories/{name}" for name in reversed(composer.eyewear)):
        for direction in DIRECTIONS:
            colours = frames.pixels(sheet, direction)[1].tolist()
            for colour in sorted(set(colours) - plain.keys()):
                plain[colour] = len(looks)
                looks.append(np.full(num_colours, colour, dtype=np.uint8))
                things.append(0)
            shades[sheet, direction] = np.array([plain[colour] for colour in colours], dtype=np.uint8)
    for view in views:
        known = ramps[RAMPS[view.thing]]
        regular = np.array([numbers[view.thing, view.complete(row, known)] for row in view.rows], dtype=np.uint8)
        for column, (sheet, colours) in enumerate(view.sheets):
            if column not in view.odd:
                shades[sheet, view.direction] = regular
                continue
            first = {ramp[column]: numbers[view.thing, ramp] for ramp in reversed(known)}
            shades[sheet, view.direction] = np.array([first[colour] for colour in colours], dtype=np.uint8)
    return Materials(colour_names, np.stack(looks), np.array(things), shades)


class _View:
    """One kind of thing from one direction in all of its colours.

    Attributes:
        rows: for each pixel its palette numbers over all colours, -1 in those of odd sheets.
        odd: columns of the few sheets that cover other pixels than the rest.
    """

    def __init__(
        self, frames: LayerFrames, thing: str, sheets: dict[str, str], names: tuple[str, ...], direction: str
    ) -> None:
        self.thing = thing
        self.direction = direction
        pixels = [frames.pixels(sheets[name], direction) for name in names]
        usual = Counter(places.tobytes() for places, _ in pixels).most_common(1)[0][0]
        self.odd = {column for column, (places, _) in enumerate(pixels) if places.tobytes() != usual}
        self.sheets = [(sheets[name], colours.tolist()) for name, (_, colours) in zip(names, pixels, strict=True)]
        size = next(len(places) for places, _ in pixels if places.tobytes() == usual)
        columns = [np.full(size, -1) if i in self.odd else colours for i, (_, colours) in enumerate(pixels)]
        self.rows: list[Ramp] = [tuple(row) for row in np.stack(columns, 1).astype(int).tolist()]

    def complete(self, row: Ramp, known: dict[Ramp, None]) -> Ramp:
        """The known ramp that a row with gaps belongs to."""
        if row in known:
            return row
        return next(ramp for ramp in known if all(a in (-1, b) for a, b in zip(row, ramp, strict=True)))


def _before(colour_names: dict[str, tuple[str, ...]], ramp: str) -> list[tuple[str, tuple[str, ...]]]:
    names = list(colour_names.items())
    return names[: list(colour_names).index(ramp)]
