"""What the site repairs by itself: silent workers, lost messages, jobs that waited too long."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from tests.factories import JobFactory
from webapp.jobs import services, tasks
from webapp.jobs.models import Job

pytestmark = pytest.mark.django_db(transaction=True)
LONG_AGO = timedelta(minutes=1)


def test_a_job_of_a_silent_worker_is_sent_again(redis_client: Any) -> None:
    job = JobFactory.create(status="running", lease_expires_at=timezone.now() - LONG_AGO)
    alive = JobFactory.create(status="running")
    tasks.reap()
    job.refresh_from_db()
    alive.refresh_from_db()
    assert (job.status, job.fence, job.lease_expires_at) == (Job.Status.QUEUED, 2, None)
    assert alive.status == Job.Status.RUNNING
    assert redis_client.llen("text") == 1


def test_a_job_that_waited_past_its_deadline_expires() -> None:
    job = JobFactory.create(deadline_at=timezone.now() - LONG_AGO)
    tasks.reap()
    job.refresh_from_db()
    assert (job.status, job.error_code) == (Job.Status.EXPIRED, "deadline_passed")


def test_a_job_whose_message_was_lost_is_sent_again(redis_client: Any) -> None:
    JobFactory.create(dispatched_at=timezone.now() - LONG_AGO)
    tasks.sweep_outbox()
    assert redis_client.llen("text") == 1


def test_a_job_whose_message_still_waits_is_not_sent_twice(redis_client: Any) -> None:
    JobFactory.create(dispatched_at=None)
    tasks.sweep_outbox()
    Job.objects.update(dispatched_at=timezone.now() - LONG_AGO)
    tasks.sweep_outbox()
    assert redis_client.llen("text") == 1


def test_a_job_that_was_just_sent_is_left_to_its_worker(redis_client: Any) -> None:
    JobFactory.create()
    tasks.sweep_outbox()
    assert redis_client.llen("text") == 0


def test_old_drafts_are_forgotten_and_nothing_else() -> None:
    long_ago = timezone.now() - services.KEEP_DRAFTS - LONG_AGO
    JobFactory.create(kind="image", is_draft=True, status="succeeded", finished_at=long_ago)
    staying = [
        JobFactory.create(kind="image", is_draft=True, status="succeeded"),
        JobFactory.create(kind="image", is_draft=True),
        JobFactory.create(kind="image", status="succeeded", finished_at=long_ago),
    ]
    tasks.sweep_leftovers()
    assert set(Job.objects.all()) == set(staying)
