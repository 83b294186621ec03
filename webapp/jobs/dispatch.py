"""The only place that speaks to the broker: hand a queued job to a worker's queue, after commit; or a question."""

from collections.abc import Iterable
from uuid import UUID

import structlog
from django.db import transaction
from django.utils import timezone
from kombu import Queue
from kombu.exceptions import OperationalError

from genworkers.contract.base import Kind
from genworkers.contract.names import CHECK_QUEUE, CHECK_TASK, GENERATE_TASK_OF_KIND, QUEUE_OF_KIND
from webapp.celery import app
from webapp.jobs.line import line_of
from webapp.jobs.models import Job

log = structlog.get_logger(__name__)


def after_commit(kind: str) -> None:
    """Send what is due once the rows are visible to workers; a broker that is down leaves it in the outbox."""
    transaction.on_commit(lambda: send_due(kind), robust=True)


def send_due(kind: str) -> int:
    """Send the jobs whose turn it is: a new one, or one that another of its user's jobs has made room for."""
    return send(line_of(kind).due)


def has_messages(kind: Kind) -> bool:
    """Whether the broker holds undelivered tasks of a kind.

    Raises:
        OperationalError: the broker is down.
    """
    with app.connection_for_read() as connection:
        queue = Queue(QUEUE_OF_KIND[kind], channel=connection.default_channel)
        num_messages: int = queue.queue_declare().message_count  # type: ignore[union-attr]  # the stubs say str
    return num_messages > 0


def send(jobs: Iterable[Job]) -> int:
    """Send each job's task and take it out of the outbox, unless somebody else has just done it.

    Returns:
        How many went out; stops at the first refusal, because the broker is down for all.
    """
    num_sent = 0
    for job in jobs:
        seen = Job.objects.filter(id=job.id, status=Job.Status.QUEUED, dispatched_at=job.dispatched_at)
        sent_at = timezone.now()
        if not seen.update(dispatched_at=sent_at):
            continue
        try:
            app.send_task(
                GENERATE_TASK_OF_KIND[job.kind],
                args=[str(job.id)],
                task_id=str(job.id),
                queue=QUEUE_OF_KIND[job.kind],
                retry=False,
            )
        except OperationalError as error:
            log.warning("broker_unreachable", job_id=str(job.id), error=str(error))
            Job.objects.filter(id=job.id, dispatched_at=sent_at).update(dispatched_at=job.dispatched_at)
            break
        num_sent += 1
    return num_sent


def send_question(question_id: UUID) -> None:
    """Tell the check worker that somebody asks; the question itself is in `questions.py`.

    Raises:
        OperationalError: the broker is down.
    """
    app.send_task(CHECK_TASK, args=[str(question_id)], queue=CHECK_QUEUE, retry=False)
