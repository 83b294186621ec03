"""/v1/moderations: what the screens say of texts and pictures, in OpenAI's categories. Nothing is kept.

A category of OpenAI's that no screen of ours knows has score 0 and names no input type. What our screen of pictures
knows and OpenAI's API has no name for is told under `tessera_categories`.
"""

import base64
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, TypeAlias

import uuid_utils.compat as uuid
from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse
from PIL import Image
from pydantic import BaseModel, Field

from genworkers.contract.checks import MAX_TEXT_CHARS, MAX_TEXTS, PICTURE_PX, Moderate
from genworkers.contract.safety import PICTURE_CATEGORIES, Category, Screening
from webapp.api.auth import Caller
from webapp.api.openai import asking
from webapp.api.openai.model_list import MODERATION_NAME
from webapp.api.openai.moderation_bodies import Item, ModerationBody, Picture, body_of
from webapp.api.openai.translation import unknown_fields
from webapp.errors import AppError
from webapp.gallery import pictures
from webapp.jobs import questions
from webapp.safety.models import Action
from webapp.safety.policy import Policy
from webapp.safety.rules import Stage
from webapp.safety.selectors import policy_of

InputType: TypeAlias = Literal["text", "image"]

OPENAI_CATEGORIES = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
    "self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic",
)  # fmt: skip
# Ours to OpenAI's, where a screen of pictures knows what OpenAI has a name for.
OPENAI_OF_PICTURE: Mapping[Category, str] = {"nudity": "sexual"}
OPENAI_MODELS = ("omni-moderation", "text-moderation")
STAGE_OF: Mapping[InputType, Stage] = {"text": "prompt", "image": "input"}  # whose thresholds flag what is sent here


class OurCategory(BaseModel):
    """One category of the screen of pictures."""

    flagged: bool
    score: float


class ModerationResult(BaseModel):
    """What was found in one item."""

    flagged: bool = Field(description="whether any of `categories` is")
    categories: dict[str, bool]
    category_scores: dict[str, float] = Field(description="calibrated probabilities; 0 where no screen knows better")
    category_applied_input_types: dict[str, list[InputType]] = Field(
        description="what the score is about; empty where no screen here knows the category"
    )
    tessera_categories: dict[str, OurCategory] = Field(
        description="not in OpenAI's API: what else the screen of pictures knows; empty without a picture"
    )


class ModerationList(BaseModel):
    """One result a text; one for all parts of a list of parts."""

    id: str
    model: str
    results: list[ModerationResult]
    system_fingerprint: str = Field(description="not in OpenAI's API: the screens that were asked")


async def answer_to(caller: Caller, request: HttpRequest) -> HttpResponse:
    """What the screens say of every item.

    Raises:
        AppError: what `body_of`, `pictures.clean` and `questions.ask` raise; net_unknown, forbidden.
    """
    body = await sync_to_async(body_of)(request)
    ignored = list(unknown_fields(body, "", refused={}))
    _check_model(body)
    workspace = await sync_to_async(asking.workspace_of)(caller)
    in_force = await sync_to_async(policy_of)(workspace.id)
    files = [await sync_to_async(_small, thread_sensitive=False)(one) for item in body.input for one in item.pictures]
    texts: list[Screening] = []
    found: list[Screening] = []
    for number, part in enumerate(_portions([text for item in body.input for text in item.texts])):
        said = await questions.ask(Moderate(texts=part, pictures=[] if number else files))
        texts += said.texts
        found += said.pictures
    told = ModerationList(
        id=f"modr-{uuid.uuid7().hex}",
        model=MODERATION_NAME,
        results=list(_results(body.input, iter(texts), iter(found), in_force.policy)),
        system_fingerprint=", ".join(sorted({f"{one.screen} {one.version}" for one in (*texts, *found)})),
    )
    return asking.told(told, ignored)


def _check_model(body: ModerationBody) -> None:
    name = MODERATION_NAME if body.model is None else body.model
    if name != MODERATION_NAME and not name.startswith(OPENAI_MODELS):
        raise AppError("net_unknown", 404, f"There is no model {name!r} for moderation; {MODERATION_NAME} is one.")


def _small(picture: Picture) -> str:
    """The picture as the screen needs it, read at arm's length: a PNG in base64."""
    clean = pictures.clean(picture.data, field_name=f"input[{picture.number}].image_url")
    with Image.open(io.BytesIO(clean.png)) as image:
        image.thumbnail((PICTURE_PX, PICTURE_PX), Image.Resampling.LANCZOS)
        target = io.BytesIO()
        image.save(target, "PNG")
    return base64.b64encode(target.getvalue()).decode()


def _portions(texts: list[str]) -> Iterator[list[str]]:
    """The texts in order, as many at a time as one question may hold; at least one portion, perhaps without any."""
    portion: list[str] = []
    num_chars = 0
    for text in texts:
        num_chars += len(text)
        if portion and (len(portion) == MAX_TEXTS or num_chars > MAX_TEXT_CHARS):
            yield portion
            portion, num_chars = [], len(text)
        portion.append(text)
    yield portion


def _results(
    items: Iterable[Item], texts: Iterator[Screening], found: Iterator[Screening], policy: Policy
) -> Iterator[ModerationResult]:
    for item in items:
        yield result_of([next(texts) for _ in item.texts], [next(found) for _ in item.pictures], policy)


def result_of(texts: Iterable[Screening], found: Iterable[Screening], policy: Policy) -> ModerationResult:
    """One item in OpenAI's words; the highest score of its parts counts, and the workspace's policy flags."""
    of_texts, of_pictures = _highest(texts), _highest(found)
    scores = dict.fromkeys(OPENAI_CATEGORIES, 0.0)
    types: dict[str, list[InputType]] = {name: [] for name in OPENAI_CATEGORIES}
    flags = dict.fromkeys(OPENAI_CATEGORIES, False)
    kinds: list[tuple[InputType, dict[Category, float]]] = [("text", of_texts), ("image", of_pictures)]
    for kind, highest in kinds:
        for category, score in highest.items():
            name = OPENAI_OF_PICTURE.get(category, category)
            if name in scores:
                scores[name] = max(scores[name], score)
                types[name].append(kind)
                flags[name] |= _is_flagged(policy, kind, category, score)
    ours: dict[str, OurCategory] = {
        category: OurCategory(
            flagged=_is_flagged(policy, "image", category, of_pictures[category]), score=of_pictures[category]
        )
        for category in PICTURE_CATEGORIES
        if category in of_pictures
    }
    return ModerationResult(
        flagged=any(flags.values()),
        categories=flags,
        category_scores=scores,
        category_applied_input_types=types,
        tessera_categories=ours,
    )


def _is_flagged(policy: Policy, kind: InputType, category: Category, score: float) -> bool:
    """Whether the policy does more about this score than allow it."""
    thresholds = policy.of(STAGE_OF[kind]).get(category)
    return thresholds is not None and thresholds.action(score) != Action.ALLOW


def _highest(screenings: Iterable[Screening]) -> dict[Category, float]:
    highest: dict[Category, float] = {}
    for screening in screenings:
        for category, score in screening.scores.items():
            highest[category] = max(score, highest.get(category, 0.0))
    return highest
