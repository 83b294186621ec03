"""Every error of the API in one shape: RFC 9457 problem+json. Codes are listed in docs/ERRORS.md."""

import json

from django.http import HttpResponse
from pydantic import BaseModel, Field

from webapp.errors import AppError

MEDIA_TYPE = "application/problem+json"


class FieldProblem(BaseModel):
    """One wrong field."""

    field: str = Field(examples=["max_tokens"])
    code: str = Field(examples=["less_than_equal"])
    message: str = Field(examples=["Input should be less than or equal to 1024"])
    value: str = Field(description="what was sent, shortened: a text as it is, the rest as JSON", examples=["5000"])
    allowed: str = Field(description="the whole allowed range", examples=["1 to 1024 tokens"])


class Problem(BaseModel):
    """What went wrong and what to do next (RFC 9457)."""

    type: str = Field(description="names the kind of problem", examples=["urn:tessera:problem:invalid_request"])
    title: str = Field(examples=["Invalid request"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["max_tokens: Input should be less than or equal to 1024"])
    code: str = Field(description="never renamed; made for programs", examples=["invalid_request"])
    problems: list[FieldProblem] = Field(description="one entry per wrong field; empty for other errors")


def problem_response(error: AppError) -> HttpResponse:
    """The answer that tells this error."""
    problem = Problem(
        type=f"urn:tessera:problem:{error.code}",
        title=error.code.replace("_", " ").capitalize(),
        status=error.http_status,
        detail=error.message,
        code=error.code,
        problems=[FieldProblem(**entry) for entry in error.problems],
    )
    body = json.dumps(problem.model_dump())  # ASCII: an echo of bad input can never break the encoding
    return HttpResponse(body, status=error.http_status, content_type=MEDIA_TYPE, headers=error.headers)
