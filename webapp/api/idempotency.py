"""Submitting a job once, however often the request is sent.

The record, the job and the first answer are written in one transaction, so a request that is refused leaves the
key free, and two requests at once cannot both submit.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from genworkers.contract.image import ImageRequest
from genworkers.contract.text import TextRequest
from webapp.accounts.models import User
from webapp.api.auth import Caller
from webapp.api.models import IdempotencyRecord
from webapp.errors import AppError
from webapp.jobs import services as jobs_services
from webapp.jobs.models import Job
from webapp.jobs.snapshot import snapshot
from webapp.workspaces.models import Workspace

KEEP = timedelta(hours=24)
GRACE = timedelta(seconds=5)


@dataclass(frozen=True)
class Answer:
    """What goes back: the job's snapshot as JSON, and whether it is the first answer again."""

    http_status: int
    body: dict[str, Any]
    is_replay: bool = False


def submit(
    caller: Caller,
    workspace: Workspace,
    request: TextRequest | ImageRequest,
    *,
    key: str | None,
    wait_s: int,
) -> Answer:
    """Submit a job, or find the answer that its Idempotency-Key got before.

    Args:
        key: the caller's own name for this request; None submits in any case.
        wait_s: how long the caller will wait for the end; the same key is answered 409 until then.

    Raises:
        AppError: idempotency_key_reused, idempotency_key_busy, and whatever jobs.services.submit raises.
    """
    if key is None:
        return Answer(202, snapshot_body(_submit_job(caller, workspace, request), caller.user))
    now = timezone.now()
    IdempotencyRecord.objects.filter(created_at__lt=now - KEEP).delete()
    record = IdempotencyRecord(
        user=caller.user,
        workspace=workspace,
        key=key,
        request_sha256=hashlib.sha256(request.model_dump_json().encode()).hexdigest(),
        busy_until=now + timedelta(seconds=wait_s) + GRACE if wait_s else None,
        created_at=now,
    )
    known = _record_of(record)
    if known is not None:
        return _again(known, record, now)
    try:
        with transaction.atomic():
            record.save(force_insert=True)
            record.job = _submit_job(caller, workspace, request)
            record.body = snapshot_body(record.job, caller.user)
            record.save()
    except IntegrityError:
        known = _record_of(record)
        if known is None:
            raise
        return _again(known, record, now)
    return Answer(record.http_status, record.body)


def settle(caller: Caller, workspace: Workspace, key: str, answer: Answer) -> None:
    """Remember what the first request was told in the end, after its wait."""
    IdempotencyRecord.objects.filter(user=caller.user, workspace=workspace, key=key).update(
        http_status=answer.http_status, body=answer.body, busy_until=None
    )


def snapshot_body(job: Job, viewer: User) -> dict[str, Any]:
    """The job's snapshot as JSON."""
    return snapshot(job, viewer).model_dump(mode="json")


def _submit_job(caller: Caller, workspace: Workspace, request: TextRequest | ImageRequest) -> Job:
    return jobs_services.submit(user=caller.user, workspace=workspace, request=request, api_key=caller.key)


def _record_of(draft: IdempotencyRecord) -> IdempotencyRecord | None:
    return IdempotencyRecord.objects.filter(user=draft.user, workspace=draft.workspace, key=draft.key).first()


def _again(known: IdempotencyRecord, asked: IdempotencyRecord, now: datetime) -> Answer:
    if known.request_sha256 != asked.request_sha256:
        message = "This Idempotency-Key was used with another body within the last 24 hours. Choose a new key."
        raise AppError("idempotency_key_reused", 422, message)
    if known.busy_until is not None and known.busy_until > now:
        url = known.body["urls"]["self"]
        message = f"The first request with this Idempotency-Key is still waiting for its job: {url}"
        raise AppError("idempotency_key_busy", 409, message, headers={"Location": url, "Retry-After": "1"})
    return Answer(known.http_status, known.body, is_replay=True)
