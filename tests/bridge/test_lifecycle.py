"""From a delivered task to a finished job, with a fake engine and everything else real: rows, Redis, signatures."""

import os
from collections.abc import Callable
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from celery.exceptions import Reject

from genworkers.contract.base import MAX_SEED
from genworkers.contract.events import JOB_EVENT, JobEvent, Preview, TextPiece
from genworkers.engine.errors import EngineError
from genworkers.engine.image_engine import ImageResult, ImageStep
from genworkers.engine.sequence import TextStep
from genworkers.engine.ticket import Ticket
from genworkers.tasks import engines, leases, lifecycle
from genworkers.tasks.image import generate_image
from genworkers.tasks.text import generate_text
from tests.bridge.fake_engine import FakeEngine, saying
from tests.factories import BlockedTermFactory, JobFactory
from webapp.gallery import selectors as gallery
from webapp.gallery.models import Artifact, ArtifactFile
from webapp.jobs import services
from webapp.jobs.models import Job
from webapp.provenance import services as provenance
from webapp.safety.models import Verdict

pytestmark = pytest.mark.django_db(transaction=True)
Serve = Callable[[FakeEngine[Any]], FakeEngine[Any]]

WORDS = [TextStep("Once ", 1, None), TextStep("upon a time.", 4, "stop")]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Serve:
    def put_in_place(engine: FakeEngine[Any]) -> FakeEngine[Any]:
        monkeypatch.setattr(engines, "text_engine", lambda: engine)
        monkeypatch.setattr(engines, "image_engine", lambda: engine)
        return engine

    return put_in_place


def events_of(job: Job, redis_client: Any) -> list[JobEvent]:
    entries = redis_client.xrange(f"tessera:job:{job.id}:log")
    return [JOB_EVENT.validate_json(fields[b"event"]) for _, fields in entries]


def run(job: Job) -> Job:
    task = generate_text if job.kind == "text" else generate_image
    task.apply(args=(str(job.id),))
    job.refresh_from_db()
    return job


def test_a_text_job_ends_with_one_signed_artifact_that_is_what_was_streamed(serve: Serve, redis_client: Any) -> None:
    engine = serve(FakeEngine(saying(WORDS)))
    job = run(JobFactory.create())
    assert job.status == Job.Status.SUCCEEDED
    heard = events_of(job, redis_client)
    assert [event.kind for event in heard] == ["started", "text", "stored", "succeeded"]
    artifact = Artifact.objects.get(job=job)
    (key,) = engine.mark_keys
    assert key is not None
    assert (artifact.mark.scheme, artifact.mark.key_id, artifact.mark.payload) == ("text.1", key.key_id, "")
    assert "too short" in artifact.mark.note
    assert artifact.fingerprint.value
    assert artifact.finish_reason == "stop"
    assert {verdict.stage for verdict in Verdict.objects.filter(artifact=artifact)} == {"prompt", "output"}
    assert artifact.timings.keys() >= {"queued_s", "first_token_s", "engine_s", "sign_s"}
    assert artifact.versions.keys() >= {"tessera", "python", "torch"}
    data = gallery.open_file(artifact, ArtifactFile.Role.ORIGINAL).read()
    sidecar = gallery.open_file(artifact, ArtifactFile.Role.SIDECAR).read()
    assert data.decode() == "Once upon a time." == "".join(e.text for e in heard if isinstance(e, TextPiece))
    report = provenance.read(data, "text/plain", sidecar)
    assert (report.state, report.is_ours) == ("valid", True)


def test_a_job_of_several_texts_keeps_each_under_its_own_seed(serve: Serve, redis_client: Any) -> None:
    engine = serve(FakeEngine(saying(WORDS)))
    job = JobFactory.create()
    job.request |= {"num_texts": 3, "seed": MAX_SEED}
    job.save()
    assert run(job).status == Job.Status.SUCCEEDED
    assert len(engine.tickets) == 3
    artifacts = Artifact.objects.filter(job=job).order_by("index")
    assert [(one.index, one.seed) for one in artifacts] == [(0, MAX_SEED), (1, 0), (2, 1)]
    pieces = [event for event in events_of(job, redis_client) if isinstance(event, TextPiece)]
    assert sorted(piece.index for piece in pieces) == [0, 1, 2]
    assert {piece.finish_reason for piece in pieces} == {"stop"}


def test_what_was_said_before_the_prompt_is_screened_too(serve: Serve) -> None:
    serve(FakeEngine(saying(WORDS)))
    job = JobFactory.create()
    job.request |= {"history": [{"role": "user", "content": "a boat at sea"}]}
    job.save()
    BlockedTermFactory.create(workspace=job.workspace, term="boat", action="review")
    assert run(job).status == Job.Status.HELD


def test_an_image_job_shows_every_step_and_stores_every_picture_with_a_signed_thumbnail(
    serve: Serve, redis_client: Any
) -> None:
    small, large = np.zeros((64, 64, 4), np.uint8), np.zeros((512, 512, 4), np.uint8)
    items: list[ImageStep | ImageResult] = [
        ImageStep(index, step, 4, step * 16, 64, small) for step in range(1, 5) for index in (0, 1)
    ]
    items += [ImageResult(index, 7 + index, large) for index in (0, 1)]
    serve(FakeEngine(saying(items)))
    job = run(JobFactory.create(kind="image", prompt="a red apple"))
    assert job.status == Job.Status.SUCCEEDED
    heard = events_of(job, redis_client)
    assert [(e.index, e.step) for e in heard if isinstance(e, Preview)] == [
        (index, step) for step in range(1, 5) for index in (0, 1)
    ]
    assert [artifact.seed for artifact in Artifact.objects.filter(job=job).order_by("index")] == [7, 8]
    for file in ArtifactFile.objects.filter(artifact__job=job):
        data = gallery.open_file(file.artifact, file.role).read()
        assert provenance.read(data, file.media_type).is_ours


def test_a_task_that_is_delivered_twice_leaves_one_artifact(serve: Serve) -> None:
    serve(FakeEngine(saying(WORDS)))
    job = JobFactory.create()
    run(job)
    run(job)
    assert Artifact.objects.filter(job=job).count() == 1


def test_a_holder_that_lost_the_job_neither_publishes_nor_stores(serve: Serve, redis_client: Any) -> None:
    def lose_it(ticket: Ticket[TextStep]) -> None:
        held = Job.objects.get()
        assert services.requeue(held, held.fence, error_code="worker_lost")
        saying(WORDS)(ticket)

    serve(FakeEngine(lose_it))
    job = run(JobFactory.create())
    assert job.status == Job.Status.QUEUED
    assert [event.kind for event in events_of(job, redis_client)] == ["queued"]
    assert not Artifact.objects.exists()


def test_a_cancelled_job_ends_cancelled_and_stores_nothing(serve: Serve) -> None:
    def cancelled_meanwhile(ticket: Ticket[TextStep]) -> None:
        services.cancel(Job.objects.get())
        ticket.put(WORDS[0])

    def step(ticket: Ticket[TextStep]) -> None:
        cancelled_meanwhile(ticket)
        original = ticket.cancel

        def cancel() -> None:
            original()
            ticket.finish("cancelled")

        ticket.cancel = cancel  # type: ignore[method-assign]

    serve(FakeEngine(step))
    assert run(JobFactory.create()).status == Job.Status.CANCELLED
    assert not Artifact.objects.exists()


def test_a_deadline_in_mid_job_expires_it(serve: Serve) -> None:
    serve(FakeEngine(lambda ticket: ticket.finish("deadline")))
    job = run(JobFactory.create())
    assert (job.status, job.error_code) == (Job.Status.EXPIRED, "deadline_passed")


def test_what_the_engine_refuses_fails_with_its_words(serve: Serve) -> None:
    error = EngineError("prompt_too_long", "The prompt has 900 tokens; this net reads 512. Shorten it.")
    serve(FakeEngine(lambda ticket: ticket.fail(error)))
    job = run(JobFactory.create())
    assert (job.status, job.error_code, job.error_message) == (Job.Status.FAILED, "prompt_too_long", error.message)


def test_what_may_be_retried_goes_back_to_the_queue(serve: Serve) -> None:
    serve(FakeEngine(lambda ticket: ticket.fail(EngineError("engine_busy", "Too many wait.", may_retry=True))))
    job = run(JobFactory.create())
    assert (job.status, job.attempt, job.fence) == (Job.Status.QUEUED, 1, 2)


def test_a_dead_engine_ends_its_process_with_the_job_back_in_the_queue(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    statuses: list[int] = []
    monkeypatch.setattr(os, "_exit", statuses.append)
    serve(FakeEngine(lambda ticket: ticket.fail(EngineError("engine_dead", "The engine died.", may_retry=True))))
    assert run(JobFactory.create()).status == Job.Status.QUEUED
    assert statuses == [1]


def test_a_bug_sends_the_job_back_and_at_last_fails_it(serve: Serve, settings: Any) -> None:
    settings.MAX_ATTEMPTS = 2

    def break_down(ticket: Ticket[TextStep]) -> None:
        raise KeyError("a bug")

    serve(FakeEngine(break_down))
    job = JobFactory.create()
    assert run(job).status == Job.Status.QUEUED
    job = run(job)
    assert (job.status, job.error_code) == (Job.Status.FAILED, "internal_error")
    assert "2 attempts" in job.error_message


def test_a_blocked_word_in_the_output_is_never_shown_nor_kept(serve: Serve, redis_client: Any) -> None:
    serve(FakeEngine(saying([TextStep("Once ", 1, None), TextStep("the troll spoke", 4, "stop")])))
    job = JobFactory.create()
    BlockedTermFactory.create(workspace=job.workspace, term="troll")
    assert run(job).status == Job.Status.BLOCKED
    assert [event.kind for event in events_of(job, redis_client)] == ["blocked"]
    assert Verdict.objects.get(job=job, stage="output", screen="rules").matched == ["troll"]
    assert not Artifact.objects.exists()


def test_an_output_for_review_is_stored_held_and_not_shown(serve: Serve, redis_client: Any) -> None:
    serve(FakeEngine(saying(WORDS)))
    job = JobFactory.create()
    BlockedTermFactory.create(workspace=job.workspace, term="upon a", action="review")
    assert run(job).status == Job.Status.HELD
    assert [event.kind for event in events_of(job, redis_client)] == ["held"]
    assert Artifact.objects.get(job=job).status == Artifact.Status.HELD


@pytest.mark.parametrize("kind", ["text", "image"])
def test_the_work_on_a_prompt_for_review_is_not_shown(kind: str, serve: Serve, redis_client: Any) -> None:
    small, large = np.zeros((64, 64, 4), np.uint8), np.zeros((512, 512, 4), np.uint8)
    picture: list[Any] = [ImageStep(0, 1, 1, 64, 64, small), ImageResult(0, 7, large)]
    serve(FakeEngine(saying(WORDS if kind == "text" else picture)))
    job = JobFactory.create(kind=kind, prompt="a boat at sea")
    BlockedTermFactory.create(workspace=job.workspace, term="boat", action="review")
    assert run(job).status == Job.Status.HELD
    assert [event.kind for event in events_of(job, redis_client)] == ["held"]


def test_a_worker_that_stops_hands_its_job_back_and_takes_no_more(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, settings: Any, redis_client: Any
) -> None:
    settings.MAX_ATTEMPTS = 1

    class StopsAtOnce(FakeEngine[TextStep]):
        def submit(self, *args: Any, **kwargs: Any) -> Ticket[TextStep]:
            ticket = super().submit(*args, **kwargs)
            monkeypatch.setattr(ticket, "read", self.stop_then(ticket.read))
            return ticket

        def stop_then(self, read: Callable[[float], list[TextStep]]) -> Callable[[float], list[TextStep]]:
            def reading(timeout_s: float) -> list[TextStep]:
                if not leases.is_closing():
                    leases.hand_over()
                return read(timeout_s)

            return reading

    serve(StopsAtOnce(saying(WORDS)))
    job = run(JobFactory.create())
    assert (job.status, job.attempt) == (Job.Status.QUEUED, 1)
    assert job.dispatched_at is None
    assert redis_client.llen("text") == 0
    with pytest.raises(Reject):
        lifecycle.run(job.id, worker="w", work=lambda run: [])
    assert not Artifact.objects.exists()


def test_a_net_that_wrote_nothing_says_so(serve: Serve) -> None:
    serve(FakeEngine(saying([])))
    job = run(JobFactory.create())
    assert (job.status, job.error_code) == (Job.Status.FAILED, "nothing_written")


def test_an_unknown_job_is_left_alone() -> None:
    generate_text.apply(args=(str(UUID(int=0)),)).get()


def spending(joules: float, script: Any) -> Any:
    def spend(ticket: Ticket[Any]) -> None:
        ticket.spend(joules)
        script(ticket)

    return spend


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        (saying(WORDS), Job.Status.SUCCEEDED),
        (lambda ticket: ticket.finish("cancelled"), Job.Status.CANCELLED),
        (lambda ticket: ticket.finish("deadline"), Job.Status.EXPIRED),
        (lambda ticket: ticket.fail(EngineError("out_of_memory", "No room.")), Job.Status.FAILED),
        (saying([TextStep("the troll", 2, "stop")]), Job.Status.BLOCKED),
    ],
)
def test_what_the_engine_spent_is_put_down_to_the_job_however_it_ends(serve: Serve, ending: Any, status: str) -> None:
    serve(FakeEngine(spending(2.5, ending)))
    job = JobFactory.create()
    BlockedTermFactory.create(workspace=job.workspace, term="troll")
    job.request |= {"num_texts": 2}
    job.save()
    job = run(job)
    assert (job.status, job.energy_j, job.energy_source) == (status, 5.0, engines.meter().source)


def test_every_attempt_is_paid_for(serve: Serve) -> None:
    busy = EngineError("engine_busy", "Too many wait.", may_retry=True)
    serve(FakeEngine(spending(2.5, lambda ticket: ticket.fail(busy))))
    job = JobFactory.create()
    run(job)
    serve(FakeEngine(spending(1.0, saying(WORDS))))
    assert run(job).energy_j == 3.5


def test_a_picture_costs_its_files_as_well(serve: Serve) -> None:
    serve(FakeEngine(spending(2.5, saying([ImageResult(0, 7, np.zeros((512, 512, 4), np.uint8))]))))
    job = run(JobFactory.create(kind="image", prompt="a red apple"))
    assert job.status == Job.Status.SUCCEEDED
    assert 2.5 < job.energy_j < 100.0
