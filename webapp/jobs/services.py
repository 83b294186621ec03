"""Writes: the only place that changes job rows. Every change of state is one conditional UPDATE.

Two callers can always race here: Celery delivers a task again when a worker is lost, the reaper takes a job
whose lease ran out, a person cancels. The database decides; the loser learns it from the count of changed rows.
"""

import contextlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import redis
import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from genworkers.contract.base import Kind
from genworkers.contract.energy import Energy
from genworkers.contract.events import Blocked, Cancelled, Expired, Failed, Held, JobEvent, Queued, Stored, Succeeded
from genworkers.contract.image import ImageRequest
from genworkers.contract.manifests import NetManifest
from genworkers.contract.requests import GENERATION_REQUEST
from genworkers.contract.text import TextRequest
from webapp.accounts.models import ApiKey, User
from webapp.catalog import selectors as catalog
from webapp.errors import AppError, problem
from webapp.gallery import services as gallery_services
from webapp.gallery import uploads
from webapp.gallery.models import Artifact
from webapp.jobs import dispatch, eventlog, events, selectors
from webapp.jobs.models import Job
from webapp.safety import rules
from webapp.safety import services as safety_services
from webapp.safety.models import Action
from webapp.safety.rules import ScreenResult
from webapp.workspaces import audit
from webapp.workspaces import selectors as workspaces
from webapp.workspaces.models import AuditEntry, Workspace

log = structlog.get_logger(__name__)

UNJUDGED_MESSAGE = f"{safety_services.BLOCKED_MESSAGE} What was written is not kept."
HELD_MESSAGE = "The result waits for a reviewer of this workspace."
REJECTED_MESSAGE = (
    "A reviewer decided that this is not shown. The reason is on the job's page, where you can appeal once."
)
REMOVED = "[removed]"
HIDDEN_ENDINGS = frozenset({"blocked", "held"})
# Small enough that a person can read it out and every JavaScript client can hold it.
MAX_CHOSEN_SEED = 2**32
KEEP_DRAFTS = timedelta(days=1)


@dataclass(frozen=True)
class Claim:
    """A worker's hold on a job: valid while nobody has raised the fence."""

    job: Job
    fence: int


def submit(
    *,
    user: User,
    workspace: Workspace,
    request: TextRequest | ImageRequest,
    api_key: ApiKey | None = None,
) -> Job:
    """Take a checked request in: screen it, write the row, and send it after commit.

    Returns:
        The job, queued; or blocked at once when a rule refuses the prompt, which is then not kept: no net has said
        yet whether it may be.

    Raises:
        AppError: forbidden, net_unknown, style_unknown, adapter_unknown, direction_unknown, net_cannot, input_unknown,
            mask_size_differs, queue_full.
    """
    if not workspaces.may_generate(user, workspace.id):
        raise AppError("forbidden", 403, "Your role in this workspace may look, but not generate. Ask an owner.")
    request = _fitted(request)
    uploads.check_inputs(request, workspace)
    _check_room(user, request.kind)
    seed = secrets.randbelow(MAX_CHOSEN_SEED) if request.seed is None else request.seed
    verdict = rules.screen(request.typed_text, workspace_id=workspace.id, stage="prompt")
    is_blocked = verdict.action == Action.BLOCK
    kept = request.model_copy(update={"seed": seed}).model_dump(mode="json")
    if is_blocked:
        kept = _without_words(kept)
    now = timezone.now()
    with transaction.atomic():
        job = Job.objects.create(
            workspace=workspace,
            created_by=user,
            api_key=api_key,
            kind=request.kind,
            is_draft=isinstance(request, ImageRequest) and request.is_draft,
            request=kept,
            prompt=kept["prompt"],
            deadline_at=now + timedelta(seconds=settings.DEADLINE_S),
            finished_at=now if is_blocked else None,
            **_blocked_fields(error_code="prompt_blocked", error_message=UNJUDGED_MESSAGE) if is_blocked else {},
        )
        safety_services.record(job.id, [verdict])
        if is_blocked:
            transaction.on_commit(lambda: _tell(job, Blocked(message=UNJUDGED_MESSAGE)), robust=True)
        else:
            transaction.on_commit(lambda: _tell(job, Queued()), robust=True)
            dispatch.after_commit(job.kind)
    return job


def _check_room(user: User, kind: Kind) -> None:
    own_limit = max(1, settings.MAX_QUEUED_JOBS // 2)  # one person alone does not shut the door for the others
    if selectors.num_queued(kind, user) >= own_limit:
        waiting = f"{own_limit} of your {kind} jobs"
    elif selectors.num_queued(kind) >= settings.MAX_QUEUED_JOBS:
        waiting = f"{settings.MAX_QUEUED_JOBS} {kind} jobs"
    else:
        return
    raise AppError("queue_full", 429, f"{waiting} wait already. Try again in a minute.", headers={"Retry-After": "60"})


def _fitted(request: TextRequest | ImageRequest) -> TextRequest | ImageRequest:
    """The request with the net's first style where it names none; refused where the net cannot serve it."""
    net = catalog.net(request.net)
    if net is None or net.kind != request.kind:
        raise _unknown("net", request.net, [net.name for net in catalog.nets() if net.kind == request.kind])
    if isinstance(request, ImageRequest):
        _check_abilities(request, net)
        style = request.style or next(iter(net.styles), "")
        for field, value in (("style", style), ("style_mix", request.style_mix)):
            if value and value not in net.styles:
                raise _unknown(field, value, list(net.styles))
        direction = request.walk.direction if request.walk is not None else ""
        if direction and direction not in net.directions:
            raise _unknown("direction", direction, list(net.directions), field="walk.direction")
        return request.model_copy(update={"style": style})
    if request.adapter:
        adapters = [adapter.name for adapter in catalog.adapters_of(net.name)]
        if request.adapter not in adapters:
            raise _unknown("adapter", request.adapter, adapters)
    return request


def _check_abilities(request: ImageRequest, net: NetManifest) -> None:
    asked: dict[str, object] = {"style_mix": request.style_mix, "negative_prompt": request.negative_prompt.strip()}
    asked |= {"start_image": request.start_image or request.draft_seed is not None, "mask": request.mask}
    asked |= {"map_point": request.map_point, "walk": request.walk, "draft": request.is_draft}
    lacking = [name for name, value in asked.items() if value and name not in net.abilities]
    if not lacking:
        return
    able = [other.name for other in catalog.nets() if other.kind == "image" and other.abilities.issuperset(lacking)]
    allowed = f"nets that can: {', '.join(able)}" if able else "no net here can"
    message = f"the net {net.name} cannot do this"
    fields = ["is_draft" if name == "draft" else name for name in lacking]
    problems = [problem(field, "net_cannot", message, "", allowed) for field in fields]
    raise AppError("net_cannot", 422, f"The net {net.name!r} cannot do this: {', '.join(lacking)}.", problems=problems)


def _unknown(what: str, value: str, known: Sequence[str], *, field: str = "") -> AppError:
    allowed = f"one of {', '.join(known)}" if known else "none is installed"
    problems = [problem(field or what, f"{what}_unknown", f"there is no such {what}", value, allowed)]
    return AppError(f"{what}_unknown", 422, f"There is no {what} {value!r} here; {allowed}.", problems=problems)


def _blocked_fields(*, error_code: str, error_message: str) -> dict[str, Any]:
    return {"status": Job.Status.BLOCKED, "error_code": error_code, "error_message": error_message}


def _without_words(request: Mapping[str, Any]) -> dict[str, Any]:
    """A stored request without what somebody wrote or gave."""
    bare = {name: request[name] for name in ("kind", "net", "seed", "style") if name in request}
    return GENERATION_REQUEST.validate_python(bare | {"prompt": REMOVED}).model_dump(mode="json")


def claim(job_id: UUID, *, worker: str) -> Claim | None:
    """Take a queued job for one worker, with a lease and a higher fencing number.

    Returns:
        The claim, or None when the job is not waiting (delivered twice, cancelled, past its deadline).
    """
    now = timezone.now()
    changed = Job.objects.filter(id=job_id, status=Job.Status.QUEUED, deadline_at__gt=now).update(
        status=Job.Status.RUNNING,
        attempt=F("attempt") + 1,
        fence=F("fence") + 1,
        worker=worker,
        lease_expires_at=now + timedelta(seconds=settings.LEASE_S),
        started_at=now,
    )
    if changed == 0:
        return None
    job = Job.objects.select_related("workspace", "created_by").get(id=job_id)
    return Claim(job, job.fence)


def renew(claims: Sequence[Claim]) -> list[Claim]:
    """Extend the lease of every job that is still held.

    Returns:
        The claims whose work should stop: lost to somebody newer, or asked to cancel.
    """
    expires_at = timezone.now() + timedelta(seconds=settings.LEASE_S)
    going_on = Job.objects.filter(status=Job.Status.RUNNING, cancel_requested_at__isnull=True)
    return [
        claim
        for claim in claims
        if not going_on.filter(id=claim.job.id, fence=claim.fence).update(lease_expires_at=expires_at)
    ]


def finish(claim: Claim, outcome: Job.Status, *, error_code: str = "", error_message: str = "") -> bool:
    """Move a running job to its final state, once, and tell the watchers.

    Returns:
        True if this call moved the job, False if somebody newer holds it or it had ended.
    """
    return _end(claim.job, claim.fence, Job.Status.RUNNING, outcome, error_code, error_message)


def block(claim: Claim, results: Sequence[ScreenResult]) -> bool:
    """End a running job because a screen refused its prompt, a picture given to it, or its result.

    Of what must not be kept at all the job's own words go too; the verdicts keep a hash.

    Args:
        results: every verdict that was given; the first that blocks names the reason, unless another says that
            nothing may be kept.

    Returns:
        True if this call ended the job, False if somebody newer holds it or it had ended.
    """
    blocking = [result for result in results if result.action == Action.BLOCK]
    refusing = next((result for result in blocking if not result.may_be_kept), blocking[0])
    message = safety_services.refusal_of(refusing)
    with transaction.atomic():
        changed = Job.objects.filter(id=claim.job.id, fence=claim.fence, status=Job.Status.RUNNING).update(
            **_blocked_fields(error_code=f"{refusing.stage}_blocked", error_message=message), finished_at=timezone.now()
        )
        if changed == 0:
            return False
        safety_services.record(claim.job.id, results)
        if not refusing.may_be_kept:
            _forget(claim.job, refusing)
        dispatch.after_commit(claim.job.kind)
    _tell(claim.job, Blocked(message=message), fence=claim.fence)
    return True


def _forget(job: Job, refusing: ScreenResult) -> None:
    """Take what somebody wrote out of the job, and out of the answers that the API keeps for a day."""
    request = _without_words(job.request)
    Job.objects.filter(id=job.id).update(prompt=REMOVED, request=request)
    for answer in job.idempotencyrecord_set.all():
        answer.body |= {"prompt": REMOVED, "request": request}
        answer.save(update_fields=["body"])
    details = {"stage": refusing.stage, "categories": refusing.matched, "content_sha256": refusing.content_sha256}
    details["asked_by"] = job.created_by.username
    audit.append(job.workspace_id, AuditEntry.Act.WORDS_REMOVED, actor=None, subject=f"job {job.id}", details=details)


def complete(claim: Claim, drafts: Sequence[gallery_services.ArtifactDraft]) -> bool:
    """Store everything that a job made and end it, in one transaction: all of it once, or nothing.

    Returns:
        True if this call ended the job, False if somebody newer holds it.
    """
    is_held = any(draft.is_held for draft in drafts)
    outcome = Job.Status.HELD if is_held else Job.Status.SUCCEEDED
    code, message = ("output_held", HELD_MESSAGE) if is_held else ("", "")
    with transaction.atomic():
        changed = Job.objects.filter(id=claim.job.id, fence=claim.fence, status=Job.Status.RUNNING).update(
            status=outcome, error_code=code, error_message=message, finished_at=timezone.now()
        )
        if changed == 0:
            return False
        stored = [gallery_services.store(draft) for draft in drafts]
        dispatch.after_commit(claim.job.kind)
    _tell_stored(claim, stored, is_held=is_held)
    return True


def settle_review(job_id: UUID) -> None:
    """End a held job anew once nothing of it is held any more; in the transaction of the decision.

    It has succeeded when any of its results is kept, and is blocked when all were rejected. When its work was done
    stays as it was. The caller holds the
    workspace's lock, so that two reviewers of two results do not both think that the other's is still held.
    """
    statuses = set(Artifact.objects.filter(job_id=job_id).values_list("status", flat=True))
    if Artifact.Status.HELD in statuses:
        return
    if Artifact.Status.KEPT in statuses:
        fields: dict[str, Any] = {"status": Job.Status.SUCCEEDED, "error_code": "", "error_message": ""}
        final: JobEvent = Succeeded()
    else:
        fields = _blocked_fields(error_code="output_rejected", error_message=REJECTED_MESSAGE)
        final = Blocked(message=REJECTED_MESSAGE)
    reviewed = Job.objects.filter(id=job_id, status__in=(Job.Status.HELD, Job.Status.BLOCKED))
    if reviewed.exclude(status=fields["status"]).update(**fields):
        job = Job.objects.get(id=job_id)
        transaction.on_commit(lambda: _tell(job, final, is_alone=True), robust=True)


def _tell_stored(claim: Claim, stored: Sequence[Artifact], *, is_held: bool) -> None:
    final: JobEvent = Held(message=HELD_MESSAGE) if is_held else Succeeded()
    pieces = [Stored(artifact_id=str(artifact.id), index=artifact.index) for artifact in stored]
    _tell(claim.job, *pieces, final, fence=claim.fence)


def account(job: Job, energy: Energy) -> None:
    """Put energy down to a job, whoever holds it: what an attempt has spent is spent, also when nothing came of it."""
    Job.objects.filter(id=job.id).update(energy_j=F("energy_j") + energy.joules, energy_source=energy.source)


def requeue(job: Job, fence: int, *, error_code: str, is_clean: bool = False) -> bool:
    """Take a running job from its holder and let another worker try, or end it when all attempts are used.

    The fence rises, so the holder, should it still live, can no longer publish, store or finish.

    Args:
        error_code: why; becomes the job's error when no attempt is left.
        is_clean: the holder stops in good order. That is not held against the job, and the sweep sends it, so
            that the worker which is stopping does not take it again.

    Returns:
        True if this call took the job.
    """
    job.refresh_from_db(fields=["cancel_requested_at", "attempt"])
    if job.cancel_requested_at:
        return _end(job, fence, Job.Status.RUNNING, Job.Status.CANCELLED, "", "")
    if job.attempt >= settings.MAX_ATTEMPTS and not is_clean:
        message = f"All {job.attempt} attempts broke off. Try again; if that fails too, tell the operator the job's id."
        return _end(job, fence, Job.Status.RUNNING, Job.Status.FAILED, error_code, message)
    with transaction.atomic():
        changed = Job.objects.filter(id=job.id, fence=fence, status=Job.Status.RUNNING).update(
            status=Job.Status.QUEUED, fence=F("fence") + 1, lease_expires_at=None, dispatched_at=None
        )
        if changed == 0:
            return False
        queued = Queued(attempt=job.attempt, reason=error_code)
        transaction.on_commit(lambda: _tell(job, queued, fence=fence + 1), robust=True)
        if not is_clean:
            dispatch.after_commit(job.kind)
    log.warning("job_requeued", job_id=str(job.id), attempt=job.attempt, reason=error_code)
    return True


def cancel(job: Job) -> bool:
    """Stop a job: at once while it waits, between two steps while it runs.

    Returns:
        False if it had ended already.
    """
    if _end(job, None, Job.Status.QUEUED, Job.Status.CANCELLED, "", ""):
        return True
    asked = Job.objects.filter(id=job.id, status=Job.Status.RUNNING).update(cancel_requested_at=timezone.now())
    if asked:
        with contextlib.suppress(redis.RedisError):  # the row has the wish; the holder reads it at its next renewal
            eventlog.request_cancel(job.id)
    return asked == 1


def remove_old_drafts() -> None:
    """Forget drafts that ended a while ago: nothing of them was kept."""
    Job.objects.filter(is_draft=True, finished_at__lt=timezone.now() - KEEP_DRAFTS, artifacts__isnull=True).delete()


def expire(job: Job) -> bool:
    """End a job whose deadline passed while it waited."""
    return _end(job, None, Job.Status.QUEUED, Job.Status.EXPIRED, "deadline_passed", _deadline_message())


def _deadline_message() -> str:
    return f"The job was not done within {settings.DEADLINE_S:.0f} s. Try again when the queue is shorter."


def _final_event(outcome: Job.Status, code: str, message: str) -> JobEvent:
    match outcome:
        case Job.Status.CANCELLED:
            return Cancelled()
        case Job.Status.EXPIRED:
            return Expired()
        case Job.Status.BLOCKED:
            return Blocked(message=message)
        case Job.Status.FAILED:
            return Failed(code=code, message=message)
        case _:
            raise ValueError(f"a job ends as {outcome} only through complete()")


def _end(job: Job, fence: int | None, expected: Job.Status, outcome: Job.Status, code: str, message: str) -> bool:
    if outcome == Job.Status.EXPIRED:
        code, message = "deadline_passed", _deadline_message()
    rows = Job.objects.filter(id=job.id, status=expected)
    if fence is not None:
        rows = rows.filter(fence=fence)
    changed = rows.update(status=outcome, error_code=code, error_message=message, finished_at=timezone.now())
    if changed:
        newest_fence = Job.objects.values_list("fence", flat=True).get(id=job.id)
        _tell(job, _final_event(outcome, code, message), fence=newest_fence)
        dispatch.after_commit(job.kind)
    return changed == 1


def _tell(job: Job, *messages: JobEvent, fence: int | None = None, is_alone: bool = False) -> None:
    """Publish, if Redis is there: the row is the truth, and watchers compare with it at every heartbeat."""
    is_hidden = messages[-1].kind in HIDDEN_ENDINGS  # what was shown on the way is not for everybody after all
    max_events = 1 if is_hidden or is_alone else eventlog.MAX_EVENTS
    try:
        events.publish(job.id, job.fence if fence is None else fence, messages, max_events=max_events)
    except (redis.RedisError, eventlog.FenceLostError) as error:
        log.warning("event_not_published", job_id=str(job.id), error=str(error))
