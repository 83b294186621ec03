"""The form fields of a generation request, made from the contract's own models: nothing is typed twice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genworkers import contract
from webapp import errors

REQUEST_OF_KIND: dict[contract.Kind, type[contract.TextRequest] | type[contract.ImageRequest]] = {
    "text": contract.TextRequest,
    "image": contract.ImageRequest,
}
APART = ("kind", "prompt", "net")  # they stand in the bar itself


@dataclass(frozen=True)
class FieldError:
    """What is wrong with a field: a sentence for people, the code for machines."""

    text: str
    code: str


@dataclass(frozen=True)
class Parameter:
    """One field as the page needs it. `control` is whole, decimal, text, lines or select."""

    name: str
    html_name: str
    title: str
    description: str
    allowed: str
    control: str
    value: str
    choices: Sequence[tuple[str, str]] = ()
    error: FieldError | None = None


def schema_of(kind: contract.Kind) -> dict[str, dict[str, Any]]:
    """Field name to JSON Schema, in the contract's order."""
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


def allowed_of(kind: contract.Kind) -> dict[str, str]:
    """Field name to its allowed range in words, as error messages say it, with the seed's long number written short."""
    allowed = errors.allowed_of(REQUEST_OF_KIND[kind])
    return {name: words.replace(str(contract.MAX_SEED), "2⁶³ − 1") for name, words in allowed.items()}


def control_of(schema: Mapping[str, Any]) -> str:
    """Which input element fits."""
    if "enum" in schema:
        return "select"
    return {"integer": "whole", "number": "decimal", "array": "lines"}.get(schema["type"], "text")


def written(value: object) -> str:
    """A value as it stands in its input."""
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return "\n".join(str(line) for line in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def parse(kind: contract.Kind, posted: Mapping[str, str]) -> dict[str, Any]:
    """What a form said, as input for the contract's check; fields left empty take the contract's default."""
    schemas = schema_of(kind)
    data: dict[str, Any] = {"kind": kind, "prompt": posted.get("prompt", "").replace("\r\n", "\n")}
    for name, text in posted.items():
        field = name.removeprefix(f"{kind}-")
        if field != name and text.strip():
            data[field] = _value(schemas.get(field, {}), text)
    return data


def _value(schema: Mapping[str, Any], text: str) -> object:
    if schema.get("type") == "array":
        return [line for line in text.replace("\r\n", "\n").split("\n") if line]
    for choice in schema.get("enum", []):
        if text.strip() == str(choice):
            return choice
    return text.strip() if schema.get("type") in ("integer", "number") else text
