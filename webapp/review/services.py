"""Writes: a decision about a held result, an appeal or a re-check, and the author's appeal.

Two reviewers can always race here. Each act locks the workspace's row first, then looks; the database's constraints
(one decision a task, one appeal a result) hold behind it. Whoever comes second is told who decided.
"""

from collections.abc import Callable
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from webapp.accounts.models import User
from webapp.errors import AppError, not_found
from webapp.gallery import held
from webapp.gallery.models import Artifact
from webapp.jobs import services as jobs_services
from webapp.review import selectors
from webapp.safety import agreement
from webapp.safety.models import Appeal, Decision
from webapp.safety.services import checked_words
from webapp.workspaces import audit
from webapp.workspaces.models import AuditEntry, Workspace
from webapp.workspaces.selectors import may_review

MAX_REASON_CHARS = 1000
MAX_APPEAL_CHARS = 2000
Task, Outcome, Act = Decision.Task, Decision.Outcome, AuditEntry.Act


def check_may_review(user: User, workspace: Workspace) -> None:
    """Let reviewers and owners pass.

    Raises:
        AppError: forbidden.
    """
    if not may_review(user, workspace.id):
        raise AppError("forbidden", 403, "Only a reviewer or an owner of the workspace may see what is held.")


def decide(
    user: User, workspace: Workspace, artifact_id: UUID, *, task: Decision.Task, outcome: Decision.Outcome, reason: str
) -> Decision:
    """Decide about one result: release or reject what is held, answer an appeal, or judge again and blind.

    A re-check changes nothing but the agreement; a rejection needs a reason, as the author reads it.

    Raises:
        AppError: forbidden, not_found, invalid_request, already_decided, nothing_to_decide.
    """
    check_may_review(user, workspace)
    needs_reason = outcome == Outcome.REJECTED and task != Task.RECHECK
    reason = checked_words("reason", reason, least=1 if needs_reason else 0, most=MAX_REASON_CHARS)
    with transaction.atomic():
        audit.lock(workspace.id)
        artifact = selectors.artifact_for_reviewer(user, workspace.id, artifact_id)
        if artifact is None:
            raise not_found("result")
        _check_waits(artifact, task)
        if not selectors.may_decide(user, artifact, task):
            raise AppError("forbidden", 403, _not_yours(user, artifact))
        number = Decision.objects.filter(workspace=workspace, task=Task.HELD).count() + 1
        decision = Decision.objects.create(
            workspace=workspace,
            artifact=artifact,
            task=task,
            outcome=outcome,
            reason=reason,
            reviewer=user,
            is_sampled=task == Task.HELD and _comes_back(workspace, number),
            content_sha256=selectors.content_sha256_of(artifact),
        )
        _carry_out(decision, artifact)
        details = {"outcome": outcome.value, "reason": reason, "content_sha256": decision.content_sha256}
        audit.append(workspace.id, _act_of(decision), actor=user, subject=held.subject_of(artifact.id), details=details)
    return decision


def _comes_back(workspace: Workspace, number: int) -> bool:
    return agreement.is_sampled(str(workspace.id), number, key=settings.SECRET_KEY.encode())


def _check_waits(artifact: Artifact, task: Decision.Task) -> None:
    decisions = {one.task: one for one in artifact.decisions.select_related("reviewer")}
    if task in decisions:
        raise _already(decisions[task])
    first = decisions.get(Task.HELD)
    is_waiting = {
        Task.HELD: artifact.status == Artifact.Status.HELD,
        Task.APPEAL: artifact.status == Artifact.Status.REJECTED and Appeal.objects.filter(artifact=artifact).exists(),
        Task.RECHECK: first is not None and first.is_sampled,
    }
    if not is_waiting[task]:
        what = {Task.HELD: "is not held", Task.APPEAL: "has no open appeal", Task.RECHECK: "is not among the re-checks"}
        raise AppError("nothing_to_decide", 409, f"This result {what[task]}, so there is nothing to decide.")


def _already(decision: Decision) -> AppError:
    seconds = max(0, round((timezone.now() - decision.created_at).total_seconds()))
    when = f"{seconds} s ago" if seconds < 120 else f"on {decision.created_at:%d %B %Y at %H:%M} UTC"
    message = f"{decision.reviewer.username} {decision.outcome} this {when}. Your decision was not taken."
    return AppError("already_decided", 409, message)


def _not_yours(user: User, artifact: Artifact) -> str:
    if artifact.created_by_id == user.id:
        return "This is your own result: another reviewer of the workspace decides about it."
    return "You decided about this before: another reviewer of the workspace looks at it now."


def _carry_out(decision: Decision, artifact: Artifact) -> None:
    if decision.task == Task.RECHECK or (decision.task == Task.APPEAL and decision.outcome == Outcome.REJECTED):
        return
    kept, rejected = Artifact.Status.KEPT, Artifact.Status.REJECTED
    before = Artifact.Status.HELD if decision.task == Task.HELD else rejected
    if not held.move(artifact.id, expected=before, to=kept if decision.outcome == Outcome.RELEASED else rejected):
        raise AppError("nothing_to_decide", 409, "Somebody else was faster: load the page again.")
    jobs_services.settle_review(artifact.job_id)


def _act_of(decision: Decision) -> AuditEntry.Act:
    if decision.task == Task.RECHECK:
        return Act.CHECKED
    is_released = decision.outcome == Outcome.RELEASED
    if decision.task == Task.APPEAL:
        return Act.OVERTURNED if is_released else Act.UPHELD
    return Act.RELEASED if is_released else Act.REJECTED


def appeal(
    user: User, artifact_id: UUID, words: str, *, may_reach: Callable[[UUID], bool] = lambda workspace_id: True
) -> Appeal:
    """Let the author answer a rejection, once; another reviewer reads it where there is one.

    Args:
        may_reach: whether the author's key acts in this workspace.

    Raises:
        AppError: not_found for everybody but the author, invalid_request, nothing_to_appeal, appealed_already.
    """
    artifact = selectors.own_artifact(user, artifact_id)
    if artifact is None or not may_reach(artifact.workspace_id):
        raise not_found("result of yours")
    words = checked_words("words", words, least=1, most=MAX_APPEAL_CHARS)
    with transaction.atomic():
        audit.lock(artifact.workspace_id)
        artifact.refresh_from_db(fields=["status"])
        if Appeal.objects.filter(artifact=artifact).exists():
            raise AppError("appealed_already", 409, "You have appealed already, and each result can be appealed once.")
        if artifact.status != Artifact.Status.REJECTED:
            raise AppError("nothing_to_appeal", 409, "This result was not rejected, so there is nothing to appeal.")
        made = Appeal.objects.create(artifact=artifact, workspace_id=artifact.workspace_id, words=words)
        subject = held.subject_of(artifact.id)
        audit.append(artifact.workspace_id, Act.APPEALED, actor=user, subject=subject, details={"words": words})
    return made
