"""Reads a finished picture of a character by comparing it with what the layers give: a judge without a net.

It starts from the character that was asked for and changes one attribute at a time to what explains more pixels, with
the colours that suit best. What cannot be seen (a beard from behind) keeps the value that was asked for.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from genworkers.training.character_composer import Character, Composer, Styled
from genworkers.training.character_layers import DIRECTIONS
from genworkers.training.character_materials import RAMPS, THINGS, Materials

NUM_SWEEPS = 3
NONE = "none"
BALD = "bald"


def attributes_of(character: Character) -> dict[str, str]:
    """What a character is judged by: attribute to value."""

    def parts(name: str, styled: Styled | None) -> dict[str, str]:
        style, colour = styled or (NONE, NONE)
        return {name: style, f"{name} colour": colour}

    covering = character.hair or character.helm
    return {
        "direction": character.direction,
        "person": "woman" if character.is_woman else "man",
        "age": "elderly" if character.is_elderly else "adult",
        "skin": character.skin,
        "hair or helm": covering[0] if covering is not None else BALD,
        "hair or helm colour": covering[1] if covering is not None else NONE,
        "beard": character.beard[0] if character.beard is not None else NONE,
        "eyewear": character.eyewear[0] if character.eyewear is not None else NONE,
        **parts("top", character.top),
        **parts("bottom", character.bottom),
        **parts("feet", character.feet),
        "bowtie": character.bowtie or NONE,
        "ground": character.ground,
    }


@dataclass(frozen=True)
class Reading:
    """What a picture shows, and the share of its figure's pixels that the layers do not explain."""

    character: Character
    unexplained_frac: float


class CharacterReader:
    """Compares pictures with composed ones."""

    def __init__(self, composer: Composer, materials: Materials) -> None:
        self._composer = composer
        self._materials = materials

    def read(self, indices: NDArray[np.uint8], asked: Character) -> Reading:
        """What palette numbers (64, 64) show, starting from the character that was asked for."""
        best = replace(asked, ground=self._ground(indices, asked))
        table, best_score = self._suit(indices, best, asked)
        for _ in range(NUM_SWEEPS):
            if best_score == 0:
                break
            before = best_score
            for variants in (self._poses, self._heads, self._clothes, self._poses):
                for changed in variants(best):
                    found, score = self._suit(indices, changed, asked)
                    if score < best_score:
                        best, table, best_score = changed, found, score
            if best_score == before:
                break
        figure = int((self._materials.map(self._composer, best) > 0).sum())
        return Reading(self._coloured(best, table), best_score / figure)

    def _suit(
        self, indices: NDArray[np.uint8], character: Character, asked: Character
    ) -> tuple[NDArray[np.int64], int]:
        """The colours in which a character looks most like the picture, and how many pixels differ all the same."""
        materials = self._materials
        shades = materials.map(self._composer, character)
        table = materials.table(asked)
        of_thing = materials.things[shades]
        for number, thing in enumerate(THINGS):
            is_own = (of_thing == number) & (shades > 0)
            if not is_own.any():
                continue
            first = materials.colour_number(thing, materials.colour_names[RAMPS[thing]][0])
            last = first + len(materials.colour_names[RAMPS[thing]])
            same = (materials.looks[shades[is_own], first:last] == indices[is_own][:, None]).sum(0)
            is_kept = first <= table[number] < last and same[table[number] - first] == same.max()
            if not is_kept:
                table[number] = first + int(same.argmax())
        painted = materials.render(shades, table, self._composer.frames.ground(character.ground))
        return table, int((painted != indices).sum())

    def _ground(self, indices: NDArray[np.uint8], asked: Character) -> str:
        border = np.concatenate([indices[0], indices[-1], indices[:, 0], indices[:, -1]])
        shown = int(np.bincount(border).argmax())
        named = [ground for ground in self._composer.grounds if self._composer.frames.ground(ground) == shown]
        return named[0] if named else asked.ground

    def _poses(self, now: Character) -> Iterable[Character]:
        for direction in DIRECTIONS:
            for is_woman in (False, True):
                for is_elderly in (False, True):
                    yield replace(now, direction=direction, is_woman=is_woman, is_elderly=is_elderly)

    def _heads(self, now: Character) -> Iterable[Character]:
        composer = self._composer
        for style in composer.hair_styles:
            yield replace(now, hair=(style, composer.hair_colours[0]), helm=None)
        for style in composer.helms:
            yield replace(now, helm=(style, composer.metals[0]), hair=None)
        yield replace(now, hair=None, helm=None)
        for style in composer.beards:
            yield replace(now, beard=(style, composer.hair_colours[0]))
        yield replace(now, beard=None)
        for style in composer.eyewear:
            yield replace(now, eyewear=(style, "" if style.endswith("Eyepatch") else composer.metals[0]))
        yield replace(now, eyewear=None)

    def _clothes(self, now: Character) -> Iterable[Character]:
        composer = self._composer
        for style in composer.tops:
            yield replace(now, top=(style, now.top[1]))
        for style in composer.bottoms:
            yield replace(now, bottom=(style, now.bottom[1]))
        for style in composer.shoes:
            yield replace(now, feet=(style, composer.colours[0]))
        yield replace(now, feet=None)
        yield replace(now, bowtie=composer.colours[0])
        yield replace(now, bowtie=None)

    def _coloured(self, character: Character, table: NDArray[np.int64]) -> Character:
        """The character with the colours of a table."""
        names = [name for ramp in self._materials.colour_names.values() for name in ramp]
        colour = {thing: names[number] for thing, number in zip(THINGS, table, strict=True) if number < len(names)}

        def dyed(styled: Styled | None, thing: str) -> Styled | None:
            return styled and (styled[0], colour.get(thing, styled[1]) if styled[1] else "")

        return replace(
            character,
            skin=colour.get("skin", character.skin),
            eyes=colour.get("eyes", character.eyes),
            hair=dyed(character.hair, "hair"),
            beard=dyed(character.beard, "hair"),
            helm=dyed(character.helm, "helm"),
            eyewear=dyed(character.eyewear, "eyewear"),
            top=(character.top[0], colour.get("top", character.top[1])),
            bottom=(character.bottom[0], colour.get("bottom", character.bottom[1])),
            feet=dyed(character.feet, "feet"),
            bowtie=character.bowtie and colour.get("bowtie", character.bowtie),
        )
