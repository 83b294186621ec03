"""Composes game characters from layer sheets: any number of them, each with attributes that are exactly true.

The order of the layers is that of the 12,000 finished pictures of the corpus, which come out the same, pixel by pixel.
"""

import json
import lzma
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from genworkers.training.character_layers import DIRECTIONS, FRAME_PX, GROUNDS, TRANSPARENT, LayerFrames
from genworkers.training.sticker_data import is_held_out

Styled = tuple[str, str]  # folder of the thing, colour

HAIR_BEHIND = ("Medium 01 - Page", "Medium 02 - Curly")  # these two also hang behind the body
PLAIN_BEARD_COLOUR = "Brown"


@dataclass(frozen=True)
class Character:
    """All attributes of one picture. Names are those of the layer folders; a helm hides the hair."""

    direction: str
    is_woman: bool
    is_elderly: bool
    skin: str
    eyes: str
    hair: Styled | None
    helm: Styled | None
    beard: Styled | None
    eyewear: Styled | None
    top: Styled
    bottom: Styled
    feet: Styled | None
    bowtie: str | None
    ground: str

    @property
    def is_held_out(self) -> bool:
        """Whether this pair of top and bottom colours belongs to the tenth of all pairs that no net trains on."""
        return is_held_out(f"{self.top[1]}|{self.bottom[1]}")


class Composer:
    """Draws random characters and paints them."""

    def __init__(self, frames: LayerFrames) -> None:
        self.frames = frames
        self.grounds = (*GROUNDS, TRANSPARENT)
        body = "Body/Body 01 - Feminine Thin"
        clothes = "Clothing/Feminine Thin"
        self.natural_skins = frames.names(body)
        self.other_skins = frames.names(f"{body}/_Alternate Colors")
        self.eyes = frames.names("Head/Head Overlay - Eyes")
        self.hair_styles = tuple(n for n in frames.names("Hair") if n.startswith(("Short", "Medium")))
        self.beards = tuple(n for n in frames.names("Hair") if n.startswith("Facial"))
        self.hair_colours = frames.names(f"Hair/{self.hair_styles[0]}")
        self.helms = tuple(n for n in frames.names("Head Accessories") if n.startswith("Helm"))
        self.eyewear = tuple(n for n in frames.names("Head Accessories") if n.startswith("Eyewear"))
        self.metals = frames.names(f"Head Accessories/{self.helms[0]}")
        self.tops = frames.names(f"{clothes}/Torso")
        self.bottoms = frames.names(f"{clothes}/Legs")
        self.shoes = frames.names(f"{clothes}/Feet")
        self.colours = frames.names(f"{clothes}/Torso/{self.tops[0]}")

    def draw(self, random: Generator, *, held_out: bool = False) -> Character:
        """A random character whose colours of top and bottom are, or are not, a held-out pair."""
        while True:
            character = self._draw(random)
            if character.is_held_out == held_out:
                return character

    def paint(self, character: Character) -> NDArray[np.uint8]:
        """Palette numbers (64, 64)."""
        canvas = np.full(FRAME_PX * FRAME_PX, self.frames.ground(character.ground), dtype=np.uint8)
        for sheet in self.sheets(character):
            self.frames.write(canvas, sheet, character.direction)
        return canvas.reshape(FRAME_PX, FRAME_PX)

    def sheets(self, character: Character) -> list[str]:
        """The sheets of one character, back to front."""
        kind = "Feminine" if character.is_woman else "Masculine"
        clothes = f"Clothing/{kind} Thin"
        number = "01" if character.is_woman else "02"
        head = "Head 03 - Elderly" if character.is_elderly else f"Head {number} - {kind}"
        layers = []
        if character.hair is not None and character.hair[0] in HAIR_BEHIND:
            layers.append(f"Hair/{character.hair[0]}/_Behind/{character.hair[1]}")
        layers.append(self._skinned(f"Body/Body {number} - {kind} Thin", character.skin))
        top = f"{clothes}/Torso/{'/'.join(character.top)}"
        bottom = f"{clothes}/Legs/{'/'.join(character.bottom)}"
        feet = [f"{clothes}/Feet/{'/'.join(character.feet)}"] if character.feet is not None else []
        if character.bottom[0].endswith("Overalls"):
            layers += [top, *feet, bottom]
        elif character.feet is not None and character.feet[0].endswith("Boots"):
            layers += [bottom, *feet, top]
        else:
            layers += [*feet, bottom, top]
        if character.bowtie is not None:
            layers.append(f"{clothes}/Accessories/Neckwear 01 - Bowtie/{character.bowtie}")
        layers += [self._skinned(f"Head/{head}", character.skin), f"Head/Head Overlay - Eyes/{character.eyes}"]
        for folder, thing in (
            ("Hair", character.beard),
            ("Hair", character.hair),
            ("Head Accessories", character.eyewear),
            ("Head Accessories", character.helm),
        ):
            if thing is not None:
                layers.append(f"{folder}/{'/'.join(part for part in thing if part)}")
        return layers

    def _skinned(self, folder: str, skin: str) -> str:
        return f"{folder}/{skin}" if skin in self.natural_skins else f"{folder}/_Alternate Colors/{skin}"

    def _draw(self, random: Generator) -> Character:
        def one_of(names: tuple[str, ...]) -> str:
            return names[int(random.integers(len(names)))]

        direction = "down" if random.random() < 0.4 else one_of(DIRECTIONS)
        is_woman = bool(random.random() < 0.5)
        hair = helm = beard = eyewear = None
        covering = random.random()
        if covering < 0.84:
            hair = (one_of(self.hair_styles), one_of(self.hair_colours))
        elif covering < 0.95:
            helm = (one_of(self.helms), one_of(self.metals))
        if not is_woman and random.random() < 0.3:
            beard = (one_of(self.beards), hair[1] if hair is not None else one_of(self.hair_colours))
        if random.random() < 0.12:
            kind = one_of(self.eyewear)
            eyewear = (kind, "" if kind.endswith("Eyepatch") else one_of(self.metals))
        return Character(
            direction=direction,
            is_woman=is_woman,
            is_elderly=bool(random.random() < 0.15),
            skin=one_of(self.natural_skins if random.random() < 0.65 else self.other_skins),
            eyes=one_of(self.eyes),
            hair=hair,
            helm=helm,
            beard=beard,
            eyewear=eyewear,
            top=(one_of(self.tops), one_of(self.colours)),
            bottom=(one_of(self.bottoms), one_of(self.colours)),
            feet=(one_of(self.shoes), one_of(self.colours)) if random.random() < 0.9 else None,
            bowtie=one_of(self.colours) if random.random() < 0.08 else None,
            ground=one_of(self.grounds),
        )


def read_corpus(corpus: Path) -> tuple[NDArray[np.uint8], list[Character]]:
    """The finished pictures (12000, 64, 64, 3) RGB of the corpus and what they show.

    Eye colours are not told, nor the colour of a beard without hair: both stand at a fixed value here.
    """
    folder = corpus / "characters"
    with np.load(folder / "composites_64.npz") as arrays:
        pictures = arrays["images"]
    with lzma.open(folder / "captions.jsonl.xz", "rt", encoding="utf-8") as lines:
        return pictures, [_from_row(json.loads(line)) for line in lines]


def _from_row(row: dict[str, Any]) -> Character:
    caption = str(row["caption"])
    bowtie = re.search(r"([\w ]+) bowtie", caption)
    hair = _styled(row["hair"])
    beard = row["beard"] and (row["beard"], hair[1] if hair is not None else PLAIN_BEARD_COLOUR)
    top, bottom = _styled(row["top"]), _styled(row["bottom"])
    if top is None or bottom is None:
        raise ValueError(f"row {row['i']} of the characters corpus has no clothes")
    return Character(
        direction=row["direction"],
        is_woman="woman" in caption,
        is_elderly="elderly" in caption,
        skin=row["skin"],
        eyes="Blue",
        hair=hair,
        helm=_styled(row["helm"]),
        beard=beard,
        eyewear=_styled(row["eyewear"]),
        top=top,
        bottom=bottom,
        feet=_styled(row["feet"]),
        bowtie=bowtie.group(1).strip().title() if bowtie else None,
        ground=row["background"],
    )


def _styled(pair: list[str] | None) -> Styled | None:
    """A pair of the corpus as the folder and the colour that the tar has: no commas, no ampersands."""
    return None if pair is None else (pair[0].replace(",", "").replace("&", ""), pair[1])
