"""A user's mistake, said once: a code, where it stands, and what to do. Rendered by `middleware.py` and the API."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError


class AppError(Exception):
    """Something the caller must know: shown as a page, a fragment or problem+json (RFC 9457).

    Args:
        code: snake_case, listed in docs/ERRORS.md, never renamed.
        http_status: the status of the answer.
        message: what happened and what to do next, in plain words.
        problems: for bad input, one entry per field: field, code, message, value, allowed.
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


_LIMIT_WORDS = {
    "ge": "at least {}",
    "gt": "more than {}",
    "le": "at most {}",
    "lt": "less than {}",
    "min_length": "at least {} long",
    "max_length": "at most {} long",
    "expected": "one of {}",
    "expected_tags": "one of {}",
}
MAX_ECHO_CHARS = 100


def _echo(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    text = text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")
    return text if len(text) <= MAX_ECHO_CHARS else f"{text[:MAX_ECHO_CHARS]}... ({len(text)} characters)"


def invalid_request(error: ValidationError, allowed_of: Mapping[str, str] | None = None) -> AppError:
    """The 422 that names every wrong field, its value and what is allowed.

    Args:
        error: what pydantic found.
        allowed_of: field name to the whole allowed range in words, preferred over the one broken limit.
    """
    problems = []
    for found in error.errors(include_url=False):
        path = [str(part) for part in found["loc"] if part not in ("text", "image", "body", "payload")]
        field = ".".join(path) or "body"
        context = found.get("ctx", {})
        limits = [words.format(context[name]) for name, words in _LIMIT_WORDS.items() if name in context]
        problems.append(
            {
                "field": field,
                "code": "unknown_field" if found["type"] == "extra_forbidden" else found["type"],
                "message": found["msg"].removeprefix("Value error, "),
                "value": _echo(found["input"]),
                "allowed": (allowed_of or {}).get(field) or ", ".join(limits),
            }
        )
    summary = "; ".join(f"{problem['field']}: {problem['message']}" for problem in problems)
    return AppError("invalid_request", 422, summary, problems=problems)
