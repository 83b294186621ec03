"""What a caller of /v1/moderations may send, as OpenAI's API names it, read into texts and the bytes of pictures."""

import base64
import binascii
from dataclasses import dataclass, field
from typing import Annotated, Any

from django.http import HttpRequest
from pydantic import BeforeValidator, Field, ValidationError, WithJsonSchema
from pydantic_core import PydanticCustomError

from genworkers.contract.checks import MAX_PICTURES, MAX_TEXT_CHARS
from webapp.api.application import body_too_large, parsed
from webapp.api.openai.bodies import OpenBody
from webapp.errors import echo, invalid_request

# Pictures are sent inside the JSON: one of 7 MB, or several smaller ones.
MAX_MODERATION_BYTES = 10_000_000
MAX_ITEMS = 2048


@dataclass(frozen=True)
class Picture:
    """One picture file as it was sent, and where."""

    number: int
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class Item:
    """What one result is about: a text, or texts and pictures that belong together."""

    texts: tuple[str, ...]
    pictures: tuple[Picture, ...] = ()


def _items(given: Any) -> Any:
    """One item for a text, one for each text of a list, one for all parts of a list of parts."""
    if isinstance(given, str):
        return [Item((_text(given, "the input"),))]
    if not isinstance(given, list) or not 1 <= len(given) <= MAX_ITEMS:
        raise PydanticCustomError(
            "list_type", "send a text, or a list of 1 to {most} texts or parts", {"most": MAX_ITEMS}
        )
    if all(isinstance(entry, str) for entry in given):
        return [Item((_text(entry, f"text {number}"),)) for number, entry in enumerate(given)]
    return [_item(given)]


def _item(parts: list[Any]) -> Item:
    texts, pictures = [], []
    for number, part in enumerate(parts):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "text":
            texts.append(_text(part.get("text"), f"part {number}"))
        elif kind == "image_url":
            pictures.append(Picture(number, _data(part.get("image_url"), number)))
        else:
            words = "part {number} is of type {kind}; parts are of type text or image_url"
            raise PydanticCustomError("value_error", words, {"number": number, "kind": echo(str(kind))})
    if len(pictures) > MAX_PICTURES:
        raise PydanticCustomError(
            "too_long", "at most {most} pictures can be looked at in one call", {"most": MAX_PICTURES}
        )
    return Item(tuple(texts), tuple(pictures))


def _text(text: Any, what: str) -> str:
    if not isinstance(text, str):
        raise PydanticCustomError("string_type", "{what} has no text", {"what": what})
    if len(text) > MAX_TEXT_CHARS:
        words = "{what} has {length} characters; at most {most} are read, so send it in parts"
        raise PydanticCustomError("string_too_long", words, {"what": what, "length": len(text), "most": MAX_TEXT_CHARS})
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise PydanticCustomError(
            "string_unicode", "{what} has an unpaired surrogate, which is no text", {"what": what}
        )
    return text


def _data(image_url: Any, number: int) -> bytes:
    """The bytes in a data URL. Nothing is ever fetched for a caller."""
    url = image_url.get("url") if isinstance(image_url, dict) else None
    if not isinstance(url, str):
        raise PydanticCustomError("value_error", "part {number} has no image_url.url", {"number": number})
    head, _, payload = url.partition(",")
    if not head.startswith("data:image/") or not head.endswith(";base64"):
        raise PydanticCustomError(
            "unsupported_parameter",
            "part {number} names an address, and nothing is fetched here; send the picture itself, as "
            "data:image/png;base64,...",
            {"number": number},
        )
    try:
        return base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError) as error:
        raise PydanticCustomError("value_error", "the base64 of part {number} is broken", {"number": number}) from error


_TEXT = {"type": "string", "description": f"at most {MAX_TEXT_CHARS:,} characters"}
_TEXT_PART = {
    "type": "object",
    "properties": {"type": {"const": "text"}, "text": _TEXT},
    "required": ["type", "text"],
}
_IMAGE_PART = {
    "type": "object",
    "properties": {
        "type": {"const": "image_url"},
        "image_url": {
            "type": "object",
            "properties": {"url": {"type": "string", "description": "a data URL; nothing is fetched"}},
            "required": ["url"],
        },
    },
    "required": ["type", "image_url"],
}
_INPUT = {
    "anyOf": [
        _TEXT,
        {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": MAX_ITEMS},
        {"type": "array", "items": {"anyOf": [_TEXT_PART, _IMAGE_PART]}, "minItems": 1, "maxItems": MAX_ITEMS},
    ]
}


class ModerationBody(OpenBody):
    """The body of /v1/moderations."""

    input: Annotated[list[Item], BeforeValidator(_items), WithJsonSchema(_INPUT)]
    model: str | None = Field(
        default=None, description="`tessera-moderation`; OpenAI's names of its own nets are taken and mean the same"
    )


def body_of(request: HttpRequest) -> ModerationBody:
    """The checked body, which may be larger than any other JSON because pictures are in it.

    Raises:
        AppError: body_too_large, body_not_json, invalid_request, unsupported_parameter.
    """
    data = request.read(MAX_MODERATION_BYTES + 1)
    if len(data) > MAX_MODERATION_BYTES:
        raise body_too_large(MAX_MODERATION_BYTES)
    try:
        return ModerationBody.model_validate(parsed(data))
    except ValidationError as error:
        raise invalid_request(error, {}) from error


def described() -> dict[str, Any]:
    """The body as an OpenAPI request body."""
    return {"required": True, "content": {"application/json": {"schema": ModerationBody.model_json_schema()}}}
