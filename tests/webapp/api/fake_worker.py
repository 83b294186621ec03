"""A worker without a net, in a thread of its own: takes the next job and says what a script says."""

import asyncio
import time
from base64 import b64encode
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from django.db import connection

from genworkers.contract.checks import EMBEDDING_WIDTH, Embed, Embedded, Moderate, Moderated
from genworkers.contract.events import JobEvent, Started, TextPiece, TokenLogprob
from genworkers.contract.safety import Screening
from webapp.jobs import events, services
from webapp.jobs.models import Job
from webapp.safety.services import BLOCKED_MESSAGE

Script = Sequence[JobEvent]
Ending = Callable[[services.Claim], object]
WAIT_S = 10.0


async def answered(question: Embed | Moderate) -> Embedded | Moderated:
    """What a check worker without a net answers: every text lies in the same place, and nothing is found."""
    if isinstance(question, Embed):
        vector = b64encode(bytes(4 * EMBEDDING_WIDTH)).decode()
        return Embedded(vectors=[vector] * len(question.texts), num_tokens=[3] * len(question.texts))
    nothing = Screening(screen="none", version="0", scores={})
    return Moderated(texts=[nothing] * len(question.texts), pictures=[nothing] * len(question.pictures))


def piece(
    text: str, num_tokens: int, *, index: int = 0, ends: str = "", logprobs: Sequence[TokenLogprob] = ()
) -> TextPiece:
    """One piece of a text whose prompt had seven tokens."""
    return TextPiece(
        index=index,
        text=text,
        num_tokens=num_tokens,
        num_prompt_tokens=7,
        finish_reason=ends,
        logprobs=list(logprobs),
    )


def succeed(claim: services.Claim) -> None:
    """End well, with nothing kept."""
    assert services.complete(claim, [])


def fail(code: str, message: str) -> Ending:
    """End badly."""
    return lambda claim: services.finish(claim, Job.Status.FAILED, error_code=code, error_message=message)


def block(claim: services.Claim) -> None:
    """End withheld by a rule."""
    services.finish(claim, Job.Status.BLOCKED, error_code="output_blocked", error_message=BLOCKED_MESSAGE)


def lose(claim: services.Claim) -> None:
    """Die, and leave the job to the next worker, when the watchers have had time to hear what was said."""
    time.sleep(0.2)
    services.requeue(claim.job, claim.fence, error_code="worker_lost")


def go_on(claim: services.Claim) -> None:
    """Leave the job running."""


def work(*runs: tuple[Script, Ending]) -> Coroutine[Any, Any, Job]:
    """Take the next job once for each run; say its script and end as it tells."""
    return asyncio.to_thread(work_now, *runs)


def work_now(*runs: tuple[Script, Ending]) -> Job:
    """The same in the caller's own thread."""
    for script, end in runs:
        claim = services.claim(_wait_for(Job.Status.QUEUED).id, worker="fake")
        assert claim is not None
        events.publish(claim.job.id, claim.fence, [Started(attempt=claim.job.attempt, num_steps=1, seed=1)])
        for event in script:
            events.publish(claim.job.id, claim.fence, [event])
        end(claim)
    job = Job.objects.latest("created_at")
    connection.close()
    return job


def job_in(*statuses: Job.Status) -> Coroutine[Any, Any, Job]:
    """The one job, as soon as it is in one of these states."""

    def wait() -> Job:
        job = _wait_for(*statuses)
        connection.close()
        return job

    return asyncio.to_thread(wait)


def _wait_for(*statuses: Job.Status) -> Job:
    until = time.monotonic() + WAIT_S
    while (job := Job.objects.filter(status__in=statuses).first()) is None:
        assert time.monotonic() < until, f"no job became {statuses}: {Job.objects.values_list('status')}"
        time.sleep(0.01)
    return job
