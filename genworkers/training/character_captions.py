"""Says in words what a composed character shows: once in full, as the corpus does, or in the many ways people might."""

import re

from numpy.random import Generator

from genworkers.training.character_composer import Character, Styled
from genworkers.training.character_layers import TRANSPARENT

DIRECTION_WORDS = {
    "down": ("facing the viewer", "front view", "facing south", "looking at the viewer", "seen from the front"),
    "up": ("facing away", "back view", "facing north", "seen from behind"),
    "left": ("facing left", "looking left", "facing west", "side view, facing left"),
    "right": ("facing right", "looking right", "facing east", "side view, facing right"),
}
SUBJECTS = {
    (False, False): ("a man", "man", "a guy", "a male character"),
    (True, False): ("a woman", "woman", "a girl", "a female character"),
    (False, True): ("an elderly man", "an old man", "elderly man"),
    (True, True): ("an elderly woman", "an old woman", "elderly woman"),
}
ENDINGS = ("pixel art", "game sprite", "pixel character")
OWN_WORDS = {
    "Medium 02 - Curly": "long curly",  # the corpus calls both haircuts "curly"
    "Medium 04 - Bangs  Bun": "bangs & bun",
    "Helm 01 - Bascinet Open": "open bascinet",
    "Helm 02 - Bascinet Closed": "closed bascinet",
    "Helm 03 - Norman": "norman helm",
}
GENERAL_WORDS = {"Shirt": "shirt", "Pants": "pants", "Shorts": "shorts", "Shoes": "shoes", "Socks": "socks"}
FULL_SHARE = 0.45
PARTIAL_THING_CHANCE = 0.2
EYES_CHANCE = 0.15


def words_of(style: str) -> str:
    """A layer folder in words: "Shirt 09 - Polo" is "polo"."""
    return OWN_WORDS.get(style) or re.sub(r"^.* \d+ - ", "", style).lower()


def full_caption(character: Character) -> str:
    """Every attribute but the colour of the eyes, in the order of the corpus."""
    beard = None if character.beard is None else _beard(character)
    if character.helm is not None:
        head = f" wearing a {_coloured(character.helm)}"
    elif character.hair is not None:
        head = f" and {_coloured(character.hair)} hair"
    else:
        head = ", bald"
    clauses = [
        f"{SUBJECTS[character.is_woman, character.is_elderly][0]} with {character.skin.lower()} skin{head}",
        beard,
        character.eyewear and _coloured(character.eyewear),
        _coloured(character.top),
        _coloured(character.bottom),
        _coloured(character.feet) if character.feet is not None else "barefoot",
        character.bowtie and f"{character.bowtie.lower()} bowtie",
        DIRECTION_WORDS[character.direction][0],
        f"{character.ground} background",
    ]
    return ", ".join(clause for clause in clauses if clause)


def varied_caption(character: Character, random: Generator) -> str:
    """One of many true captions: other words, another order, and often with attributes left out."""
    if random.random() < FULL_SHARE / 2:
        return full_caption(character)
    keep_chance = 1.0 if random.random() < FULL_SHARE else float(random.uniform(0.1, 0.9))

    def is_kept() -> bool:
        return bool(random.random() < keep_chance)

    def one_of(words: tuple[str, ...]) -> str:
        # The first is the usual one.
        return words[0 if random.random() < 0.4 else int(random.integers(len(words)))]

    def thing(styled: Styled) -> str:
        """Colour and kind, or only one of them."""
        if keep_chance < 1.0 and random.random() < PARTIAL_THING_CHANCE:
            general = GENERAL_WORDS.get(styled[0].split(" ")[0])
            return f"{styled[1].lower()} {general}" if general and random.random() < 0.7 else words_of(styled[0])
        return _coloured(styled)

    subject = one_of(SUBJECTS[character.is_woman, character.is_elderly])
    traits = [f"{character.skin.lower()} skin"] if is_kept() else []
    if character.hair is not None and is_kept():
        only_colour = keep_chance < 1.0 and random.random() < PARTIAL_THING_CHANCE
        traits.append(f"{character.hair[1].lower() if only_colour else _coloured(character.hair)} hair")
    if random.random() < EYES_CHANCE:
        traits.append(f"{character.eyes.lower()} eyes")
    if random.random() < 0.3:
        random.shuffle(traits)
    if traits:
        listed = " and ".join(filter(None, (", ".join(traits[:-1]), traits[-1])))
        subject += f" with {listed}"
    clauses = []
    if character.helm is not None and is_kept():
        worn = _coloured(character.helm)
        clauses.append(one_of((f"wearing a {worn}", worn)))
    if character.hair is None and character.helm is None and is_kept():
        clauses.append(one_of(("bald", "bald", "no hair")))
    if character.beard is not None and is_kept():
        clauses.append(_beard(character))
    if character.eyewear is not None and is_kept():
        clauses.append(_coloured(character.eyewear))
    clauses += [thing(styled) for styled in (character.top, character.bottom) if is_kept()]
    if is_kept():
        clauses.append(thing(character.feet) if character.feet is not None else one_of(("barefoot", "bare feet")))
    if character.bowtie is not None and is_kept():
        clauses.append(f"{character.bowtie.lower()} bowtie")
    if is_kept():
        clauses.append(one_of(DIRECTION_WORDS[character.direction]))
    if is_kept():
        clauses.append(one_of(_ground_words(character.ground)))
    if random.random() < 0.3:
        random.shuffle(clauses)
    if random.random() < 0.15:
        clauses.append(one_of(ENDINGS))
    return ", ".join([subject, *clauses])


def _coloured(styled: Styled) -> str:
    return f"{styled[1]} {words_of(styled[0])}".strip().lower()


def _beard(character: Character) -> str:
    """The beard, with its colour where the hair does not tell it."""
    if character.beard is None:
        return ""
    is_told = character.hair is not None and character.hair[1] == character.beard[1]
    return words_of(character.beard[0]) if is_told else _coloured(character.beard)


def _ground_words(ground: str) -> tuple[str, ...]:
    if ground == TRANSPARENT:
        return ("transparent background", "no background", "transparent ground")
    spelled = (f"{ground} background", f"on a {ground} background", f"{ground} ground")
    return (*spelled, "gray background") if ground == "grey" else spelled
