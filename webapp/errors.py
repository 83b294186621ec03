"""A user's mistake, said once: a code, where it stands, and what to do. Rendered by `middleware.py` and the API."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from genworkers.contract.image import ImageRequest
from genworkers.contract.text import TextRequest


class AppError(Exception):
    """Something the caller must know: shown as a page, a fragment or problem+json (RFC 9457).

    Args:
        code: snake_case, listed in docs/ERRORS.md, never renamed.
        http_status: the status of the answer.
        message: what happened and what to do next, in plain words.
        problems: for bad input, one `problem` per field.
        headers: extra answer headers, for example Retry-After.
    """

    def __init__(
        self,
        code: str,
        http_status: int,
        message: str,
        *,
        problems: list[dict[str, Any]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.http_status = http_status
        self.message = message
        self.problems = problems or []
        self.headers = dict(headers or {})


def not_found(what: str) -> AppError:
    """One answer for what does not exist and for what this caller may not know of."""
    return AppError("not_found", 404, f"There is no such {what} here.")


MAX_ECHO_CHARS = 100
MAX_PROBLEMS = 20


def allowed_of(model: type[BaseModel]) -> dict[str, str]:
    """Field name to the whole allowed range in plain words ("1 to 1024 tokens"), from the model's own limits.

    >>> from genworkers.contract.image import ImageRequest
    >>> from genworkers.contract.text import TextRequest
    >>> allowed_of(ImageRequest)["size_px"], allowed_of(TextRequest)["top_p"]
    ('512 or 1024 px', 'more than 0, at most 1')
    """
    return {field.alias or name: _range_in_words(field) for name, field in model.model_fields.items()}


def _range_in_words(field: FieldInfo) -> str:
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    unit = f" {extra['unit']}" if "unit" in extra else ""
    if get_origin(field.annotation) is Literal:
        return " or ".join(str(value) for value in get_args(field.annotation)) + unit
    limits = _limits(field.metadata)
    words = _between(limits, "gt", "ge", "le", unit) or _between(limits, "", "min_length", "max_length", " characters")
    if get_origin(field.annotation) not in (list, dict):
        return words
    item = get_args(field.annotation)[-1]
    item_words = _between(_limits(getattr(item, "__metadata__", ())), "", "min_length", "max_length", " characters")
    return words.replace(" characters", f" texts of {item_words}" if item_words else " entries")


def _limits(metadata: Iterable[object]) -> dict[str, Any]:
    names = ("gt", "ge", "le", "min_length", "max_length")
    return {
        name: getattr(entry, name) for entry in metadata for name in names if getattr(entry, name, None) is not None
    }


def _between(limits: Mapping[str, Any], above: str, least: str, most: str, unit: str) -> str:
    low, high = limits.get(least), limits.get(most)
    if above in limits:
        return f"more than {limits[above]:g}" + ("" if high is None else f", at most {high:g}") + unit
    if high is None:
        return "" if low is None else f"at least {_number(low)}{unit}"
    if low is None:
        return f"at most {_number(high)}{unit}"
    return f"{_number(low)} to {_number(high)}{unit}"


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def echo(value: object) -> str:
    """What was sent, a text as it is and the rest as JSON, short and clean: no NUL, no unpaired surrogate."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")
    return text if len(text) <= MAX_ECHO_CHARS else f"{text[:MAX_ECHO_CHARS]}... ({len(text)} characters)"


_REQUEST_OF_KIND: dict[str, type[BaseModel]] = {"text": TextRequest, "image": ImageRequest}
_SOURCES = ("body", "payload", "query", "header", "path")


def invalid_request(error: ValidationError, allowed: Mapping[str, str] | None = None) -> AppError:
    """The 422 that names every wrong field, its value and what is allowed.

    Args:
        error: what pydantic found.
        allowed: field name to the whole allowed range in words, as `allowed_of` gives it; may be left out
            when the error comes from the contract's union of requests.
    """
    found: list[dict[str, Any]] = [dict(entry) for entry in error.errors(include_url=False)[:MAX_PROBLEMS]]
    return invalid_fields([_problem_of(entry, allowed or _allowed_by_kind(entry["loc"])) for entry in found])


def _allowed_by_kind(location: tuple[int | str, ...]) -> dict[str, str]:
    models = [model for kind, model in _REQUEST_OF_KIND.items() if kind in location]
    return allowed_of(models[0]) if models else {}


def problem(field: str, code: str, message: str, value: object, allowed: str) -> dict[str, Any]:
    """What is wrong with one field, as every answer says it; the value short and clean."""
    return {"field": field, "code": code, "message": message, "value": echo(value), "allowed": allowed}


def invalid_fields(problems: list[dict[str, Any]]) -> AppError:
    """The 422 for problems that are known already."""
    summary = "; ".join(f"{one['field']}: {one['message']}" for one in problems)
    return AppError("invalid_request", 422, summary, problems=problems)


def _problem_of(found: dict[str, Any], allowed: Mapping[str, str]) -> dict[str, Any]:
    path = [str(part) for part in found["loc"]]
    while path and path[0] in (*_REQUEST_OF_KIND, *_SOURCES):
        path = path[1:]
    code, value, message = found["type"], found["input"], found["msg"].removeprefix("Value error, ")
    if code == "literal_error" and path[-1:] == ["[key]"]:  # there is no such key, and it is the field's own name
        path = path[:-1]
    context = found.get("ctx", {})
    words = allowed.get(".".join(path)) or allowed.get(path[0] if path else "", "")
    if code.startswith("union_tag"):
        path, value = ["kind"], value.get("kind") if isinstance(value, dict) else value
        words, message = " or ".join(_REQUEST_OF_KIND), "say what to make"
    elif code == "extra_forbidden":
        code, message = "unknown_field", "there is no such field"
        words = f"one of {', '.join(allowed)}" if allowed else "only the fields of the description"
    elif code == "model_attributes_type":
        words, message = "one JSON object", "this is no JSON object"
    elif code == "missing":
        value, message = "", "this is needed"
    elif not words:
        words = ", ".join(text.format(context[name]) for name, text in _LIMIT_WORDS.items() if name in context)
    return problem(echo(".".join(path)) or "body", code, message, value, words)


_LIMIT_WORDS = {
    "ge": "at least {}",
    "gt": "more than {}",
    "le": "at most {}",
    "lt": "less than {}",
    "min_length": "at least {} characters",
    "max_length": "at most {} characters",
    "expected": "one of {}",
}
