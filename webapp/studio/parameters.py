"""The form fields of a generation request, made from the contract's own models: nothing is typed twice."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from genworkers.contract.base import MAX_SEED, Kind
from genworkers.contract.image import ImageRequest
from genworkers.contract.requests import API_ONLY_FIELDS
from genworkers.contract.text import TextRequest
from webapp import errors

REQUEST_OF_KIND: dict[Kind, type[TextRequest] | type[ImageRequest]] = {
    "text": TextRequest,
    "image": ImageRequest,
}
APART = ("kind", "prompt", "net")  # they stand in the bar itself
IN_BAR = ("preset", "style", "strength")  # so do these of a picture
# Posted without a field to type into: what a picture begins with, which the bar shows as a chip.
HIDDEN = ("start_image", "mask", "draft_seed")
# What a net must be able to do, by ABILITIES_OF_FAMILY, for a field to mean anything.
ABILITY_OF_FIELD = {
    "preset": "steps",
    "num_steps": "steps",
    "guidance": "steps",
    "negative_prompt": "negative_prompt",
    "style_mix": "style_mix",
    "style_mix_frac": "style_mix",
    "strength": "start_image",
}
PICKED = "-picked"  # the colour beside the choice COLOUR, in a field of its own, so that it works without a script
COLOUR = "colour"


@dataclass(frozen=True)
class FieldError:
    """What is wrong with a field: a sentence for people, the code for machines."""

    text: str
    code: str


@dataclass(frozen=True)
class Parameter:
    """One field as the page needs it.

    `control` is whole, decimal, text, lines, json, colour or select. The choices of a select stand in groups; the group
    "" has no title. `ability` is what a net must have for the field to mean anything.
    """

    name: str
    html_name: str
    title: str
    description: str
    allowed: str
    control: str
    value: str
    choices: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    ability: str = ""
    least: float | None = None
    most: float | None = None
    error: FieldError | None = None

    @property
    def is_colour(self) -> bool:
        """Whether a colour field has a colour."""
        return self.value.startswith("#")


def schema_of(kind: Kind) -> dict[str, dict[str, Any]]:
    """Field name to JSON Schema, in the contract's order; what only the API offers is not among them."""
    return {name: schema for name, schema in _whole_schema_of(kind).items() if name not in API_ONLY_FIELDS}


def hidden_schema_of(kind: Kind) -> dict[str, dict[str, Any]]:
    """The same for what the form posts without a field to type into."""
    return {name: schema for name, schema in _whole_schema_of(kind).items() if name in HIDDEN}


@cache
def _whole_schema_of(kind: Kind) -> dict[str, dict[str, Any]]:
    properties: dict[str, dict[str, Any]] = REQUEST_OF_KIND[kind].model_json_schema()["properties"]
    return {name: _without_null(schema) for name, schema in properties.items()}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    for variant in schema.get("anyOf", []):
        if variant.get("type") != "null":
            found: dict[str, Any] = schema | variant
            return found
    return schema


def html_name(kind: str, name: str) -> str:
    """What the field is called in the form; the prompt is shared by all kinds."""
    return name if name in ("kind", "prompt") else f"{kind}-{name}"


def allowed_of(kind: Kind) -> dict[str, str]:
    """Field name to its allowed range in words, as error messages say it, with the seed's long number written short."""
    allowed = errors.allowed_of(REQUEST_OF_KIND[kind])
    return {name: words.replace(str(MAX_SEED), "2⁶³ − 1") for name, words in allowed.items()}


def control_of(schema: Mapping[str, Any]) -> str:
    """Which input element fits."""
    if "enum" in schema:
        return "select"
    if "#[0-9a-fA-F]{6}" in schema.get("pattern", ""):
        return "colour"
    controls = {"integer": "whole", "number": "decimal", "array": "lines", "object": "json"}
    return controls.get(schema["type"], "text")


def written(value: object) -> str:
    """A value as it stands in its input."""
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return "\n".join(str(line) for line in value)
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, indent=2)
    return f"{value:g}" if isinstance(value, float) else str(value)


def posted_text(kind: Kind, name: str, schema: Mapping[str, Any], posted: Mapping[str, str]) -> str:
    """What a form said of one field; of a colour, the one that was picked where it says COLOUR."""
    field = html_name(kind, name)
    text = posted.get(field, "")
    return posted.get(field + PICKED, "") if text == COLOUR and control_of(schema) == "colour" else text


def parse(kind: Kind, posted: Mapping[str, str]) -> dict[str, Any]:
    """What a form said, as input for the contract's check; fields left empty take the contract's default."""
    schemas = schema_of(kind) | hidden_schema_of(kind)
    data: dict[str, Any] = {"kind": kind, "prompt": posted.get("prompt", "").replace("\r\n", "\n")}
    for name in posted:
        field = name.removeprefix(f"{kind}-")
        if field == name or field.removesuffix(PICKED) in schemas.keys() - {field}:
            continue
        schema = schemas.get(field, {})
        text = posted_text(kind, field, schema, posted)
        if text.strip():
            data[field] = _value(schema, text)
    return data


def _value(schema: Mapping[str, Any], text: str) -> object:
    if schema.get("type") == "array":
        return [line for line in text.replace("\r\n", "\n").split("\n") if line]
    if schema.get("type") == "object":
        try:
            return json.loads(text, parse_constant=float)
        except (ValueError, RecursionError):
            return text  # the contract's check refuses it, `why_not_json` says why
    for choice in schema.get("enum", []):
        if text.strip() == str(choice):
            return choice
    return text.strip() if schema.get("type") in ("integer", "number") else text


def why_not_json(text: str) -> str:
    """What is wrong with a text that should be a JSON object, and where."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        return f"This is not JSON: {error.msg[:1].lower()}{error.msg[1:]} in line {error.lineno}, column {error.colno}"
    except (ValueError, RecursionError):
        return "This is not JSON that can be read here"
    return f"A schema is a JSON object in braces; this is {errors.echo(value)}"
