"""What every request is made of: closed models, and checks of text that somebody typed."""

import unicodedata
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator

Kind: TypeAlias = Literal["text", "image"]
KINDS: tuple[Kind, ...] = ("text", "image")
MAX_SEED = 2**63 - 1


class Strict(BaseModel):
    """A closed model: unknown fields and values of a neighbouring type are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


# Unicode categories without ink: separators, controls, formats, surrogates, marks. Unassigned code points are not
# among them: to this Python, an emoji of a newer Unicode is one.
_UNSEEN_CATEGORIES = frozenset({"Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Mn", "Mc", "Me"})
_BLANK_LETTERS = "\u115f\u1160\u2800\u3164\uffa0"  # fillers of Hangul and the empty Braille cell


def _is_visible(char: str) -> bool:
    return unicodedata.category(char) not in _UNSEEN_CATEGORIES and char not in _BLANK_LETTERS


def without_controls(text: str) -> str:
    """The text itself.

    Raises:
        ValueError: it has a control character that is neither a line break nor a tab.
    """
    for position, char in enumerate(text):
        if unicodedata.category(char) == "Cc" and char not in "\n\r\t":
            raise ValueError(f"remove the control character U+{ord(char):04X} at position {position}")
    return text


def _clean_prompt(prompt: str) -> str:
    if not any(_is_visible(char) for char in prompt):
        raise ValueError("write at least one visible character")
    return without_controls(prompt)


class Request(Strict):
    """What text and image jobs have in common."""

    prompt: str
    seed: int | None = Field(
        default=None,
        ge=0,
        le=MAX_SEED,
        title="Seed",
        description="The same seed and parameters give the same result. Empty picks one for you.",
    )

    @field_validator("prompt")
    @classmethod
    def _prompt_is_printable(cls, prompt: str) -> str:
        return _clean_prompt(prompt)
