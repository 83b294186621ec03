"""Reads about jobs: who may watch, what waits, how long it will take."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from uuid import UUID

from django.db.models import Avg, DurationField, ExpressionWrapper, F, QuerySet
from django.utils import timezone

from genworkers.contract.base import Kind
from webapp.accounts.models import User
from webapp.jobs.line import Line, line_of
from webapp.jobs.models import Job
from webapp.workspaces.models import Workspace

RECENT_JOBS = 20
# A worker that takes a message claims its job at once; what was sent longer ago and is in no queue is lost.
CLAIM_TAKES_AT_MOST = timedelta(seconds=10)


@dataclass(frozen=True)
class QueueState:
    """Place in the queue (1 is next, 0 is running or ended) and measured seconds to the end, if known."""

    position: int
    eta_s: float | None


def job_for_watcher(user: User, job_id: UUID) -> Job | None:
    """The job, if this person is a member of its workspace."""
    return (
        Job.objects.filter(id=job_id, workspace__memberships__user=user)
        .select_related("workspace", "created_by")
        .first()
    )


def jobs_of(workspace: Workspace) -> QuerySet[Job]:
    """All jobs of a workspace but the drafts, newest first."""
    return Job.objects.filter(workspace=workspace, is_draft=False).select_related("created_by", "workspace")


def open_jobs_of(workspace: Workspace) -> QuerySet[Job]:
    """What still waits or runs in a workspace, in the order of arrival."""
    return jobs_of(workspace).filter(status__in=Job.OPEN_STATUSES).order_by("created_at", "id")


def open_drafts_of(user: User, workspace: Workspace) -> QuerySet[Job]:
    """The drafts that this person waits for in a workspace."""
    return Job.objects.filter(workspace=workspace, created_by=user, is_draft=True, status__in=Job.OPEN_STATUSES)


def num_queued(kind: str, user: User | None = None) -> int:
    """How many jobs of a kind wait, over all workspaces; those of one user, if one is given."""
    queued = Job.objects.filter(kind=kind, status=Job.Status.QUEUED)
    return (queued if user is None else queued.filter(created_by=user)).count()


def queue_states(jobs: Sequence[Job]) -> list[QueueState]:
    """Where each job stands and when it should be done, from the run times of recent jobs of its kind."""
    line = cache(line_of)
    run_s = cache(_recent_run_s)
    return [_queue_state(job, line, run_s) for job in jobs]


def queue_state(job: Job) -> QueueState:
    """The same for one job."""
    return queue_states([job])[0]


def _queue_state(job: Job, line: Callable[[str], Line], recent_run_s: Callable[[str], float | None]) -> QueueState:
    if not job.is_open:
        return QueueState(0, None)
    place = line(job.kind).places.get(job.id) if job.status == Job.Status.QUEUED else None
    run_s = recent_run_s(job.kind)
    if place is not None:
        return QueueState(place.position, run_s and run_s * (1 + place.num_rounds))
    if run_s is None or job.started_at is None:
        return QueueState(0, None)
    return QueueState(0, max(0.0, run_s - (timezone.now() - job.started_at).total_seconds()))


def _recent_run_s(kind: str) -> float | None:
    succeeded = Job.objects.filter(kind=kind, status=Job.Status.SUCCEEDED, is_draft=False).order_by("-created_at")
    run_time = ExpressionWrapper(F("finished_at") - F("started_at"), output_field=DurationField())
    mean = succeeded.annotate(run_time=run_time)[:RECENT_JOBS].aggregate(mean=Avg("run_time"))["mean"]
    return mean.total_seconds() if mean is not None else None


def unclaimed(kind: Kind) -> QuerySet[Job]:
    """Queued jobs of a kind that were sent and should have been claimed if their message still existed."""
    sent_before = timezone.now() - CLAIM_TAKES_AT_MOST
    return Job.objects.filter(status=Job.Status.QUEUED, kind=kind, dispatched_at__lt=sent_before).order_by("created_at")


def expired_leases() -> QuerySet[Job]:
    """Running jobs whose holder has been silent for longer than its lease."""
    return Job.objects.filter(status=Job.Status.RUNNING, lease_expires_at__lt=timezone.now())


def overdue() -> QuerySet[Job]:
    """Queued jobs whose deadline has passed."""
    return Job.objects.filter(status=Job.Status.QUEUED, deadline_at__lt=timezone.now())
