"""English for composed scenes: articles, plurals, numbers, and the many ways to say the same picture."""

import re

import numpy as np

from genworkers.training.colours import COLOUR_NAMES

NUMBER_WORDS = ("no", "one", "two", "three", "four", "five")
SIZES = {"tiny": ("tiny", "very small"), "small": ("small", "little"), "large": ("large", "big", "huge")}
PLACES = {
    "top left": ("in the top left", "in the upper left corner", "at the top left"),
    "top right": ("in the top right", "in the upper right corner", "at the top right"),
    "bottom left": ("in the bottom left", "in the lower left corner", "at the bottom left"),
    "bottom right": ("in the bottom right", "in the lower right corner", "at the bottom right"),
    "top": ("at the top",),
    "bottom": ("at the bottom",),
    "left": ("on the left", "on the left side"),
    "right": ("on the right", "on the right side"),
    "middle": ("in the middle", "in the centre", "in the center"),
}
RELATIONS = {
    "left of": ("left of", "to the left of", "on the left of"),
    "right of": ("right of", "to the right of", "on the right of"),
    "above": ("above", "over", "on top of"),
    "below": ("below", "under", "underneath", "beneath"),
}
_GROUNDS = ("on a {} background", "on {} background", "with a {} background", "in front of a {} background")
_IRREGULAR = {
    "man": "men",
    "woman": "women",
    "person": "people",
    "child": "children",
    "mouse": "mice",
    "tooth": "teeth",
}
_IRREGULAR |= {
    "foot": "feet",
    "goose": "geese",
    "knife": "knives",
    "leaf": "leaves",
    "wolf": "wolves",
    "loaf": "loaves",
}
_SAME = {"fish", "sheep", "deer", "bison", "rice", "bread", "money", "ice", "shrimp", "squid", "blowfish"}
_SPEAKABLE = re.compile(r"[a-z]+(?:[ -][a-z]+){0,2}")


def is_speakable(name: str) -> bool:
    """True for names of one to three plain lower-case words, which fit into a sentence."""
    return _SPEAKABLE.fullmatch(name) is not None


def is_plural(name: str) -> bool:
    """True for names that already speak of several: "cherries" but not "cross"."""
    return name.endswith("s") and not name.endswith(("ss", "us", "is"))


def is_countable(name: str) -> bool:
    """True for names that make sense after a number: "cat", but not "cherries" or "woman walking"."""
    return not is_plural(name) and not re.search(r"(?:^| )(?:wo)?man |^person |ing$", name)


def familiarity(name: str) -> float:
    """How often a thing should be in scenes: short names are what people ask for, and people are a third of all."""
    people = 0.3 if re.match(r"(?:wo)?man |person |family|couple|people", name) else 1.0
    return people / (1 + name.count(" "))


def plural(name: str) -> str:
    """The plural of a name, by the usual rules and a few exceptions."""
    head, _, last = name.rpartition(" ")
    if last in _SAME:
        return name
    if last in _IRREGULAR:
        last = _IRREGULAR[last]
    elif re.search(r"[^aeiou]y$", last):
        last = f"{last[:-1]}ies"
    elif last.endswith(("s", "x", "ch", "sh", "z")):
        last = f"{last}es"
    else:
        last = f"{last}s"
    return f"{head} {last}" if head else last


def with_article(words: str) -> str:
    """The indefinite article before what is one of its kind: "an apple", "a cat", "cherries"."""
    if is_plural(words):
        return words
    return f"an {words}" if words[:1] in "aeiou" else f"a {words}"


def without_colour(name: str) -> str:
    """A name without its colour words, so that another may be said: "red apple" becomes "apple"."""
    kept = [word for word in name.split(" ") if word not in COLOUR_NAMES]
    return " ".join(kept) or name


def one_of(choices: tuple[str, ...], random: np.random.Generator) -> str:
    """One of several phrases, the first half of the time."""
    return choices[0] if random.random() < 0.5 else choices[int(random.integers(len(choices)))]


def thing_words(
    name: str, random: np.random.Generator, *, colour: str | None = None, size: str | None = None, count: int = 1
) -> str:
    """A thing as it is spoken of: "a small blue apple", "three cats", "3 cats"."""
    adjectives = [one_of(SIZES[size], random)] if size else []
    adjectives += [colour] if colour else []
    if count == 1:
        return with_article(" ".join([*adjectives, name]))
    number = NUMBER_WORDS[count] if random.random() < 0.85 else str(count)
    return " ".join([number, *adjectives, plural(name)])


def ground_words(colour: str, random: np.random.Generator) -> str:
    """A background as it is spoken of."""
    return one_of(_GROUNDS, random).format(colour)


def plain(words: str, random: np.random.Generator) -> str:
    """The same words, in one case of seven without articles, as people type."""
    return re.sub(r"\b(?:an?|the) ", "", words) if random.random() < 1 / 7 else words
