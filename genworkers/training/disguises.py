"""Ways in which people hide a word from a filter: for training against some of them and measuring against all."""

import re
from collections.abc import Callable, Mapping

from numpy.random import Generator

_LEET = {"a": "4@", "e": "3", "i": "1!", "o": "0", "s": "5$", "t": "7"}
_LOOK_ALIKE = str.maketrans("aeiopcxysABEHKMOPCTX", "аеіорсхуѕАВЕНКМОРСТХ")  # Cyrillic
_LONG_WORD = re.compile(r"[A-Za-z]{4,}")
Disguise = Callable[[str, Generator], str]


def leet(text: str, random: Generator) -> str:
    """Digits and signs for most letters that have one."""
    return "".join(
        random.choice(list(_LEET[char.lower()])) if char.lower() in _LEET and random.random() < 0.8 else char
        for char in text
    )


def spaced(text: str, random: Generator) -> str:
    """Each long word with a space, dot or dash between its letters."""
    return _LONG_WORD.sub(lambda word: random.choice([" ", ".", "-"]).join(word[0]), text)


def zero_width(text: str, random: Generator) -> str:
    """An invisible character within each long word."""
    return _LONG_WORD.sub(lambda word: _cut(word[0], random, "\u200b"), text)


def look_alikes(text: str, random: Generator) -> str:
    """Cyrillic letters for Latin ones."""
    return "".join(char.translate(_LOOK_ALIKE) if random.random() < 0.7 else char for char in text)


def stretched(text: str, random: Generator) -> str:
    """One letter of each long word repeated three to five times."""

    def stretch(word: re.Match[str]) -> str:
        place = int(random.integers(1, len(word[0])))
        return word[0][:place] + word[0][place] * int(random.integers(2, 5)) + word[0][place:]

    return _LONG_WORD.sub(stretch, text)


def dropped(text: str, random: Generator) -> str:
    """One inner letter of each long word missing."""

    def drop(word: re.Match[str]) -> str:
        place = int(random.integers(1, len(word[0]) - 1))
        return word[0][:place] + word[0][place + 1 :]

    return _LONG_WORD.sub(drop, text)


def swapped(text: str, random: Generator) -> str:
    """Two neighbouring inner letters of each long word exchanged."""

    def swap(word: re.Match[str]) -> str:
        place = int(random.integers(1, len(word[0]) - 2))
        return word[0][:place] + word[0][place + 1] + word[0][place] + word[0][place + 2 :]

    return _LONG_WORD.sub(swap, text)


def _cut(word: str, random: Generator, mark: str) -> str:
    place = int(random.integers(1, len(word)))
    return word[:place] + mark + word[place:]


DISGUISES: Mapping[str, Disguise] = {
    "leetspeak": leet,
    "spaced letters": spaced,
    "zero-width characters": zero_width,
    "look-alike letters": look_alikes,
    "stretched words": stretched,
    "a letter dropped from each word": dropped,
    "two letters swapped in each word": swapped,
}
TRAINED_DISGUISES: tuple[Disguise, ...] = (leet, spaced, stretched, dropped, swapped)


def disguised(text: str, random: Generator) -> str:
    """The text in one of the ways that the net is trained against."""
    return TRAINED_DISGUISES[int(random.integers(len(TRAINED_DISGUISES)))](text, random)
