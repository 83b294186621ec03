"""Fairness between users: a hundred jobs of one leave room for the first of another, and none is forgotten."""

from typing import Any

import pytest
from pytest_django import Settings

from genworkers.contract.text import TextRequest
from tests.factories import JobFactory, MembershipFactory
from webapp.jobs import dispatch, selectors, services, tasks
from webapp.jobs.line import line_of
from webapp.jobs.models import Job
from webapp.workspaces.models import Membership

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def slots(settings: Settings) -> None:
    settings.ENGINE_SLOTS = {"text": 8, "image": 8}


def submit(membership: Membership) -> Job:
    request = TextRequest(prompt="a boat", seed=1)
    return services.submit(user=membership.user, workspace=membership.workspace, request=request)


def sent() -> list[Job]:
    return list(Job.objects.filter(status=Job.Status.QUEUED, dispatched_at__isnull=False).order_by("created_at"))


def run_one(job: Job) -> None:
    """What a worker does with a job, as far as the queue is concerned."""
    claim = services.claim(job.id, worker="w")
    assert claim is not None
    assert services.complete(claim, [])


def test_a_hundred_jobs_of_one_user_leave_room_for_another_who_starts_at_once(redis_client: Any) -> None:
    ada, ben = MembershipFactory.create_batch(2)
    for _ in range(100):
        submit(ada)
    assert len(sent()) == 4  # half of the places; the rest wait in the outbox
    for job in sent():
        assert services.claim(job.id, worker="w")
    redis_client.delete("text")
    job = submit(ben)
    job.refresh_from_db()
    assert job.dispatched_at is not None
    assert redis_client.llen("text") == 1
    assert selectors.queue_state(job).position == 1


def test_every_end_lets_the_next_job_of_that_user_go_until_none_is_left() -> None:
    ada = MembershipFactory.create()
    jobs = [submit(ada) for _ in range(12)]
    for num_ended in range(12):
        assert len(sent()) == min(4, 12 - num_ended)
        run_one(sent()[0])
    assert [job.status for job in Job.objects.all()] == [Job.Status.SUCCEEDED] * len(jobs)


def test_a_user_who_comes_takes_from_the_share_of_the_others() -> None:
    ada, ben = MembershipFactory.create_batch(2)
    for member in (ada, ben):
        for _ in range(6):
            submit(member)
    assert [sum(job.created_by_id == member.user_id for job in sent()) for member in (ada, ben)] == [4, 2]
    run_one(next(job for job in sent() if job.created_by_id == ada.user_id))
    assert [sum(job.created_by_id == member.user_id for job in sent()) for member in (ada, ben)] == [3, 2]


def test_a_cancelled_job_makes_room_too() -> None:
    ada = MembershipFactory.create()
    jobs = [submit(ada) for _ in range(5)]
    services.cancel(jobs[0])
    assert [job.id for job in sent()] == [job.id for job in jobs[1:]]


def test_a_crash_between_an_end_and_the_next_dispatch_is_healed_by_the_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    ada = MembershipFactory.create()
    for _ in range(6):
        submit(ada)
    with monkeypatch.context() as crashed:
        crashed.setattr(dispatch, "send_due", lambda kind: 0)
        run_one(sent()[0])
    assert len(sent()) == 3
    tasks.sweep_outbox()
    assert len(sent()) == 4


def test_places_in_the_queue_go_round_between_users_and_the_time_counts_the_share() -> None:
    ada, ben = MembershipFactory.create_batch(2)
    first = [JobFactory.create(created_by=ada.user, workspace=ada.workspace, dispatched_at=None) for _ in range(6)]
    last = JobFactory.create(created_by=ben.user, workspace=ben.workspace, dispatched_at=None)
    places = line_of("text").places
    assert [places[job.id].position for job in first] == [1, 3, 4, 5, 6, 7]
    assert places[last.id].position == 2
    assert places[first[5].id].num_rounds == 2.5  # two may run at once
    assert [state.position for state in selectors.queue_states([*first, last])] == [1, 3, 4, 5, 6, 7, 2]


def test_two_who_send_at_once_send_one_message(redis_client: Any) -> None:
    JobFactory.create(dispatched_at=None)
    due = line_of("text").due
    assert (dispatch.send(due), dispatch.send(due)) == (1, 0)
    assert redis_client.llen("text") == 1
