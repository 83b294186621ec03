"""The policy page: what is in force, a form to change it, and every earlier version with what it changed."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from webapp.accounts.models import User
from webapp.accounts.signed_in import person, sign_in_required
from webapp.errors import AppError
from webapp.safety import forms, selectors, services
from webapp.workspaces import current
from webapp.workspaces.models import Workspace
from webapp.workspaces.selectors import is_owner

NUM_VERSIONS = 50


@sign_in_required
@require_http_methods(["GET", "HEAD", "POST"])
def policy(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the policy to an owner; POST changes it."""
    user = person(request)
    workspace = current.enter_by_slug(request, user, slug)
    if not is_owner(user, workspace.id):
        raise AppError("forbidden", 403, "Only an owner of the workspace may see and change its policy here.")
    if request.method != "POST":
        return _page(request, workspace, {"stages": forms.stages_of(selectors.policy_of(workspace.id).policy)})
    try:
        return _change(request, user, workspace)
    except AppError as error:
        typed = {name: str(value) for name, value in request.POST.items()}
        shown = {"stages": forms.typed_stages(typed, error), "note": typed.get("note", ""), "error": error}
        shown["note_problem"] = forms.problems_of(error).get("note", "")
        return _page(request, workspace, shown, status=error.http_status)


def _change(request: HttpRequest, user: User, workspace: Workspace) -> HttpResponse:
    based_on = request.POST.get("based_on", "")
    wanted = forms.parse({name: str(value) for name, value in request.POST.items()})
    number = int(based_on) if based_on.isascii() and based_on.isdigit() and len(based_on) < 10 else -1
    before = selectors.policy_of(workspace.id).number
    now = services.change_policy(user, workspace, wanted, based_on=number, note=request.POST.get("note", ""))
    is_new = now.number != before
    messages.success(request, f"Version {now.number} is in force." if is_new else "Nothing was changed.")
    return redirect("policy", workspace.slug)


def _page(request: HttpRequest, workspace: Workspace, shown: dict[str, Any], *, status: int = 200) -> HttpResponse:
    history = selectors.history_of(workspace.id)
    context = {
        "in_force": selectors.policy_of(workspace.id),
        "history": history[:NUM_VERSIONS],
        "num_versions": len(history),
    }
    context |= {"max_note_chars": services.MAX_NOTE_CHARS, "prompt_bar": None} | shown
    response = render(request, "safety/policy.html", context, status=status)
    response["Cache-Control"] = "no-store"
    return response
