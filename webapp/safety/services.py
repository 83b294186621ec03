"""Writes: verdicts as they are given, and the terms that a workspace refuses or sends to review."""

from collections.abc import Iterable
from uuid import UUID

from webapp.errors import AppError
from webapp.safety import rules
from webapp.safety.models import Action, BlockedTerm, Verdict

MAX_TERM_CHARS = 200
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
        )
        for result in results
    )


def _invalid(field: str, value: str, message: str, allowed: str) -> AppError:
    problem = {"field": field, "code": "value_error", "message": message, "value": value, "allowed": allowed}
    return AppError("invalid_request", 422, f"{field}: {message}", problems=[problem])


def set_term(workspace_id: UUID, term: str, action: str) -> BlockedTerm:
    """Refuse (`block`) or send to review (`review`) what holds this term from now on; a known term changes its action.

    Raises:
        AppError: invalid_request, when the term is empty, too long or not printable, or the action is another one.
    """
    term = " ".join(term.split())
    shown = term.encode("utf-8", "backslashreplace").decode()
    if action not in TERM_ACTIONS:
        raise _invalid("action", action, "choose what happens on a match", " or ".join(TERM_ACTIONS))
    if len(term) > MAX_TERM_CHARS:
        raise _invalid("term", f"{shown[:100]}...", "shorten the term", f"at most {MAX_TERM_CHARS} characters")
    if not rules.keys_of(term) or shown != term or not term.isprintable():
        raise _invalid("term", ascii(term), "write a word or phrase of visible characters", "1 to 200 characters")
    row, _ = BlockedTerm.objects.update_or_create(workspace_id=workspace_id, term=term, defaults={"action": action})
    return row


def remove_term(workspace_id: UUID, term: str) -> bool:
    """Stop refusing this term; False when it was not on the list."""
    num_removed, _ = BlockedTerm.objects.filter(workspace_id=workspace_id, term=" ".join(term.split())).delete()
    return num_removed > 0
