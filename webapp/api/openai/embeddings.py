"""/v1/embeddings: where texts lie in the space of the text encoder, computed by the check worker. Nothing is kept.

Differs from OpenAI's API: token ids are refused, because another vocabulary's would be read as other words, and there
is one width of vectors.
"""

import base64
import struct
from typing import Annotated, Any, Literal

from asgiref.sync import sync_to_async
from django.http import HttpResponse
from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from genworkers.contract.checks import EMBEDDING_WIDTH, ENCODER_MAX_TOKENS, ENCODER_NAME, MAX_TEXTS, Embed, TooLong
from webapp.api.auth import Caller
from webapp.api.openai import asking
from webapp.api.openai.bodies import OpenBody
from webapp.api.openai.translation import param, unknown_fields, wrong
from webapp.errors import AppError, problem
from webapp.jobs import questions

MAX_INPUTS = 2048


def _as_texts(given: Any) -> Any:
    """One text as a list; token ids are refused."""
    if isinstance(given, str):
        return [given]
    if isinstance(given, list) and any(isinstance(entry, int | list) for entry in given):
        raise PydanticCustomError(
            "unsupported_parameter", "send texts; token ids of another vocabulary mean nothing here"
        )
    return given


_TEXT_OR_TEXTS = {
    "anyOf": [
        {"type": "string", "minLength": 1},
        {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1, "maxItems": MAX_INPUTS},
    ]
}
Text = Annotated[str, Field(min_length=1)]


class EmbeddingBody(OpenBody):
    """The body of /v1/embeddings."""

    model: str = Field(description=f"`{ENCODER_NAME}`")
    input: Annotated[
        list[Text],
        BeforeValidator(_as_texts),
        Field(min_length=1, max_length=MAX_INPUTS),
        WithJsonSchema(_TEXT_OR_TEXTS),
    ]
    encoding_format: Literal["float", "base64"] | None = Field(
        default=None, description="numbers, or little-endian float32 in base64; float when left out"
    )
    dimensions: int | None = Field(default=None, description=f"{EMBEDDING_WIDTH}, the only width that there is")
    is_truncatable: bool | None = Field(
        default=None,
        description=f"not in OpenAI's API: read only the first {ENCODER_MAX_TOKENS} tokens of a text that is longer",
    )


class Embedding(BaseModel):
    """One vector of length 1."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class EmbeddingUsage(BaseModel):
    """Tokens read, with the two that begin and end each text."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(BaseModel):
    """The vectors, in the order of the input."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage


async def answer_to(caller: Caller, body: EmbeddingBody) -> HttpResponse:
    """The vectors of every input.

    Raises:
        AppError: net_unknown, invalid_request, prompt_too_long, forbidden, and what `questions.ask` raises.
    """
    ignored = list(unknown_fields(body, "", refused={}))
    _check(body)
    await sync_to_async(asking.workspace_of)(caller)
    vectors: list[str] = []
    num_tokens = 0
    for start in range(0, len(body.input), MAX_TEXTS):
        texts = body.input[start : start + MAX_TEXTS]
        said = await questions.ask(Embed(texts=texts, is_truncatable=bool(body.is_truncatable)))
        if isinstance(said, TooLong):
            raise _too_long(start + said.index, texts[said.index])
        vectors += said.vectors
        num_tokens += sum(said.num_tokens)
    is_text = body.encoding_format == "base64"
    data = [Embedding(index=index, embedding=one if is_text else _numbers(one)) for index, one in enumerate(vectors)]
    usage = EmbeddingUsage(prompt_tokens=num_tokens, total_tokens=num_tokens)
    return asking.told(EmbeddingList(data=data, model=body.model, usage=usage), ignored)


def _check(body: EmbeddingBody) -> None:
    if body.model != ENCODER_NAME:
        raise AppError("net_unknown", 404, f"There is no model {body.model!r} for embeddings; {ENCODER_NAME} is one.")
    if body.dimensions not in (None, EMBEDDING_WIDTH):
        allowed = str(EMBEDDING_WIDTH)
        raise wrong("dimensions", "value_error", "there is one width of vectors", str(body.dimensions), allowed)


def _too_long(index: int, text: str) -> AppError:
    message = "this text is too long; send it in parts, or is_truncatable: true to have its beginning read"
    problems = [problem(param(f"input.{index}"), "prompt_too_long", message, text, f"1 to {ENCODER_MAX_TOKENS} tokens")]
    return AppError("prompt_too_long", 400, f"Text {index} of the input is too long.", problems=problems)


def _numbers(vector: str) -> list[float]:
    return list(struct.unpack(f"<{EMBEDDING_WIDTH}f", base64.b64decode(vector)))
