"""One spelling for many disguises: what the rules compare and the text screen reads. Pure functions, no database.

Two strengths. `plain` keeps the writing system and is safe for every language; `folded` also undoes look-alike
letters, leet, spaced letters and stretched words, and reads as nonsense: it is for comparing, never for showing.
"""

import base64
import binascii
import codecs
import html
import importlib.resources
import json
import re
import unicodedata
from functools import cache
from urllib.parse import unquote

MAX_PASSES = 8

# Zero-width characters, directional controls, soft hyphen, fillers, variation selectors and tags: nothing to read.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]+"
)
# Marks that NFKC could not compose into a letter: the strokes and heaps of "zalgo" writing. Real accents stay.
_LOOSE_MARKS = re.compile(r"[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]+")
_LEET = {ord(sign): letter for sign, letter in zip("013457@$!|", "oieastasii", strict=True)}
_LEET_ONE_AS_L = _LEET | {ord(sign): "l" for sign in "1!|"}
_MAY_BE_LEET = re.compile(r"[013457@$!|]")
_ONE = re.compile(r"[1!|]")
_LEET_WORD = re.compile(r"(?:[^\W_]|[@$])(?:[^\W_]|[@$!|])*(?:[^\W_]|[@$])")
# Anything but letters and digits may stand between, not the signs @, $ and !, which are letters there ("n@z!s").
_SPACED_LETTERS = re.compile(r"(?<![^\W_])[^\W_](?:(?:_|[^\w@$!]){1,4}[^\W_](?![^\W_])){2,}")
_SUM = re.compile(r"[\d\W]*[=+*/<>^%\u00d7\u00f7\u2212][\d\W]*")
_MAY_BE_SPACED = re.compile(r"(?<![^\W_])[^\W_](?![^\W_])")
_SEPARATORS = re.compile(r"[\W_]+")
_STRETCHED = re.compile(r"(.)\1{2,}", re.DOTALL)
_LINE_SIGNS = dict.fromkeys(map(ord, "\t\r\n"))
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{12,}={0,2}(?![A-Za-z0-9+/=_-])")


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
    return _settle(text, {})


def _letters(text: str) -> str:
    """The text in plain letters: as `plain`, with loose marks out and look-alikes in ASCII."""
    return _settle(text, _ascii_of_look_alike())


def _settle(text: str, look_alikes: dict[int, str]) -> str:
    if text.isascii():
        return text.casefold()
    for _ in range(MAX_PASSES):
        before = text
        text = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
        if look_alikes:
            text = _LOOSE_MARKS.sub("", text).translate(look_alikes)
        text = unicodedata.normalize("NFKC", text.casefold())
        if text == before:
            break
    return text


def _joined(found: re.Match[str]) -> str:
    """Spaced letters without what is between them; digits of a sum stay as they are."""
    return found[0] if _SUM.fullmatch(found[0]) else _SEPARATORS.sub("", found[0])


def _undo_leet(text: str, table: dict[int, str]) -> str:
    def letters(found: re.Match[str]) -> str:
        word = found[0]
        return word.translate(table) if any(char.isalpha() for char in word) else word

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
    return _words(_letters(text), is_one_l=is_one_l, max_repeats=max_repeats)


def _words(text: str, *, is_one_l: bool = False, max_repeats: int = 2) -> str:
    """The second half of `folded`: joins, undoes leet and collapses until nothing changes."""
    leet = _LEET_ONE_AS_L if is_one_l else _LEET
    for _ in range(MAX_PASSES):
        before = text
        if _MAY_BE_SPACED.search(text):
            text = _SPACED_LETTERS.sub(_joined, text)
        if _MAY_BE_LEET.search(text):
            text = _undo_leet(text, leet)
        text = _STRETCHED.sub(lambda found: found[1] * max_repeats, text)
        if text == before:
            break
        text = _letters(text)
    return text


def spellings(text: str) -> set[str]:
    """Every reading of a text that is worth comparing: plain, and folded in each way that makes a difference."""
    letters = _letters(text)
    found = {plain(text), _words(letters)}
    if _ONE.search(letters):
        found.add(_words(letters, is_one_l=True))
    if _STRETCHED.search(letters):
        found.add(_words(letters, max_repeats=1))
    return found


def decoded(text: str) -> set[str]:
    """What the text says once its HTML entities, percent escapes or base64 words are decoded, where it has any."""
    found = {html.unescape(text), unquote(text, errors="replace"), _BASE64.sub(_from_base64, text)}
    return found - {text}


def _from_base64(found: re.Match[str]) -> str:
    """The decoded word when it is readable text, else the word itself; "emphatically" is a word, not seven signs."""
    if found[0].isalpha() and found[0][1:].islower():
        return found[0]
    word = found[0].rstrip("=").replace("-", "+").replace("_", "/")
    try:
        content = base64.b64decode(word + "=" * (-len(word) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return found[0]
    visible = _INVISIBLE.sub("", content.translate(_LINE_SIGNS))
    return content if visible.isprintable() else found[0]


def turned(text: str) -> tuple[str, str]:
    """The text by rot13 and backwards: nonsense for most texts, so keep one only where it reads better."""
    return codecs.encode(text, "rot13"), text[::-1]
