"""Bounds what a request may send before Django writes it to disk: of files it takes any number of bytes."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from asgiref.sync import iscoroutinefunction
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest
from django.utils.decorators import sync_and_async_middleware

MAX_REQUEST_BYTES = 45_000_000  # the largest form: two pictures and a megabyte of words
TOO_LARGE = "tessera.is_body_too_large"

Receive: TypeAlias = Callable[[], Awaitable[Mapping[str, Any]]]
Send: TypeAlias = Callable[[Mapping[str, Any]], Awaitable[None]]
Application: TypeAlias = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]


def bounded(application: Application) -> Application:
    """The application, which sees an empty body and TOO_LARGE in its scope where more was sent or announced."""

    async def bounded_application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        num_announced = int(dict(scope["headers"]).get(b"content-length", 0))
        num_received = 0

        async def bounded_receive() -> Mapping[str, Any]:
            nonlocal num_received
            if TOO_LARGE in scope:  # the rest is dropped, until the client leaves
                while (event := await receive())["type"] == "http.request":
                    pass
                return event
            if num_announced <= MAX_REQUEST_BYTES:
                event = await receive()
                num_received += len(event.get("body", b""))
                if num_received <= MAX_REQUEST_BYTES:
                    return event
            scope[TOO_LARGE] = True
            return {"type": "http.request", "body": b"", "more_body": False}

        await application(scope, bounded_receive, send)

    return bounded_application


@sync_and_async_middleware
def body_limit_middleware(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Refuses a request whose body was too large for `bounded`, before anybody reads its form; it takes no thread."""
    if not iscoroutinefunction(get_response):

        def middleware(request: HttpRequest) -> Any:
            _refuse_too_large(request)
            return get_response(request)

        return middleware

    async def async_middleware(request: HttpRequest) -> Any:
        _refuse_too_large(request)
        return await get_response(request)

    return async_middleware


def _refuse_too_large(request: HttpRequest) -> None:
    if TOO_LARGE in getattr(request, "scope", {}):  # answered by `bad_request` and, to API calls, by `ApiMiddleware`
        raise RequestDataTooBig(f"a request may have {MAX_REQUEST_BYTES:,} bytes")
