"""From a checked call to its answer: submit the job, then wait for its end or pass it on as server-sent events.

What the answer says is the reply's: `text_reply.py` and `picture_reply.py`. A rule that refuses the prompt is a 400
with code content_filter. Errors found within EARLY_S have a status of their own, also for streams; later ones are
told in the stream.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Any, Protocol, TypeVar
from uuid import UUID

import redis
import structlog
from asgiref.sync import sync_to_async
from django.db import OperationalError
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from genworkers.contract.image import ImageRequest
from genworkers.contract.text import TextRequest
from webapp.api import idempotency
from webapp.api.application import away
from webapp.api.auth import Caller
from webapp.api.idempotency import Answer
from webapp.api.openai.envelope import envelope, error_response
from webapp.api.openai.listening import cancel_job
from webapp.errors import AppError

EARLY_S = 5.0
MAX_IGNORED_CHARS = 500
KEEP_ALIVE = ": the job goes on\n\n"

log = structlog.get_logger(__name__)
Piece = TypeVar("Piece")


class Asked(Protocol):
    """What every call says, of either kind."""

    @property
    def request(self) -> TextRequest | ImageRequest:
        """The checked request."""

    @property
    def is_stream(self) -> bool:
        """Whether the answer comes piece by piece."""

    @property
    def ignored(self) -> tuple[str, ...]:
        """Fields that were sent and have no effect."""


class Reply(Protocol[Piece]):
    """How one job is told: as one whole answer, or as the events of a stream."""

    def pieces(self) -> AsyncGenerator[Piece | None, None]:
        """Everything new, in order; None when nothing has happened. Raises AppError at a bad end."""

    def add(self, piece: Piece) -> None:
        """Put a piece to the whole answer."""

    def whole(self) -> dict[str, Any]:
        """The answer, once every piece was added."""

    def opening(self) -> list[str]:
        """What a stream says before the first piece."""

    def event(self, piece: Piece) -> str:
        """One piece as a stream tells it."""

    def closing(self) -> list[str]:
        """What a stream says after the last piece."""


async def answer_to(
    caller: Caller, call: Asked, reply_to: Callable[[dict[str, Any]], Reply[Any]], *, key: str | None
) -> HttpResponseBase:
    """The whole answer, or a stream of it.

    Args:
        reply_to: makes the reply from the job's snapshot as JSON.
        key: the caller's Idempotency-Key: sent again within a day, it finds the same job, also one that still runs;
            therefore a client that goes away does not cancel it.

    Raises:
        AppError: whatever `idempotency.submit` raises.
    """
    submitted = await _submitted(caller, call, key)
    job = submitted.body
    headers = {"X-Tessera-Job": job["id"], "x-request-id": job["id"], "Location": job["urls"]["self"]}
    headers |= ignored_header(call.ignored)
    if submitted.is_replay:
        headers["Idempotency-Replayed"] = "true"
    try:
        if (job["error"] or {}).get("code") == "prompt_blocked":
            raise AppError("prompt_blocked", 400, job["error"]["message"])
        reply = reply_to(job)
        if not call.is_stream:
            return await _whole(reply, headers)
        return await _stream(reply, headers, job["id"])
    except AppError as error:
        return error_response(error, headers)


async def _submitted(caller: Caller, call: Asked, key: str | None) -> Answer:
    """The job, or none at all: a client that leaves while it is being written down leaves nothing behind."""
    submitting = asyncio.ensure_future(sync_to_async(_submit)(caller, call, key))
    try:
        return await asyncio.shield(submitting)
    except asyncio.CancelledError:
        left_behind = await submitting
        if key is None:
            await sync_to_async(cancel_job)(UUID(left_behind.body["id"]))
        raise


def _submit(caller: Caller, call: Asked, key: str | None) -> Answer:
    return idempotency.submit(caller, caller.workspace(None), call.request, key=key, wait_s=0)


def ignored_header(names: tuple[str, ...]) -> dict[str, str]:
    """The header that names the fields without effect; none when there are none."""
    plain = ", ".join(name.encode("ascii", "backslashreplace").decode() for name in names)
    printable = "".join(char for char in plain if char.isprintable())
    return {"X-Tessera-Ignored": printable[:MAX_IGNORED_CHARS]} if names else {}


async def _whole(reply: Reply[Any], headers: Mapping[str, str]) -> HttpResponse:
    async with aclosing(reply.pieces()) as pieces:
        async for piece in pieces:
            if piece is not None:
                reply.add(piece)
    return HttpResponse(json.dumps(reply.whole()), content_type="application/json", headers=headers)


async def _stream(reply: Reply[Any], headers: Mapping[str, str], job_id: str) -> StreamingHttpResponse:
    pieces = reply.pieces()
    began = time.monotonic()
    first = None
    async for first in pieces:
        if first is not None or time.monotonic() - began > EARLY_S:
            break
    return StreamingHttpResponse(
        _events(reply, first, pieces, job_id),
        content_type="text/event-stream",
        headers={"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no", **headers},
    )


async def _events(
    reply: Reply[Piece], first: Piece | None, pieces: AsyncGenerator[Piece | None, None], job_id: str
) -> AsyncIterator[str]:
    async with aclosing(pieces):
        for opening in reply.opening():
            yield opening
        if first is not None:
            yield reply.event(first)
        try:
            async for piece in pieces:
                yield KEEP_ALIVE if piece is None else reply.event(piece)
        except AppError as error:
            yield sse(envelope(error))
            return
        except (redis.RedisError, OperationalError) as error:
            log.warning("stream_broke_off", job_id=job_id, error=str(error))
            yield sse(envelope(away()))
            return
        for closing in reply.closing():
            yield closing
        yield "data: [DONE]\n\n"


def sse(body: dict[str, Any], event: str = "") -> str:
    """One server-sent event."""
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {json.dumps(body)}\n\n"
