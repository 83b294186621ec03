"""What the site does by itself, run by beat's own small worker: no lease and no message is lost, no leftover stays."""

from celery import shared_task

from genworkers.contract.base import KINDS
from webapp.gallery import uploads
from webapp.jobs import dispatch, selectors, services


@shared_task(name="webapp.jobs.reap")
def reap() -> None:
    """Give jobs of silent workers to others, and end those that waited past their deadline."""
    for job in selectors.expired_leases():
        services.requeue(job, job.fence, error_code="worker_lost")
    for job in selectors.overdue():
        services.expire(job)


@shared_task(name="webapp.jobs.sweep_outbox")
def sweep_outbox() -> None:
    """Send what is due and was never sent, or whose message is lost: sent, not claimed, and in no queue."""
    for kind in KINDS:
        dispatch.send_due(kind)
        if not dispatch.has_messages(kind):
            dispatch.send(selectors.unclaimed(kind))


@shared_task(name="webapp.jobs.sweep_leftovers")
def sweep_leftovers() -> None:
    """Remove uploads after a week and ended drafts after a day."""
    uploads.sweep()
    services.remove_old_drafts()
