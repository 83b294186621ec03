"""Turns an AppError raised by a view into a page, or into a fragment for an htmx request."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.deprecation import MiddlewareMixin

from webapp.errors import AppError


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
