"""From a delivered task to a finished job: claim, run, store, end. The one place that catches everything.

`text.py` and `image.py` say what happens in between.
"""

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from importlib.metadata import version
from typing import Any
from uuid import UUID

import structlog
import uuid_utils.compat as uuid
from celery.exceptions import Reject
from django.utils import timezone

from genworkers.codecs.image_bytes import Pixels
from genworkers.contract.energy import Energy
from genworkers.contract.events import JobEvent
from genworkers.contract.image import PictureFacts
from genworkers.contract.names import VERSION
from genworkers.contract.requests import GENERATION_REQUEST
from genworkers.engine.energy import Watch
from genworkers.engine.errors import EngineError
from genworkers.engine.ticket import Ticket
from genworkers.marks.keys import MarkKey
from genworkers.tasks import engines, leases, marking
from genworkers.tasks.judging import BlockedError, Judge, refuse_blocked
from webapp.catalog import selectors as catalog
from webapp.errors import AppError
from webapp.gallery.services import ArtifactDraft
from webapp.jobs import events, services
from webapp.jobs.eventlog import FenceLostError
from webapp.jobs.models import Job
from webapp.jobs.services import Claim
from webapp.provenance import services as provenance
from webapp.provenance.manifest import MADE_BY_NET
from webapp.provenance.services import FingerprintFacts, GenerationFacts, Ingredient, MarkFacts, SignedFile
from webapp.safety import rules
from webapp.safety import services as safety
from webapp.safety.models import Action
from webapp.safety.rules import ScreenResult

log = structlog.get_logger(__name__)

LIBRARIES = ("torch", "tokenizers", "safetensors", "pillow", "c2pa-python")
VERSIONS = {"tessera": VERSION, "python": platform.python_version()}
VERSIONS |= {name: version(name) for name in LIBRARIES}


class StoppedError(Exception):
    """The work ended early: cancelled, or past its deadline."""

    def __init__(self, outcome: Job.Status) -> None:
        super().__init__(outcome)
        self.outcome = outcome


@dataclass
class Run:
    """One claimed job while it runs: what the work of a kind needs to report and to describe its results."""

    claim: Claim
    began: float = field(default_factory=time.monotonic)
    timings: dict[str, float] = field(default_factory=dict)
    tickets: list[Ticket[Any]] = field(default_factory=list)
    is_stopped: bool = False
    given_verdicts: list[ScreenResult] = field(default_factory=list)
    watch: Watch = field(default_factory=lambda: engines.meter().cpu_watch())

    @cached_property
    def judge(self) -> Judge:
        """The rules and the policy of the workspace, as they are when the job starts."""
        return Judge.of(self.claim.job.workspace_id)

    def screen_prompt(self) -> None:
        """The first stage of every job: what rules and net say of all that was typed.

        Raises:
            BlockedError: it is refused.
        """
        job = self.claim.job
        self._take(self.judge.text(GENERATION_REQUEST.validate_python(job.request).typed_text, "prompt"))

    def screen_given(self, picture: Pixels) -> None:
        """The same for a picture that the job begins with or ends at.

        Raises:
            BlockedError: it is refused.
        """
        self._take(self.judge.pictures([picture], "input"))

    def _take(self, verdicts: Sequence[ScreenResult]) -> None:
        self.given_verdicts += verdicts
        refuse_blocked(self.given_verdicts)
        safety.record_once(self.claim.job.id, verdicts)

    @cached_property
    def mark_key(self) -> MarkKey:
        """The key that marks what this job makes."""
        return marking.key_of(self.claim.job.workspace_id)

    @property
    def may_show(self) -> bool:
        """Whether watchers may see the work in progress, by what was given: what it makes will wait for a reviewer.

        What is made meanwhile is looked at where it is shown, in `text.py` and `image.py`.
        """
        return rules.severest(self.given_verdicts) != Action.REVIEW

    def publish(self, *messages: JobEvent, progress: dict[str, int] | None = None) -> bool:
        """Tell the watchers, or with no message only look.

        Returns:
            Whether somebody asked to cancel.

        Raises:
            FenceLostError: somebody newer holds the job.
        """
        return events.publish(self.claim.job.id, self.claim.fence, messages, progress=progress).is_cancel_requested

    def add(self, ticket: Ticket[Any]) -> None:
        """Work of this job that an engine has taken; it ends with the job."""
        self.tickets.append(ticket)
        if self.is_stopped:
            ticket.cancel()

    def stop(self) -> None:
        """Let the engines end this job's work; from any thread, more than once."""
        self.is_stopped = True
        for ticket in self.tickets:
            ticket.cancel()

    def follow(self, report: Callable[[], bool]) -> None:
        """Let `report` hand on what the engine made, until every ticket has ended.

        Args:
            report: reads the tickets and publishes; returns whether to cancel.

        Raises:
            StoppedError: cancelled or past the deadline.
        """
        while not all(ticket.is_done for ticket in self.tickets):
            if report():
                self.stop()
        self.timings["engine_s"] = round(time.monotonic() - self.began, 4)
        reasons = {ticket.finish_reason for ticket in self.tickets}
        if "cancelled" in reasons:
            raise StoppedError(Job.Status.CANCELLED)
        if "deadline" in reasons:
            raise StoppedError(Job.Status.EXPIRED)

    def energy(self) -> Energy:
        """What the work has cost; asked once, in the thread that did it.

        To what the engines put down to it comes what this thread did for pictures: their files and signatures. The
        text engine counts all of its process.
        """
        own_j = self.watch.lap() if self.claim.job.kind == "image" else 0.0
        return Energy(joules=own_j + sum(ticket.energy_j for ticket in self.tickets), source=engines.meter().source)

    @property
    def deadline_s(self) -> float:
        """Seconds from now to the job's deadline."""
        return (self.claim.job.deadline_at - timezone.now()).total_seconds()

    def draft(
        self,
        index: int,
        *,
        data: bytes,
        media_type: str,
        seed: int,
        output_verdicts: Sequence[ScreenResult],
        mark: MarkFacts,
        fingerprint: FingerprintFacts,
        ingredients: Sequence[Ingredient] = (),
        source_type: str = MADE_BY_NET,
        thumbnail: bytes | None = None,
        size_px: int | None = None,
        num_tokens: int | None = None,
        finish_reason: str = "",
        excerpt: str = "",
        facts: PictureFacts | None = None,
    ) -> ArtifactDraft:
        """One result, signed and described in full, ready for the gallery's door."""
        job = self.claim.job
        net = catalog.net(job.request["net"])
        if net is None:
            raise EngineError("net_not_loaded", f"The net {job.request['net']!r} was removed. Choose another net.")
        verdicts = [*self.given_verdicts, *output_verdicts]
        generation = GenerationFacts(
            artifact_id=uuid.uuid7(),
            job_id=job.id,
            title=f"{job.kind} {index + 1}",
            net=net.name,
            checkpoint_sha256=net.sha256,
            created_at=timezone.now(),
            software_version=VERSION,
            mark=mark,
            source_type=source_type,
        )
        began = time.monotonic()
        original = provenance.sign(data, media_type, facts=generation, ingredients=ingredients)
        small: SignedFile | None = None
        if thumbnail is not None:
            parent = provenance.copy_of(original, "c2pa.resized", generation.title)
            small = provenance.sign(thumbnail, "image/webp", facts=generation, ingredients=[parent])
        waited = (job.started_at or job.created_at) - job.created_at
        return ArtifactDraft(
            artifact_id=generation.artifact_id,
            job_id=job.id,
            workspace_id=job.workspace_id,
            created_by_id=job.created_by_id,
            index=index,
            kind=job.kind,
            is_held=rules.severest(verdicts) == Action.REVIEW,
            prompt=job.prompt,
            request=job.request,
            seed=seed,
            net=net.name,
            checkpoint_sha256=net.sha256,
            versions=VERSIONS,
            timings=self.timings
            | {"queued_s": round(waited.total_seconds(), 4), "sign_s": round(time.monotonic() - began, 4)},
            width_px=size_px,
            height_px=size_px,
            num_tokens=num_tokens,
            finish_reason=finish_reason,
            excerpt=excerpt,
            facts={} if facts is None else facts.model_dump(mode="json"),
            original=original,
            thumbnail=small,
            verdicts=verdicts,
            mark=mark,
            fingerprint=fingerprint,
        )


def _worked(run: Run, work: Callable[[Run], Sequence[ArtifactDraft]]) -> Sequence[ArtifactDraft]:
    """What the work makes. The lease is held from before the engine is asked: a net may have to be loaded first."""
    with leases.held(run.claim, stop=run.stop):
        try:
            run.screen_prompt()
            return work(run)
        finally:
            run.stop()  # whatever went wrong, the engine need not go on
            services.account(run.claim.job, run.energy())


def run(job_id: UUID, *, worker: str, work: Callable[[Run], Sequence[ArtifactDraft]]) -> None:
    """Claim the job, do its work and end it; does nothing when somebody else holds it or it has ended.

    Raises:
        Reject: this worker is about to stop; the message goes back to the broker for another.
    """
    if leases.is_closing():
        raise Reject("this worker is about to stop", requeue=True)
    claim = services.claim(job_id, worker=worker)
    if claim is None:
        log.info("job_not_waiting", job_id=str(job_id))
        return
    with structlog.contextvars.bound_contextvars(job_id=str(job_id), fence=claim.fence):
        try:
            drafts = _worked(Run(claim), work)
            services.complete(claim, drafts)
        except FenceLostError:
            log.warning("job_lost_to_another_worker")
        except StoppedError as stopped:
            services.finish(claim, stopped.outcome)
        except BlockedError as blocked:
            services.block(claim, blocked.results)
        except EngineError as error:
            log.warning("engine_refused", code=error.code, message=error.message)
            if error.may_retry:
                services.requeue(claim.job, claim.fence, error_code=error.code)
                if error.code == "engine_dead":
                    leases.give_up()
            else:
                services.finish(claim, Job.Status.FAILED, error_code=error.code, error_message=error.message)
        except AppError as error:
            log.warning("result_not_kept", code=error.code, message=error.message)
            if error.http_status == HTTPStatus.SERVICE_UNAVAILABLE:
                services.requeue(claim.job, claim.fence, error_code=error.code)
            else:  # for example storage_full: trying again at once would not help
                services.finish(claim, Job.Status.FAILED, error_code=error.code, error_message=error.message)
        except Exception:
            log.exception("job_broke")
            services.requeue(claim.job, claim.fence, error_code="internal_error")
