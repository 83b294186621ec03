"""/jobs: create, look, follow, cancel. What happens is decided in `webapp.jobs`; here it is only translated."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import redis
from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from ninja import Body, Header, Query, Router
from pydantic import BaseModel, Field

from genworkers.contract.base import Kind
from genworkers.contract.requests import GenerationRequest
from webapp.api import idempotency
from webapp.api.auth import GENERATE, READ, ApiRequest, Caller
from webapp.api.idempotency import Answer
from webapp.api.paging import Before, Limit, Slug, page_of
from webapp.errors import AppError, problem
from webapp.jobs import selectors
from webapp.jobs import services as jobs_services
from webapp.jobs.follow import follow
from webapp.jobs.models import Job
from webapp.jobs.snapshot import JobError, JobSnapshot, snapshot
from webapp.workspaces import selectors as workspaces

MAX_WAIT_S = 60
MAX_SEQ = 2**53

ANSWER_HEADERS = {
    "Location": {"description": "the job's address", "schema": {"type": "string"}},
    "Idempotency-Replayed": {"description": "true: no new job; the first answer again", "schema": {"type": "string"}},
    "Preference-Applied": {
        "description": "the wait that was granted; absent when there was none",
        "schema": {"type": "string"},
    },
}

router = Router(tags=["jobs"])


class JobItem(BaseModel):
    """A job in a list; the job's own address has the rest."""

    id: UUID
    kind: Kind
    status: Job.Status
    prompt: str
    created_by: str = Field(description="the name of the person")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: JobError | None
    url: str


class JobPage(BaseModel):
    """Jobs, newest first."""

    items: list[JobItem]
    next: str | None = Field(description="the address of the next page; null on the last")


IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="your own name for this request: sent again within 24 hours, it makes no second job and gets the "
        "first answer again, or with wait=N the end",
        examples=["3f1c7e9a-order-17"],
    ),
]
Prefer = Annotated[
    str | None,
    Header(alias="Prefer", description="wait=N waits up to N seconds, at most 60, for the end", examples=["wait=20"]),
]


@router.post(
    "/jobs",
    auth=GENERATE,
    response={202: JobSnapshot, 200: JobSnapshot},
    summary="Create a job",
    openapi_extra={
        "requestBody": {
            "content": {
                "application/json": {
                    "examples": {
                        "text": {"value": {"kind": "text", "prompt": "Write a story about a brave little boat."}},
                        "image": {"value": {"kind": "image", "prompt": "a red apple", "num_images": 2}},
                    }
                }
            }
        },
        "responses": {
            202: {"description": "The job waits or runs.", "headers": ANSWER_HEADERS},
            200: {"description": "The job ended within the wait that was asked for.", "headers": ANSWER_HEADERS},
        },
    },
)
async def create_job(
    request: ApiRequest,
    payload: Body[GenerationRequest],
    workspace: Slug = None,
    idempotency_key: IdempotencyKey = None,
    prefer: Prefer = None,
) -> HttpResponseBase:
    """Ask for a text or for pictures. The answer comes at once; follow `urls.events`, or ask `urls.self` again."""
    caller = request.auth
    wait_s = _wait_s(prefer)
    home = await sync_to_async(caller.workspace)(workspace)
    answer = await sync_to_async(idempotency.submit)(caller, home, payload, key=idempotency_key, wait_s=wait_s)
    is_waiting = wait_s > 0 and not (answer.is_replay and answer.body["finished_at"])
    if is_waiting:
        answer = await _wait(caller, answer, wait_s)
        if idempotency_key is not None:
            await sync_to_async(idempotency.settle)(caller, home, idempotency_key, answer)
    headers = {"Location": answer.body["urls"]["self"]}
    if answer.is_replay:
        headers["Idempotency-Replayed"] = "true"
    if is_waiting:
        headers["Preference-Applied"] = f"wait={wait_s}"
    return JsonResponse(answer.body, status=answer.http_status, headers=headers)


def _wait_s(prefer: str | None) -> int:
    """Seconds to wait; an unreadable preference is ignored (RFC 7240, section 2)."""
    found = re.search(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,9})", prefer or "", re.IGNORECASE | re.ASCII)
    return min(int(found[1]), MAX_WAIT_S) if found else 0


async def _wait(caller: Caller, answer: Answer, wait_s: int) -> Answer:
    job_id = UUID(answer.body["id"])
    try:
        async with asyncio.timeout(wait_s), aclosing(follow(job_id, 0)) as messages:
            async for _ in messages:
                pass
    except (TimeoutError, redis.RedisError):
        pass  # the row has the answer
    body = await sync_to_async(_fresh_body)(job_id, caller)
    return Answer(200 if body["finished_at"] else 202, body, answer.is_replay)


def _fresh_body(job_id: UUID, caller: Caller) -> dict[str, Any]:
    return idempotency.snapshot_body(Job.objects.select_related("workspace").get(id=job_id), caller.user)


@router.get("/jobs", auth=READ, response=JobPage, summary="List jobs")
def list_jobs(
    request: ApiRequest,
    status: Annotated[Job.Status | None, Query(description="only jobs in this state")] = None,
    kind: Annotated[Kind | None, Query(description="only jobs of this kind")] = None,
    workspace: Slug = None,
    before: Before = None,
    limit: Limit = 20,
) -> JobPage:
    """The jobs of a workspace, newest first."""
    rows = selectors.jobs_of(request.auth.workspace(workspace))
    if status is not None:
        rows = rows.filter(status=status)
    if kind is not None:
        rows = rows.filter(kind=kind)
    found, following = page_of(request, rows, before=before, limit=limit)
    return JobPage(items=[_item(job) for job in found], next=following)


def _item(job: Job) -> JobItem:
    return JobItem(
        id=job.id,
        kind="image" if job.kind == "image" else "text",
        status=Job.Status(job.status),
        prompt=job.prompt,
        created_by=job.created_by.username,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        error=JobError(code=job.error_code, message=job.error_message) if job.error_code else None,
        url=f"{settings.BASE_URL}/api/v1/jobs/{job.id}",
    )


@router.get("/jobs/{uuid:job_id}", auth=READ, response=JobSnapshot, summary="Get a job")
def get_job(request: ApiRequest, job_id: UUID) -> JobSnapshot:
    """The job at this moment: state, place in the queue, last progress, and what is already in the gallery."""
    return snapshot(request.auth.job(job_id), request.auth.user)


@router.post(
    "/jobs/{uuid:job_id}/cancel",
    auth=GENERATE,
    response={202: JobSnapshot},
    summary="Cancel a job",
    openapi_extra={"x-problems": [409], "responses": {202: {"description": "The job ends, or has been told to end."}}},
)
def cancel_job(request: ApiRequest, job_id: UUID) -> HttpResponseBase:
    """Stop a job: at once while it waits, between two steps while it runs."""
    caller = request.auth
    job = caller.job(job_id)
    _check_may_cancel(caller, job)
    if not jobs_services.cancel(job):
        job.refresh_from_db()
        message, allowed = "only a job that waits or runs can be cancelled", " or ".join(Job.OPEN_STATUSES)
        problems = [problem("status", "job_already_ended", message, job.status, allowed)]
        raise AppError("job_already_ended", 409, f"The job has already ended: {job.status}.", problems=problems)
    return JsonResponse(_fresh_body(job.id, caller), status=202)


def _check_may_cancel(caller: Caller, job: Job) -> None:
    if not workspaces.may_generate(caller.user, job.workspace_id):
        message = "Your role in this workspace may look, but not cancel. Ask an owner."
        raise AppError("forbidden", 403, message)


@router.get(
    "/jobs/{uuid:job_id}/events",
    auth=READ,
    summary="Follow a job",
    openapi_extra={
        "responses": {
            200: {
                "description": "Server-sent events until the job's final one. `id` is the event's number, `event` "
                "its kind, `data` the event as JSON. Also `heartbeat` (state, place in the queue, seconds left) "
                "and `offset_lost` (the log no longer reaches back so far: take the snapshot instead).",
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
            },
            204: {"description": "The job has ended and `Last-Event-ID` is its last event: do not connect again."},
        }
    },
)
async def follow_job(
    request: ApiRequest,
    job_id: UUID,
    after: Annotated[int, Query(ge=0, le=MAX_SEQ, description="send what follows this event")] = 0,
    last_event_id: Annotated[
        int | None, Header(alias="Last-Event-ID", ge=0, le=MAX_SEQ, description="like `after`, and stronger")
    ] = None,
) -> HttpResponseBase:
    """The numbered events of a job as they happen, and those before."""
    start = after if last_event_id is None else last_event_id
    job = await sync_to_async(request.auth.job)(job_id)
    user = request.auth.user
    if last_event_id and not job.is_open and (await sync_to_async(snapshot)(job, user)).last_seq == last_event_id:
        return HttpResponse(status=204)
    messages = follow(job_id, start, viewer=user)
    first = await anext(messages)  # a log that does not answer is a 503, not a stream that breaks off
    return StreamingHttpResponse(
        _as_sse(first, messages),
        content_type="text/event-stream",
        headers={"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"},
    )


async def _as_sse(first: dict[str, Any], others: AsyncGenerator[dict[str, Any], None]) -> AsyncIterator[str]:
    async with aclosing(others):
        yield _sse(first)
        async for message in others:
            yield _sse(message)


def _sse(message: dict[str, Any]) -> str:
    if message["type"] == "event":
        event = message["event"]
        return f"id: {message['seq']}\nevent: {event['kind']}\ndata: {json.dumps(event)}\n\n"
    if message["type"] == "heartbeat":
        state = {name: message[name] for name in ("status", "position", "eta_s")}
        return f"event: heartbeat\ndata: {json.dumps(state)}\n\n"
    return f"id: {message['seq']}\nevent: offset_lost\ndata: {json.dumps(message['snapshot'])}\n\n"
