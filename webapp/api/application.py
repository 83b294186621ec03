"""The API as a whole: strict JSON in, problem+json for every error, and an OpenAPI description that says so.

The addresses are in `urls.py`; what each does, in the module of its noun.
"""

import json
from collections.abc import Callable
from typing import Any, NoReturn

import pydantic_core
import redis
import structlog
from django.core.exceptions import RequestDataTooBig
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.http.request import RawPostDataException
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationErrorContext
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation
from ninja.parser import Parser
from ninja.renderers import BaseRenderer

from genworkers.contract.names import MAX_BODY_BYTES
from webapp.api import auth
from webapp.api.problems import MEDIA_TYPE, Problem, problem_response
from webapp.errors import AppError, allowed_of, invalid_fields, invalid_request, problem

log = structlog.get_logger(__name__)

RETRY_AFTER_S = 5
MAX_DIGITS = 1000
PROBLEM_REF = "#/components/schemas/Problem"
WORDS_OF_STATUS = {
    401: "No valid API key, and no session.",
    403: "The key lacks the scope, or the role in the workspace does not allow this.",
    404: "It does not exist, or it is not the caller's.",
    409: "The state of things does not allow this now.",
    413: f"The body is larger than {MAX_BODY_BYTES} bytes.",
    422: "A value is wrong; `problems` names each field, what was sent, and what is allowed.",
    429: "Too much at once; `Retry-After` says when to try again.",
    503: "A part is not ready; `Retry-After` says when to try again.",
}


class StrictJson(Parser):
    """Reads a UTF-8 JSON body of a bounded size and with bounded numbers; `NaN` and `Infinity` are no JSON."""

    def parse_body(self, request: HttpRequest) -> Any:
        """The parsed body.

        Raises:
            AppError: body_too_large, body_not_json, invalid_request.
        """
        if len(request.body) > MAX_BODY_BYTES:
            raise body_too_large()
        return parsed(request.body)


def parsed(data: bytes) -> Any:
    """The JSON document in these bytes.

    Raises:
        AppError: body_not_json, invalid_request.
    """
    try:
        return json.loads(data.decode("utf-8"), parse_constant=_refuse_constant, parse_int=_bounded_int)
    except (ValueError, RecursionError) as error:
        raise body_not_json(str(error)) from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _bounded_int(digits: str) -> int:
    num_digits = len(digits.removeprefix("-"))
    if num_digits <= MAX_DIGITS:
        return int(digits)
    message, allowed = f"a number in it has {num_digits} digits", f"numbers of at most {MAX_DIGITS} digits"
    raise invalid_fields([problem("body", "number_too_long", message, digits, allowed)])


def body_not_json(reason: str) -> AppError:
    """The 400 for a body that cannot be read."""
    return AppError("body_not_json", 400, f"The body is not a JSON document in UTF-8: {reason}.")


def body_too_large(max_bytes: int = MAX_BODY_BYTES) -> AppError:
    """The 413 for a body over a limit: the contract's, unless told otherwise."""
    message = f"The body may have at most {max_bytes} bytes."
    return AppError("body_too_large", 413, message)


class Json(BaseRenderer):
    """Pydantic's own JSON: the same dates and ids as in the stored answers."""

    media_type = "application/json"

    def render(self, request: HttpRequest, data: Any, *, response_status: int) -> bytes:
        """The bytes of an answer."""
        return pydantic_core.to_json(data)


class StrictApi(NinjaAPI):
    """Ninja's API with strict JSON, and with every error told as an AppError in the shape that its caller expects."""

    def __init__(self, *, answer_to: Callable[[AppError], HttpResponse], **options: Any) -> None:
        super().__init__(parser=StrictJson(), renderer=Json(), **options)

        def unavailable(request: HttpRequest, error: object) -> HttpResponse:
            log.warning("api_unavailable", path=request.path, error=str(error))
            return answer_to(away())

        def app_error(request: HttpRequest, error: Any) -> HttpResponse:
            return answer_to(error)

        def http_error(request: HttpRequest, error: Any) -> HttpResponse:
            cause = error.__cause__
            return answer_to(cause if isinstance(cause, AppError) else body_not_json(error.message))

        self.add_exception_handler(AppError, app_error)
        self.add_exception_handler(AuthenticationError, lambda request, error: answer_to(_unauthenticated()))
        self.add_exception_handler(HttpError, http_error)
        self.add_exception_handler(RequestDataTooBig, lambda request, error: answer_to(body_too_large()))
        self.add_exception_handler(RawPostDataException, lambda request, error: answer_to(_not_json()))
        self.add_exception_handler(redis.RedisError, unavailable)
        self.add_exception_handler(OperationalError, unavailable)

    def validation_error_from_error_contexts(self, error_contexts: list[ValidationErrorContext[Any]]) -> NoReturn:
        """Every wrong field of path, query, headers and body at once.

        Raises:
            AppError: invalid_request.
        """
        problems: list[dict[str, Any]] = []
        for context in error_contexts:
            is_body = context.model.__ninja_param_source__ == "body"
            allowed = None if is_body else allowed_of(context.model)
            problems += invalid_request(context.pydantic_validation_error, allowed).problems
        raise invalid_fields(problems)

    def get_openapi_operation_id(self, operation: Operation) -> str:
        """The view's name: `create_job`."""
        return operation.view_func.__name__


class TesseraApi(StrictApi):
    """/api/v1: every error is problem+json, and the description lists those of each operation."""

    def __init__(self, **options: Any) -> None:
        super().__init__(answer_to=problem_response, **options)

    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        """Ninja's description, made valid, with the problems that each operation can answer."""
        schema = super().get_openapi_schema(**options)
        components = schema["components"]["schemas"]
        described = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        for name in ("TextRequest", "ImageRequest"):
            components[name]["required"].append("kind")  # it has a default, but says which of the two is meant
        components |= described.pop("$defs") | {"Problem": described}
        for methods in schema["paths"].values():
            for operation in methods.values():
                _describe(operation)
        return schema


def mend_parameters(operation: dict[str, Any]) -> None:
    """Make Ninja's description of an operation's parameters valid."""
    for parameter in operation.get("parameters", []):
        parameter.pop("examples", None)  # a list belongs into the schema, where it also is
        choices = [choice for choice in parameter["schema"].pop("anyOf", []) if choice != {"type": "null"}]
        parameter["schema"] |= choices[0] if choices else {}  # it may be left out, but not be null


def _describe(operation: dict[str, Any]) -> None:
    mend_parameters(operation)
    statuses = {401, 403, 404, 422, 503} | set(operation.pop("x-problems", []))
    if "requestBody" in operation:
        statuses |= {400, 409, 413, 429}
    for status in sorted(statuses):
        words = WORDS_OF_STATUS.get(status, "The body is not JSON.")
        content = {MEDIA_TYPE: {"schema": {"$ref": PROBLEM_REF}}}
        operation["responses"][status] = {"description": words, "content": content}


def away() -> AppError:
    """The 503 for a database or a Redis that does not answer."""
    message = "The database or the queue does not answer. Try again in a few seconds."
    return AppError("unavailable", 503, message, headers={"Retry-After": str(RETRY_AFTER_S)})


def _unauthenticated() -> AppError:
    return auth.unauthenticated("Send an API key in the header Authorization: Bearer, or sign in.")


def _not_json() -> AppError:
    return body_not_json("send it as application/json")
