"""Puts the API's version on its answers, and turns what Django itself refuses into the error that a caller expects."""

from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from webapp.api.openai.envelope import error_response
from webapp.api.problems import MEDIA_TYPE, problem_response
from webapp.errors import AppError

# Address to the media type of its errors and how they are told.
SHAPE_OF_PREFIX = {"/api/": (MEDIA_TYPE, problem_response), "/v1/": ("application/json", error_response)}
API_VERSION = "1.0"
VERSION_HEADER = "Tessera-Version"

NO_SUCH_ADDRESS = "There is no such address here. The addresses are listed at /api/v1/docs."

_PLAIN_ERRORS = {
    400: ("bad_request", "This request cannot be understood."),
    403: ("forbidden", "This is not allowed."),
    404: ("not_found", NO_SUCH_ADDRESS),
    405: ("method_not_allowed", "This address does not take this method; the Allow header lists those it takes."),
    413: ("body_too_large", "The body is larger than any request can be."),
    416: ("range_not_satisfiable", "The file ends before this range begins; Content-Range has its length."),
    500: ("internal_error", "Something broke here. It is logged; try again, and tell the operator if it stays."),
    503: ("unavailable", "The service is not ready. Try again in a few seconds."),
}


class ApiMiddleware:
    """Looks only at addresses under /api/ and /v1/; everything else passes untouched."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Django's hook, for both kinds of server."""
        response = self.get_response(request)
        if isinstance(response, HttpResponseBase):
            return _dressed(request, response)
        return self._later(request, response)

    async def _later(self, request: HttpRequest, response: Awaitable[HttpResponseBase]) -> HttpResponseBase:
        return _dressed(request, await response)


def _dressed(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    shape = next((shape for prefix, shape in SHAPE_OF_PREFIX.items() if request.path.startswith(prefix)), None)
    if shape is None:
        return response
    media_type, answer_to = shape
    if response.status_code >= 400 and response.get("Content-Type") != media_type:
        code, message = _PLAIN_ERRORS.get(response.status_code, _PLAIN_ERRORS[400])
        headers = {name: response[name] for name in ("Allow", "Content-Range", "Retry-After") if name in response}
        response = answer_to(AppError(code, response.status_code, message, headers=headers))
    response[VERSION_HEADER] = API_VERSION
    response.headers.setdefault("Cache-Control", "no-store")
    return response
