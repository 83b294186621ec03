"""Everything about one job at one moment: the body of the REST resource, and what a watcher gets who lost the log."""

from datetime import datetime
from typing import Any, Literal, cast
from uuid import UUID

import redis
from django.conf import settings
from django.urls import reverse
from pydantic import BaseModel, Field

from genworkers.contract.energy import EnergySource
from webapp.accounts.models import User
from webapp.jobs import eventlog, selectors
from webapp.jobs.models import Job
from webapp.safety import selectors as safety
from webapp.safety.models import Decision


class JobError(BaseModel):
    """Why a job ended badly."""

    code: str
    message: str


class Review(BaseModel):
    """What a reviewer decided about one result of the job: told to whoever asked for it alone."""

    artifact: UUID
    status: Literal["released", "rejected"]
    reason: str = Field(description="what the reviewer wrote about it")
    may_appeal: bool = Field(description="that person may still answer: POST /artifacts/{artifact}/appeal")
    appeal: Literal["none", "open", "upheld", "overturned"]
    answer: str = Field(description="what was said to the appeal")


class JobEnergy(BaseModel):
    """What a job has cost, over all attempts."""

    joules: float
    source: EnergySource = Field(description="counters of the processors (rapl) or of the GPU (nvml), or an estimate")


class JobUrls(BaseModel):
    """Where the parts of a job are."""

    self: str
    cancel: str
    events: str
    artifacts: str
    page: str


class JobSnapshot(BaseModel):
    """A job as the outside sees it."""

    id: UUID
    kind: str
    status: str
    workspace: str
    prompt: str
    request: dict[str, Any]
    attempt: int = Field(description="how often a worker has started this job")
    progress: dict[str, int] | None = Field(description="the last step or token count that was reported")
    last_seq: int = Field(description="the number of the last event; ask for events after it to go on")
    position: int = Field(description="place in the queue; 1 is next, 0 is running or ended")
    eta_s: float | None = Field(description="measured seconds to the end; null when nothing was measured yet")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: JobError | None
    energy: JobEnergy | None = Field(description="null before a worker has worked on it")
    artifacts: list[UUID]
    note: str = Field(description="words of support to show; mostly empty, and always but for the person who asked")
    reviews: list[Review] = Field(
        description="what was decided about its held results; empty but for the person who asked"
    )
    urls: JobUrls


def snapshot(job: Job, viewer: User | None) -> JobSnapshot:
    """Read the job's row, queue place and last progress; a log that is away leaves only the progress unknown.

    Args:
        viewer: who reads it: the note and the reviews are the author's alone.
    """
    is_author = viewer is not None and viewer.id == job.created_by_id
    queue = selectors.queue_state(job)
    try:
        last_seq, progress = eventlog.head(job.id)
    except redis.RedisError:
        last_seq, progress = 0, None
    api = f"{settings.BASE_URL}/api/v1/jobs/{job.id}"
    return JobSnapshot(
        id=job.id,
        kind=job.kind,
        status=job.status,
        workspace=job.workspace.slug,
        prompt=job.prompt,
        request=job.request,
        attempt=job.attempt,
        progress=progress,
        last_seq=last_seq,
        position=queue.position,
        eta_s=queue.eta_s,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        error=JobError(code=job.error_code, message=job.error_message) if job.error_code else None,
        energy=JobEnergy(joules=job.energy_j, source=cast(EnergySource, job.energy_source))
        if job.energy_source
        else None,
        artifacts=list(job.artifacts.order_by("index").values_list("id", flat=True)),
        note=safety.note_for(job.id) if is_author else "",
        reviews=[_review(notice) for notice in safety.notices_for(job.id)] if is_author else [],
        urls=JobUrls(
            self=api,
            cancel=f"{api}/cancel",
            events=f"{api}/events",
            artifacts=f"{settings.BASE_URL}/api/v1/artifacts?job={job.id}",
            page=settings.BASE_URL + reverse("job", args=[job.id]),
        ),
    )


def _review(notice: safety.Notice) -> Review:
    is_released = notice.status == Decision.Outcome.RELEASED
    state: Literal["none", "open", "upheld", "overturned"] = "none" if notice.appeal is None else "open"
    if notice.answer is not None:
        state = "overturned" if is_released else "upheld"
    return Review(
        artifact=notice.artifact_id,
        status="released" if is_released else "rejected",
        reason=notice.reason,
        may_appeal=notice.may_appeal,
        appeal=state,
        answer="" if notice.answer is None else notice.answer.reason,
    )
