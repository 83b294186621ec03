"""What the site asks the check worker while a caller waits, and what comes back. Nothing of either is kept."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, TypeAdapter

from genworkers.contract.base import Strict
from genworkers.contract.safety import Screening

ENCODER_NAME = "all-minilm-l6-v2"
ENCODER_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
EMBEDDING_WIDTH = 384
# What its authors trained and recommend it for; its positions would reach to 512.
ENCODER_MAX_TOKENS = 256

# One question is a few seconds of work at most, so that nobody's long list is in everybody's way: ask several.
MAX_TEXTS = 32
MAX_TEXT_CHARS = 40_000
MAX_PICTURES = 4
PICTURE_PX = 256


class Embed(Strict):
    """Where these texts lie in the encoder's space.

    Args:
        is_truncatable: a text of more than ENCODER_MAX_TOKENS is read as far as that; otherwise it is refused.
    """

    kind: Literal["embed"] = "embed"
    texts: list[str] = Field(min_length=1, max_length=MAX_TEXTS)
    is_truncatable: bool = False


class Embedded(Strict):
    """One entry a text.

    Args:
        vectors: EMBEDDING_WIDTH float32 of length 1, little-endian, in base64.
        num_tokens: word pieces that were read, [CLS] and [SEP] included.
    """

    kind: Literal["embedded"] = "embedded"
    vectors: list[str]
    num_tokens: list[int]


class Moderate(Strict):
    """What the screens say of these texts and pictures.

    Args:
        texts: together at most MAX_TEXT_CHARS.
        pictures: PNG files in base64, made by ourselves, at most PICTURE_PX a side.
    """

    kind: Literal["moderate"] = "moderate"
    texts: list[str] = Field(default_factory=list, max_length=MAX_TEXTS)
    pictures: list[str] = Field(default_factory=list, max_length=MAX_PICTURES)


class Moderated(Strict):
    """One screening a text and one a picture, in the order asked."""

    kind: Literal["moderated"] = "moderated"
    texts: list[Screening]
    pictures: list[Screening]


class TooLong(Strict):
    """A text, counted from 0, is longer than the encoder reads."""

    kind: Literal["too_long"] = "too_long"
    index: int


class Broken(Strict):
    """The worker could not answer; its log says why."""

    kind: Literal["broken"] = "broken"


Question: TypeAlias = Annotated[Embed | Moderate, Field(discriminator="kind")]
Answer: TypeAlias = Annotated[Embedded | Moderated | TooLong | Broken, Field(discriminator="kind")]
QUESTION: TypeAdapter[Embed | Moderate] = TypeAdapter(Question)
ANSWER: TypeAdapter[Embedded | Moderated | TooLong | Broken] = TypeAdapter(Answer)
