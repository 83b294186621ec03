"""Writes: verdicts as they are given, a workspace's policy, and the terms that it refuses or sends to review."""

from collections.abc import Iterable
from uuid import UUID

from django.db import transaction

from genworkers.contract.base import without_controls
from webapp.accounts.models import User
from webapp.errors import AppError, invalid_fields, problem
from webapp.safety import policy as policies
from webapp.safety import rules, selectors
from webapp.safety.models import Action, BlockedTerm, PolicyVersion, Verdict
from webapp.safety.policy import Policy
from webapp.safety.selectors import PolicyInForce
from webapp.workspaces import audit
from webapp.workspaces.models import AuditEntry, Workspace
from webapp.workspaces.selectors import is_owner

BLOCKED_MESSAGE = "A rule of this workspace does not allow this. Change the wording, or ask an owner about the rule."
MAX_TERM_CHARS = 200
MAX_NOTE_CHARS = 500
TERM_ACTIONS = (Action.BLOCK.value, Action.REVIEW.value)


def record(job_id: UUID, results: Iterable[rules.ScreenResult], *, artifact_id: UUID | None = None) -> None:
    """Keep what the screens said about a job, or about one of its artifacts."""
    Verdict.objects.bulk_create(
        Verdict(
            job_id=job_id,
            artifact_id=artifact_id,
            stage=result.stage,
            screen=result.screen,
            version=result.version,
            action=result.action,
            matched=result.matched,
            scores=result.scores,
            policy_number=result.policy_number,
            content_sha256=result.content_sha256,
        )
        for result in results
    )


def record_once(job_id: UUID, results: Iterable[rules.ScreenResult]) -> None:
    """Keep what screens said about a job before any result, unless an earlier attempt has kept it."""
    known = set(Verdict.objects.filter(job_id=job_id, artifact=None).values_list("stage", "screen"))
    record(job_id, [result for result in results if (result.stage, result.screen) not in known])


def refusal_of(result: rules.ScreenResult) -> str:
    """What the person is told whose job this verdict ends: a net's category by its name, a term by none."""
    if result.policy_number is None:
        return BLOCKED_MESSAGE
    what = policies.STAGE_WORDS[result.stage]
    if not result.may_be_kept:
        why = policies.CATEGORY_WORDS[policies.ZERO_TOLERANCE]
        return (
            f"Refused: {what} was taken for {why}. Nothing of it was kept but a hash. "
            "If that is wrong, give this job's id to an owner of the workspace."
        )
    why = policies.in_words(result.matched[:1])
    return f"The policy of this workspace refuses {what}: {why}. Change it, or ask an owner about the policy."


def change_policy(user: User, workspace: Workspace, policy: Policy, *, based_on: int, note: str = "") -> PolicyInForce:
    """Put a policy in force from now on; one that changes nothing makes no new version.

    Args:
        based_on: the number of the version that was read, so that two owners do not undo each other unseen.
        note: why, for the history; at most 500 characters.

    Raises:
        AppError: forbidden, invalid_request, policy_changed.
    """
    if not is_owner(user, workspace.id):
        raise AppError("forbidden", 403, "Only an owner of the workspace may change its policy.")
    policies.check(policy)
    note = checked_words("note", note, least=0, most=MAX_NOTE_CHARS)
    with transaction.atomic():
        audit.lock(workspace.id)
        now = selectors.policy_of(workspace.id)
        if now.number != based_on:
            raise _changed_meanwhile(now, based_on)
        changes = policies.changes(now.policy, policy)
        if not changes:
            return now
        version = PolicyVersion.objects.create(
            workspace=workspace,
            number=now.number + 1,
            thresholds=policy.model_dump(mode="json"),
            note=note,
            created_by=user,
        )
        details = {
            "note": note,
            "changes": [
                {"field": f"{one.stage}.{one.category}.{one.field}", "before": one.before, "after": one.after}
                for one in changes
            ],
        }
        subject = f"policy {version.number}"
        audit.append(workspace.id, AuditEntry.Act.POLICY_CHANGED, actor=user, subject=subject, details=details)
    return PolicyInForce(version.number, policy, version)


def _changed_meanwhile(now: PolicyInForce, based_on: int) -> AppError:
    who = "" if now.version is None else f" {now.version.created_by.username} made version {now.number}."
    message = f"The policy is not the one that you changed any more.{who} Read it again, then make your change."
    wrong = problem("based_on", "policy_changed", "another version is in force", based_on, str(now.number))
    return AppError("policy_changed", 409, message, problems=[wrong])


def checked_words(field: str, text: str, *, least: int, most: int) -> str:
    """What somebody wrote for others to read, without white space around it.

    Raises:
        AppError: invalid_request, when it is too short, too long, or has control characters or unpaired surrogates.
    """
    text = text.replace("\r\n", "\n").strip()
    wrong = ""
    try:
        without_controls(text).encode()
    except UnicodeEncodeError:
        wrong = "it holds half of a character (an unpaired surrogate)"
    except ValueError as error:
        wrong = str(error)
    if len(text) < least:
        wrong = "write at least a word, for the person who made it" if field == "reason" else "write at least a word"
    elif len(text) > most:
        wrong = f"shorten it: it has {len(text)} characters"
    if wrong:
        raise _invalid(field, text, wrong, f"{least} to {most} characters")
    return text


def _invalid(field: str, value: str, message: str, allowed: str) -> AppError:
    return invalid_fields([problem(field, "value_error", message, value, allowed)])


def set_term(workspace_id: UUID, term: str, action: str, *, actor: User | None = None) -> BlockedTerm:
    """Refuse (`block`) or send to review (`review`) what holds this term from now on; a known term changes its action.

    Args:
        actor: who, for the audit log; None is an operator at the command line.

    Raises:
        AppError: invalid_request, when the term is empty, too long or not printable, or the action is another one.
    """
    term = " ".join(term.split())
    if action not in TERM_ACTIONS:
        raise _invalid("action", action, "choose what happens on a match", " or ".join(TERM_ACTIONS))
    if len(term) > MAX_TERM_CHARS:
        raise _invalid("term", term, "shorten the term", f"at most {MAX_TERM_CHARS} characters")
    if not rules.keys_of(term) or not term.isprintable():
        raise _invalid("term", ascii(term), "write a word or phrase of visible characters", "1 to 200 characters")
    with transaction.atomic():
        row, _ = BlockedTerm.objects.update_or_create(workspace_id=workspace_id, term=term, defaults={"action": action})
        details = {"term": term, "action": action}
        audit.append(workspace_id, AuditEntry.Act.TERM_SET, actor=actor, subject=f"term {row.id}", details=details)
    return row


def remove_term(workspace_id: UUID, term: str, *, actor: User | None = None) -> bool:
    """Stop refusing this term; False when it was not on the list."""
    with transaction.atomic():
        row = BlockedTerm.objects.filter(workspace_id=workspace_id, term=" ".join(term.split())).first()
        if row is None:
            return False
        subject, details = f"term {row.id}", {"term": row.term, "action": row.action}
        row.delete()
        audit.append(workspace_id, AuditEntry.Act.TERM_REMOVED, actor=actor, subject=subject, details=details)
    return True
