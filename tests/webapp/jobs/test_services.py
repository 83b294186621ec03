"""The life of a job row: who may submit, who wins a race, what a lost holder can no longer do."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from celery import Celery
from django.db import IntegrityError, connection
from django.utils import timezone
from pytest_django import Settings

from genworkers.contract.base import MAX_SEED
from genworkers.contract.events import JOB_EVENT
from genworkers.contract.text import TextRequest
from tests.factories import BlockedTermFactory, JobFactory, MembershipFactory
from webapp.errors import AppError
from webapp.jobs import dispatch, eventlog, selectors, services, tasks
from webapp.jobs.models import Job
from webapp.safety.models import Verdict
from webapp.workspaces.models import Membership

REQUEST = TextRequest(prompt="Write a story about a boat.")


def submit(membership: Membership, **fields: Any) -> Job:
    request = REQUEST.model_copy(update=fields)
    return services.submit(user=membership.user, workspace=membership.workspace, request=request)


def kinds_in_log(job: Job, redis_client: Any) -> list[str]:
    entries = redis_client.xrange(f"tessera:job:{job.id}:log")
    return [JOB_EVENT.validate_json(fields[b"event"]).kind for _, fields in entries]


@pytest.mark.django_db(transaction=True)
class TestSubmit:
    def test_a_submitted_job_is_queued_numbered_and_out_of_the_outbox(self, redis_client: Any) -> None:
        job = submit(MembershipFactory.create())
        job.refresh_from_db()
        assert job.status == Job.Status.QUEUED
        assert job.dispatched_at is not None
        assert redis_client.llen("text") == 1
        assert kinds_in_log(job, redis_client) == ["queued"]

    def test_a_seed_is_chosen_once_so_that_a_retry_repeats_the_job(self) -> None:
        job = submit(MembershipFactory.create())
        assert 0 <= job.request["seed"] < services.MAX_CHOSEN_SEED

    def test_the_seed_that_was_asked_for_is_kept(self) -> None:
        assert submit(MembershipFactory.create(), seed=MAX_SEED).request["seed"] == MAX_SEED

    def test_a_viewer_may_not_generate(self) -> None:
        with pytest.raises(AppError, match="may look, but not generate"):
            submit(MembershipFactory.create(role=Membership.Role.VIEWER))
        assert Job.objects.count() == 0

    def test_an_unknown_net_is_named_with_the_known_ones(self) -> None:
        with pytest.raises(AppError, match="'gpt-9' here; one of llama-tessera-text") as caught:
            submit(MembershipFactory.create(), net="gpt-9")
        assert caught.value.problems[0]["field"] == "net"

    def test_a_net_of_the_other_kind_is_unknown(self) -> None:
        with pytest.raises(AppError, match="There is no net"):
            submit(MembershipFactory.create(), net="mosaic")

    def test_a_full_queue_refuses_with_retry_after(self, settings: Settings) -> None:
        settings.MAX_QUEUED_JOBS = 1
        member = MembershipFactory.create()
        submit(member)
        with pytest.raises(AppError) as caught:
            submit(member)
        assert (caught.value.code, caught.value.http_status) == ("queue_full", 429)
        assert caught.value.headers["Retry-After"] == "60"

    def test_one_person_cannot_fill_the_queue_for_the_others(self, settings: Settings) -> None:
        settings.MAX_QUEUED_JOBS = 4
        eager, other = MembershipFactory.create_batch(2)
        submit(eager)
        submit(eager)
        with pytest.raises(AppError, match="2 of your text jobs wait already"):
            submit(eager)
        assert submit(other).status == Job.Status.QUEUED

    def test_an_adapter_that_is_not_there_is_named(self) -> None:
        with pytest.raises(AppError, match="no adapter 'poet' here; none is installed") as caught:
            submit(MembershipFactory.create(), adapter="poet")
        assert (caught.value.code, caught.value.problems[0]["field"]) == ("adapter_unknown", "adapter")

    def test_a_blocked_prompt_is_recorded_without_its_words_and_never_sent(self, redis_client: Any) -> None:
        member = MembershipFactory.create()
        BlockedTermFactory.create(workspace=member.workspace, term="boat")
        job = submit(member, stop=["the boat sinks"])
        assert (job.status, job.error_code) == (Job.Status.BLOCKED, "prompt_blocked")
        assert "What was written is not kept." in job.error_message
        assert (job.prompt, job.parsed_request.prompt) == (services.REMOVED, services.REMOVED)
        assert "boat" not in str(Job.objects.values().get())
        assert Verdict.objects.get(job=job).action == "block"
        assert redis_client.llen("text") == 0
        assert kinds_in_log(job, redis_client) == ["blocked"]

    @pytest.mark.slow  # redis-py tries three times before it gives a dead server up
    def test_a_broker_that_is_down_leaves_the_job_in_the_outbox(self, monkeypatch: pytest.MonkeyPatch) -> None:
        nobody = Celery("nobody", broker="redis://127.0.0.1:1/0")
        monkeypatch.setattr(dispatch, "app", nobody)
        job = submit(MembershipFactory.create())
        outbox = Job.objects.filter(status=Job.Status.QUEUED, dispatched_at=None)
        assert list(outbox) == [job]
        monkeypatch.undo()
        tasks.sweep_outbox()
        assert not outbox.all().exists()


@pytest.mark.django_db(transaction=True)
class TestClaim:
    def test_a_claim_takes_a_lease_and_raises_the_fence(self, settings: Settings) -> None:
        job = JobFactory.create()
        claim = services.claim(job.id, worker="w1")
        assert claim is not None
        assert (claim.fence, claim.job.attempt, claim.job.worker) == (1, 1, "w1")
        assert claim.job.lease_expires_at is not None
        left = claim.job.lease_expires_at - timezone.now()
        assert timedelta(0) < left <= timedelta(seconds=settings.LEASE_S)

    def test_a_task_that_is_delivered_twice_is_claimed_once(self) -> None:
        job = JobFactory.create()
        assert services.claim(job.id, worker="w1") is not None
        assert services.claim(job.id, worker="w2") is None

    def test_of_eight_workers_at_once_one_wins(self) -> None:
        job = JobFactory.create()
        start = threading.Barrier(8)

        def try_it(number: int) -> bool:
            start.wait()
            try:
                return services.claim(job.id, worker=f"w{number}") is not None
            finally:
                connection.close()

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(try_it, range(8))) == 1

    def test_a_job_past_its_deadline_is_not_claimed(self) -> None:
        job = JobFactory.create(deadline_at=timezone.now() - timedelta(seconds=1))
        assert services.claim(job.id, worker="w1") is None


@pytest.mark.django_db(transaction=True)
class TestLosing:
    def lost(self) -> tuple[services.Claim, services.Claim]:
        job = JobFactory.create()
        old = services.claim(job.id, worker="old")
        assert old is not None
        assert services.requeue(old.job, old.fence, error_code="worker_lost")
        new = services.claim(job.id, worker="new")
        assert new is not None
        return old, new

    def test_the_old_holder_can_neither_renew_finish_nor_publish(self) -> None:
        old, new = self.lost()
        assert services.renew([old, new]) == [old]
        assert not services.finish(old, Job.Status.FAILED, error_code="x", error_message="x")
        assert not services.complete(old, [])
        with pytest.raises(eventlog.FenceLostError):
            eventlog.append(old.job.id, old.fence, ["{}"])
        assert services.complete(new, [])

    def test_a_second_finish_loses(self) -> None:
        claim = services.claim(JobFactory.create().id, worker="w")
        assert claim is not None
        assert services.finish(claim, Job.Status.CANCELLED)
        assert not services.finish(claim, Job.Status.FAILED, error_code="x", error_message="x")

    def test_the_last_attempt_that_breaks_off_fails_the_job(self, settings: Settings) -> None:
        settings.MAX_ATTEMPTS = 2
        job = JobFactory.create()
        for _ in range(2):
            claim = services.claim(job.id, worker="w")
            assert claim is not None
            assert services.requeue(claim.job, claim.fence, error_code="worker_lost")
        job.refresh_from_db()
        assert (job.status, job.error_code, job.attempt) == (Job.Status.FAILED, "worker_lost", 2)


@pytest.mark.django_db(transaction=True)
class TestCancel:
    def test_a_waiting_job_ends_at_once(self, redis_client: Any) -> None:
        job = JobFactory.create()
        assert services.cancel(job)
        job.refresh_from_db()
        assert job.status == Job.Status.CANCELLED
        assert kinds_in_log(job, redis_client) == ["cancelled"]

    def test_a_running_job_learns_it_with_its_next_append_and_its_next_renewal(self) -> None:
        claim = services.claim(JobFactory.create().id, worker="w")
        assert claim is not None
        assert not eventlog.append(claim.job.id, claim.fence, []).is_cancel_requested
        assert services.cancel(claim.job)
        assert eventlog.append(claim.job.id, claim.fence, []).is_cancel_requested
        assert services.renew([claim]) == [claim]

    def test_a_cancelled_job_whose_worker_died_ends_as_cancelled(self) -> None:
        claim = services.claim(JobFactory.create().id, worker="w")
        assert claim is not None
        services.cancel(claim.job)
        services.requeue(claim.job, claim.fence, error_code="worker_lost")
        assert Job.objects.get(id=claim.job.id).status == Job.Status.CANCELLED

    def test_a_job_that_has_ended_cannot_be_cancelled_again(self) -> None:
        job = JobFactory.create()
        assert services.cancel(job)
        assert not services.cancel(job)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "impossible",
    [
        {"status": "running", "lease_expires_at": None},
        {"status": "succeeded", "finished_at": None},
        {"status": "queued", "finished_at": timezone.now()},
        {"status": "failed", "error_code": ""},
        {"status": "queued", "attempt": 2, "fence": 1},
    ],
)
def test_the_database_refuses_impossible_rows(impossible: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError):
        JobFactory.create(**impossible)


@pytest.mark.django_db
def test_place_and_time_come_from_what_waits_and_what_was_measured() -> None:
    now = timezone.now()
    first, second = JobFactory.create(), JobFactory.create()
    assert [selectors.queue_state(job).position for job in (first, second)] == [1, 2]
    assert selectors.queue_state(first).eta_s is None
    JobFactory.create(status="succeeded", started_at=now - timedelta(seconds=8), finished_at=now - timedelta(seconds=4))
    assert selectors.queue_state(first).eta_s == pytest.approx(4.0)
