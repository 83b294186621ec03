"""The audit log as a page and as a download, for owners."""

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from webapp.accounts.signed_in import person, sign_in_required
from webapp.errors import AppError
from webapp.workspaces import audit, current
from webapp.workspaces.models import AuditEntry, Workspace
from webapp.workspaces.selectors import is_owner

NUM_PER_PAGE = 50


@sign_in_required
@require_safe
def audit_log(request: HttpRequest, slug: str) -> HttpResponse:
    """Every act, newest first; `?check=1` computes the chain anew."""
    workspace = _owned(request, slug)
    entries = AuditEntry.objects.filter(workspace=workspace).order_by("-number")
    page = Paginator(entries, NUM_PER_PAGE).get_page(request.GET.get("page"))
    report = audit.verify(workspace.id) if request.GET.get("check") == "1" else None
    response = render(request, "workspaces/audit.html", {"page": page, "report": report, "prompt_bar": None})
    response["Cache-Control"] = "no-store"
    return response


def _owned(request: HttpRequest, slug: str) -> Workspace:
    user = person(request)
    workspace = current.enter_by_slug(request, user, slug)
    if not is_owner(user, workspace.id):
        raise AppError("forbidden", 403, "Only an owner of the workspace may read its audit log.")
    return workspace


@sign_in_required
@require_safe
def audit_download(request: HttpRequest, slug: str) -> StreamingHttpResponse:
    """The whole log as JSON lines, oldest first, with every hash: enough to compute the chain elsewhere."""
    workspace = _owned(request, slug)
    name = f"{workspace.slug}-audit-{timezone.now():%Y-%m-%d}.jsonl"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingHttpResponse(audit.lines_of(workspace.id), content_type="application/jsonl", headers=headers)
