"""Every error of /v1 in OpenAI's envelope: {"error": {"message", "type", "param", "code"}}.

`code` is ours (docs/ERRORS.md), except where programs look for OpenAI's own. A wrong value is a 400 here.
A job that ended badly is not to be tried again by the client: the workers have done so already.
"""

import json
from collections.abc import Mapping
from typing import Any

from django.http import HttpResponse
from pydantic import BaseModel, Field

from webapp.api.openai.translation import param
from webapp.api.problems import FieldProblem
from webapp.errors import AppError

# Our code to OpenAI's code and status.
OPENAI_ERRORS = {
    "adapter_unknown": ("model_not_found", 404),
    "net_not_loaded": ("model_not_found", 404),
    "net_unknown": ("model_not_found", 404),
    "prompt_blocked": ("content_filter", 400),
    "prompt_too_long": ("context_length_exceeded", 400),
    "unauthenticated": ("invalid_api_key", 401),
}
TYPE_OF_STATUS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
# A worker found these, and the request is to blame.
CALLERS_MISTAKES = frozenset(
    {"logit_bias_unknown", "no_token_allowed", "prompt_refused", "prompt_too_long", "schema_unsupported"}
)
FIELD_AS_SENT = {"net": "model", "start_image": "image"}
NO_RETRY = {"x-should-retry": "false"}


class ErrorBody(BaseModel):
    """What went wrong."""

    message: str = Field(description="what happened, and what to do next")
    type: str = Field(examples=["invalid_request_error"])
    param: str | None = Field(description="the first wrong field", examples=["messages[0].content"])
    code: str = Field(description="made for programs", examples=["invalid_request"])
    problems: list[FieldProblem] = Field(description="not in OpenAI's API: every wrong field with its allowed range")


class ErrorEnvelope(BaseModel):
    """The body of every error."""

    error: ErrorBody


def envelope(error: AppError) -> dict[str, Any]:
    """The body that tells this error."""
    code, status = _code_and_status(error)
    problems = [FieldProblem(**problem | {"field": _as_sent(problem["field"])}) for problem in error.problems]
    default_type = "server_error" if status >= 500 else "invalid_request_error"
    body = ErrorBody(
        message="; ".join(map(_words, problems)) or error.message,
        type=TYPE_OF_STATUS.get(status, default_type),
        param=problems[0].field if problems else None,
        code=code,
        problems=problems,
    )
    return ErrorEnvelope(error=body).model_dump()


def error_response(error: AppError, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """The answer that tells this error."""
    _, status = _code_and_status(error)
    body = json.dumps(envelope(error))  # ASCII: an echo of bad input can never break the encoding
    return HttpResponse(
        body, status=status, content_type="application/json", headers=dict(headers or {}) | error.headers
    )


def _code_and_status(error: AppError) -> tuple[str, int]:
    code, status = OPENAI_ERRORS.get(error.code, (error.code, error.http_status))
    if any(problem["code"] == "unsupported_parameter" for problem in error.problems):
        code = "unsupported_parameter"
    return code, 400 if status == 422 else status


def _as_sent(field: str) -> str:
    return param(FIELD_AS_SENT.get(field, field))


def _words(problem: FieldProblem) -> str:
    sent = f"you sent {problem.value}" if problem.value else ""
    allowed = f"allowed: {problem.allowed}" if problem.allowed else ""
    details = "; ".join(filter(None, (sent, allowed)))
    return f"{problem.field}: {problem.message}" + (f" ({details})" if details else "")


def failed(code: str, message: str) -> AppError:
    """A job that failed: 400 when the request is to blame, else 500."""
    if code == "prompt_too_long":
        message += " Or send is_truncatable: true to have its newest part read."
    return AppError(code, 400 if code in CALLERS_MISTAKES else 500, message, headers=NO_RETRY)


def cancelled() -> AppError:
    """A job that somebody stopped."""
    return AppError("job_cancelled", 409, "The job was cancelled before its end.", headers=NO_RETRY)


def expired() -> AppError:
    """A job that was not done in time."""
    message = "The job was not done before its deadline. Try again when the queue is shorter."
    return AppError("deadline_passed", 504, message, headers=NO_RETRY)


def diverged() -> AppError:
    """A stream whose job was started again and then wrote other words than those already sent."""
    message = (
        "The job was started again by another worker and now writes something else. Its result is kept; ask for it."
    )
    return AppError("job_diverged", 500, message, headers=NO_RETRY)
