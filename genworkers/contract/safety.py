"""What texts and pictures are screened for, and how a screen says it. What follows from it is the site's policy."""

from typing import Annotated, Literal, TypeAlias, get_args

from pydantic import AfterValidator, Field

from genworkers.contract.base import Strict

# The first eight are those of Markov et al. 2022 (arXiv:2208.03274), as OpenAI's moderation endpoint names them.
TextCategory: TypeAlias = Literal[
    "sexual",
    "hate",
    "violence",
    "harassment",
    "self-harm",
    "sexual/minors",
    "hate/threatening",
    "violence/graphic",
    "illicit",
]
PictureCategory: TypeAlias = Literal[
    "weapons",
    "gestures",
    "alcohol-tobacco",
    "gambling",
    "death",
    "medical",
    "religion",
    "nations",
    "nudity",
]
Category: TypeAlias = TextCategory | PictureCategory
TEXT_CATEGORIES: tuple[TextCategory, ...] = get_args(TextCategory)
PICTURE_CATEGORIES: tuple[PictureCategory, ...] = get_args(PictureCategory)


def _unsigned_zero(value: float) -> float:
    return value + 0.0  # -0.0 becomes 0.0, as PostgreSQL gives it back


Probability: TypeAlias = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False), AfterValidator(_unsigned_zero)]


class Screening(Strict):
    """What one net said of one text or picture: a calibrated probability for each category that it knows."""

    screen: str
    version: str
    scores: dict[Category, Probability]
