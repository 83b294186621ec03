"""What the site asks of `genworkers/examiner.py` about one file of a stranger, and what it hears."""

from typing import Literal, TypeAlias

from pydantic import Field

from genworkers.contract.base import Strict

Medium: TypeAlias = Literal["picture", "film", "text"]
# How often a file that was never marked may be called marked, all keys and places that are tried together.
FALSE_POSITIVE_FRAC: dict[Medium, float] = {"picture": 1e-6, "film": 1e-6, "text": 1e-4}
# With fewer tokens that count, not finding a mark says little: of marked texts of the house net with 200 tokens 97 %
# are found, with 100 tokens two thirds, with 50 a fifth.
MIN_TEXT_TOKENS = 170
# A text that the nets of this studio might have written is looked at up to here, or less far where there are many keys.
MAX_TEXT_CHARS = 200_000


class Secret(Strict):
    """One key of the studio, in hex."""

    key_id: str
    secret: str = Field(repr=False)


class Question(Strict):
    """What the bytes behind it are, and what to look for.

    Args:
        tokenizers: the `tokenizer.json` of each text net that may have written the text.
    """

    medium: Medium
    keys: list[Secret]
    tokenizers: list[str] = Field(default_factory=list)


class FoundMark(Strict):
    """A mark that is there: whose, what it says, and how likely it is chance.

    Args:
        payload: in hex; empty for a text, and where a picture's mark is there but cannot be read for sure.
    """

    key_id: str
    payload: str = ""
    p_value: float


class Examination(Strict):
    """What the bytes say.

    Args:
        mark: the surest; None when none was found, and then a text of few tokens may still have one.
        others: further marks of a picture, where one lies over another.
        num_scored: tokens that could be counted, for a text.
        is_whole: a mark was looked for in all of a text, not in its beginning only.
        fingerprint, bands: as artifacts are kept by them, the first in hex; empty for what cannot be read.
        problem: why nothing could be read, in words.
    """

    mark: FoundMark | None = None
    others: list[FoundMark] = Field(default_factory=list)
    num_scored: int = 0
    is_whole: bool = True
    fingerprint: str = ""
    bands: list[int] = Field(default_factory=list)
    problem: str = ""
