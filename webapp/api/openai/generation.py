"""From a checked call to its answer: submit the job, then wait for its end or pass it on as server-sent events.

How a job's ending is told: see `transcript.py` and `envelope.py`. A rule that refuses the prompt is a 400 with code
content_filter; one that withholds the result is an answer whose finish_reason is content_filter, with the reason in
`refusal`. Errors found within EARLY_S have a status of their own, also for streams; later ones are told in the stream.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import redis
import structlog
from asgiref.sync import sync_to_async
from django.db import OperationalError
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from webapp.api import idempotency
from webapp.api.application import away
from webapp.api.auth import Caller
from webapp.api.idempotency import Answer
from webapp.api.openai.answers import Form, WholeText
from webapp.api.openai.envelope import envelope, error_response
from webapp.api.openai.model_list import fingerprint
from webapp.api.openai.transcript import Delta, Transcript, cancel_job
from webapp.api.openai.translation import Call
from webapp.errors import AppError

EARLY_S = 5.0
MAX_IGNORED_CHARS = 500
KEEP_ALIVE = ": the job goes on\n\n"

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Head:
    """What all parts of one answer have in common."""

    call: Call
    form: Form
    job: dict[str, Any]

    def body(self, object_name: str) -> dict[str, Any]:
        return {
            "id": self.form.id_prefix + self.job["id"],
            "object": object_name,
            "created": int(datetime.fromisoformat(self.job["created_at"]).timestamp()),
            "model": self.call.model,
            "system_fingerprint": fingerprint(self.call.request.net, self.call.request.adapter),
        }


async def answer_to(caller: Caller, call: Call, form: Form, *, key: str | None) -> HttpResponseBase:
    """The whole answer, or a stream of it.

    Args:
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
    head = _Head(call, form, job)
    transcript = Transcript(UUID(job["id"]), call.request.num_texts, is_kept=key is not None)
    try:
        if (job["error"] or {}).get("code") == "prompt_blocked":
            raise AppError("prompt_blocked", 400, job["error"]["message"])
        if not call.is_stream:
            return await _whole(head, transcript, headers)
        return await _stream(head, transcript, headers)
    except AppError as error:
        return error_response(error, headers)


async def _submitted(caller: Caller, call: Call, key: str | None) -> Answer:
    """The job, or none at all: a client that leaves while it is being written down leaves nothing behind."""
    submitting = asyncio.ensure_future(sync_to_async(_submit)(caller, call, key))
    try:
        return await asyncio.shield(submitting)
    except asyncio.CancelledError:
        left_behind = await submitting
        if key is None:
            await sync_to_async(cancel_job)(UUID(left_behind.body["id"]))
        raise


def _submit(caller: Caller, call: Call, key: str | None) -> Answer:
    return idempotency.submit(caller, caller.workspace(None), call.request, key=key, wait_s=0)


def ignored_header(names: tuple[str, ...]) -> dict[str, str]:
    """The header that names the fields without effect; none when there are none."""
    plain = ", ".join(name.encode("ascii", "backslashreplace").decode() for name in names)
    printable = "".join(char for char in plain if char.isprintable())
    return {"X-Tessera-Ignored": printable[:MAX_IGNORED_CHARS]} if names else {}


async def _whole(head: _Head, transcript: Transcript, headers: Mapping[str, str]) -> HttpResponse:
    wholes = [WholeText(index) for index in range(transcript.num_texts)]
    async with aclosing(transcript.deltas()) as deltas:
        async for delta in deltas:
            if delta is not None:
                wholes[delta.index].add(delta)
    has_logprobs = head.call.request.num_logprobs is not None
    body = head.body(head.form.object) | {
        "choices": [head.form.choice(whole, has_logprobs=has_logprobs) for whole in wholes],
        "usage": _usage(transcript),
    }
    return HttpResponse(json.dumps(body), content_type="application/json", headers=headers)


async def _stream(head: _Head, transcript: Transcript, headers: Mapping[str, str]) -> StreamingHttpResponse:
    deltas = transcript.deltas()
    began = time.monotonic()
    first = None
    async for first in deltas:
        if first is not None or time.monotonic() - began > EARLY_S:
            break
    return StreamingHttpResponse(
        _events(head, transcript, first, deltas),
        content_type="text/event-stream",
        headers={"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no", **headers},
    )


async def _events(
    head: _Head, transcript: Transcript, first: Delta | None, deltas: AsyncGenerator[Delta | None, None]
) -> AsyncIterator[str]:
    common = head.body(head.form.chunk_object)
    usage: dict[str, Any] = {"usage": None} if head.call.has_usage_chunk else {}

    def chunk(choice: dict[str, Any]) -> str:
        return _sse(common | {"choices": [choice]} | usage)

    async with aclosing(deltas):
        for index in range(transcript.num_texts):
            opening = head.form.opening(index)
            if opening is not None:
                yield chunk(opening)
        if first is not None:
            yield chunk(head.form.piece(first))
        try:
            async for delta in deltas:
                yield KEEP_ALIVE if delta is None else chunk(head.form.piece(delta))
        except AppError as error:
            yield _sse(envelope(error))
            return
        except (redis.RedisError, OperationalError) as error:
            log.warning("stream_broke_off", job_id=head.job["id"], error=str(error))
            yield _sse(envelope(away()))
            return
        if head.call.has_usage_chunk:
            yield _sse(common | {"choices": [], "usage": _usage(transcript)})
        yield "data: [DONE]\n\n"


def _sse(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body)}\n\n"


def _usage(transcript: Transcript) -> dict[str, int]:
    prompt, completion = transcript.num_prompt_tokens, transcript.num_completion_tokens
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
