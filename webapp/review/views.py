"""Pages of reviews: the queue with one thing to decide at a time, and the author's appeal."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from genworkers.contract.base import KINDS
from webapp.accounts.models import User
from webapp.accounts.signed_in import person, sign_in_required
from webapp.errors import invalid_fields, not_found, problem
from webapp.gallery import held
from webapp.gallery import selectors as gallery
from webapp.gallery.models import Artifact
from webapp.review import selectors, services
from webapp.review.selectors import Waiting
from webapp.safety.models import Appeal, Decision
from webapp.safety.policy import CATEGORY_WORDS
from webapp.workspaces import current
from webapp.workspaces.models import Workspace

FILTERS = {"task": Decision.Task.values, "kind": KINDS, "category": tuple(CATEGORY_WORDS)}


@sign_in_required
@require_safe
def queue(
    request: HttpRequest, slug: str, task: Decision.Task | None = None, artifact_id: UUID | None = None
) -> HttpResponse:
    """What waits, and one of it; `?part=list` gives the list alone, for a page that is open already."""
    user, workspace = _reviewer(request, slug)
    filters = {name: value for name, allowed in FILTERS.items() if (value := request.GET.get(name, "")) in allowed}
    items = selectors.waiting_for(user, workspace, **filters)
    chosen = _chosen(user, workspace, items, task, artifact_id)
    kept = QueryDict(mutable=True)
    kept.update(filters)
    context: dict[str, Any] = {
        "items": items,
        "chosen": chosen,
        "numbers": selectors.numbers_of(user, workspace),
        "filters": filters,
        "kept": kept.urlencode(),
        "tasks": Decision.Task.choices,
        "categories": CATEGORY_WORDS,
        "max_reason_chars": services.MAX_REASON_CHARS,
        "prompt_bar": None,  # its keys would be in the way, and on a phone so would it
    }
    if chosen is not None:
        context |= _item_context(chosen)
    template = "review/_list.html" if request.GET.get("part") == "list" else "review/review.html"
    response = render(request, template, context)
    response["Cache-Control"] = "no-store"
    return response


def _reviewer(request: HttpRequest, slug: str) -> tuple[User, Workspace]:
    user = person(request)
    workspace = current.enter_by_slug(request, user, slug)
    services.check_may_review(user, workspace)
    return user, workspace


def _chosen(
    user: User, workspace: Workspace, items: list[Waiting], task: Decision.Task | None, artifact_id: UUID | None
) -> Waiting | None:
    """The thing in the address, else the first that waits. One that was decided meanwhile is no error here."""
    if artifact_id is None:
        return items[0] if items else None
    found = next((item for item in items if item.artifact.id == artifact_id and item.task == task), None)
    if found is None and selectors.artifact_for_reviewer(user, workspace.id, artifact_id) is None:
        raise not_found("result")
    return found


def _item_context(item: Waiting) -> dict[str, Any]:
    if item.task == Decision.Task.RECHECK:  # blind: neither what was decided here, nor about the same content
        return {}
    decisions = {one.task: one for one in item.artifact.decisions.select_related("reviewer")}
    return {"first": decisions.get(Decision.Task.HELD), "before": selectors.decided_before(item.artifact)}


@sign_in_required
@require_POST
def reveal(request: HttpRequest, slug: str, task: Decision.Task, artifact_id: UUID) -> HttpResponse:
    """The prompt and the result themselves; that this person looked is written down."""
    user, workspace = _reviewer(request, slug)
    artifact = _artifact(user, workspace, artifact_id)
    held.look(user, artifact, is_blind=task == Decision.Task.RECHECK)
    context = {"artifact": artifact, "text": gallery.text_of(artifact) if artifact.kind == "text" else None}
    template = "review/_content.html" if request.headers.get("HX-Request") == "true" else "review/content.html"
    response = render(request, template, context | {"task": task, "prompt_bar": None})
    response["Cache-Control"] = "no-store"
    return response


def _artifact(user: User, workspace: Workspace, artifact_id: UUID) -> Artifact:
    artifact = selectors.artifact_for_reviewer(user, workspace.id, artifact_id)
    if artifact is None:
        raise not_found("result")
    return artifact


@sign_in_required
@require_POST
def decide(request: HttpRequest, slug: str, task: Decision.Task, artifact_id: UUID) -> HttpResponse:
    """Take a decision; the page that is open already removes what was decided by itself."""
    user, workspace = _reviewer(request, slug)
    outcome = _outcome(request.POST.get("outcome", ""))
    reason = request.POST.get("reason", "")
    decision = services.decide(user, workspace, artifact_id, task=task, outcome=outcome, reason=reason)
    if request.headers.get("HX-Request") == "true":
        return HttpResponse(status=204)
    messages.success(request, f"You {decision.outcome} it.")
    return redirect("review", workspace.slug)


def _outcome(posted: str) -> Decision.Outcome:
    if posted in Decision.Outcome.values:
        return Decision.Outcome(posted)
    allowed = " or ".join(Decision.Outcome.values)
    raise invalid_fields([problem("outcome", "value_error", "say what you decide", posted, allowed)])


@sign_in_required
@require_POST
def appeal(request: HttpRequest, artifact_id: UUID) -> HttpResponse:
    """Send the author's words to a reviewer, then back to the job."""
    made: Appeal = services.appeal(person(request), artifact_id, request.POST.get("words", ""))
    messages.success(request, "Your appeal was sent. Another reviewer reads it where there is one.")
    return redirect("job", made.artifact.job_id)
