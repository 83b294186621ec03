"""What wraps every view: errors become pages or fragments, foreign content is forbidden, static files are served."""

from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.deprecation import MiddlewareMixin
from whitenoise.middleware import WhiteNoiseMiddleware

from webapp.errors import AppError

# No inline script or style, nothing from elsewhere; data: is for previews, which travel inside events.
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)


class ContentSecurityPolicyMiddleware(MiddlewareMixin):
    """Sends the policy with every answer that has none of its own."""

    sync_capable = True
    async_capable = True
    get_response: Callable[[HttpRequest], HttpResponse]

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Django's hook."""
        response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        return response


class AppErrorMiddleware(MiddlewareMixin):
    """Answers with `error.html`, or `_error.html` when htmx asked."""

    sync_capable = True
    async_capable = True
    get_response: Callable[[HttpRequest], HttpResponse]

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Django's hook; any other exception goes its usual way."""
        if not isinstance(exception, AppError):
            return None
        template = "_error.html" if getattr(request, "htmx", False) else "error.html"
        response = render(request, template, {"error": exception}, status=exception.http_status)
        for name, value in exception.headers.items():
            response[name] = value
        return response


class StaticFilesMiddleware(WhiteNoiseMiddleware):  # type: ignore[misc]  # whitenoise has no types
    """WhiteNoise among asynchronous neighbours.

    On its own it takes a thread for as long as a view waits, and a client that goes away while that thread starts
    is never noticed by the view.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]) -> None:
        super().__init__(get_response)
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Django's hook, for both kinds of server."""
        answer: HttpResponseBase | Awaitable[HttpResponseBase] = super().__call__(request)
        return _at_once(answer) if self._is_async and isinstance(answer, HttpResponseBase) else answer


async def _at_once(response: HttpResponseBase) -> HttpResponseBase:
    return response
