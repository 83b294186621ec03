"""One spelling for many disguises: what `rules.py` compares is folded here. Pure functions, no database.

Two strengths. `plain` keeps the writing system and is safe for every language; `folded` also undoes look-alike
letters, leet, spaced letters and stretched words, and reads as nonsense: it is for comparing, never for showing.
"""

import importlib.resources
import json
import re
import unicodedata
from functools import cache

MAX_PASSES = 8

# Zero-width characters, directional controls, soft hyphen, fillers, variation selectors and tags: nothing to read.
_INVISIBLE = {
    code: None
    for first, last in (
        (0x00AD, 0x00AD), (0x034F, 0x034F), (0x061C, 0x061C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F),
        (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF),
        (0xFFA0, 0xFFA0), (0xFFF9, 0xFFFB), (0xE0000, 0xE0FFF),
    )
    for code in range(first, last + 1)
}  # fmt: skip
# Marks that NFKC could not compose into a letter: the strokes and heaps of "zalgo" writing. Real accents stay.
_LOOSE_MARKS = re.compile(r"[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]+")
_LEET = {ord(sign): letter for sign, letter in zip("013457@$", "oieastas", strict=True)}
_LEET_ONE_AS_L = {**_LEET, ord("1"): "l"}
_LEET_WORD = re.compile(r"(?:[^\W_]|[@$])(?:[^\W_]|[@$!|])*(?:[^\W_]|[@$])")
_SPACED_LETTERS = re.compile(r"(?<![^\W_])[^\W_](?:[ \t._*~·•/\\,'’|+-]{1,3}[^\W_](?![^\W_])){2,}")
_SEPARATORS = re.compile(r"[\W_]+")
_STRETCHED = re.compile(r"(.)\1{2,}", re.DOTALL)


@cache
def _ascii_of_look_alike() -> dict[int, str]:
    """Each non-ASCII character that Unicode TR39 calls confusable with ASCII, and that ASCII spelling."""
    data = importlib.resources.files("confusable_homoglyphs").joinpath("confusables.json").read_text("utf-8")
    table: dict[int, str] = {}
    for char, look_alikes in json.loads(data).items():
        if len(char) == 1 and not char.isascii():
            spelling = next((entry["c"] for entry in look_alikes if entry["c"].isascii()), None)
            if spelling is not None:
                table[ord(char)] = spelling
    return table


def plain(text: str) -> str:
    """The text composed (NFKC), without invisible characters, casefolded."""
    for _ in range(MAX_PASSES):
        before = text
        text = unicodedata.normalize("NFKC", text).translate(_INVISIBLE)
        text = unicodedata.normalize("NFKC", text.casefold())
        if text == before:
            break
    return text


def _undo_leet(text: str, table: dict[int, str]) -> str:
    def letters(found: re.Match[str]) -> str:
        word = found[0]
        if not any(char.isalpha() for char in word):
            return word
        one = table[ord("1")]
        return word.translate(table).replace("!", one).replace("|", one)

    return _LEET_WORD.sub(letters, text)


def folded(text: str, *, is_one_l: bool = False, max_repeats: int = 2) -> str:
    """The text with its disguises undone; folding twice changes nothing.

    NFKC, invisible characters out, loose marks out, look-alikes to ASCII (Unicode TR39), casefold, spaced letters
    joined (three or more), leet undone inside words that hold a letter, repeats collapsed.

    Differs from TRUST.md 4.3: spaced letters are joined before leet is undone, so that "b 4 d" is found too.

    Args:
        text: anything, lone surrogates included.
        is_one_l: read 1, ! and | inside a word as l instead of i.
        max_repeats: 1 or 2; three or more of a character become so many.
    """
    look_alikes, leet = _ascii_of_look_alike(), _LEET_ONE_AS_L if is_one_l else _LEET
    for _ in range(MAX_PASSES):
        before = text
        text = unicodedata.normalize("NFKC", text).translate(_INVISIBLE)
        text = _LOOSE_MARKS.sub("", text).translate(look_alikes)
        text = unicodedata.normalize("NFKC", text.casefold())
        text = _SPACED_LETTERS.sub(lambda found: _SEPARATORS.sub("", found[0]), text)
        text = _undo_leet(text, leet)
        text = _STRETCHED.sub(lambda found: found[1] * max_repeats, text)
        if text == before:
            break
    return text
