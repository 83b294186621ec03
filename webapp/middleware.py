"""Turns an AppError raised by a view into a page, or into a fragment for an htmx request; forbids foreign content."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.deprecation import MiddlewareMixin

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
