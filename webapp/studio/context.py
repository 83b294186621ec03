"""What every page needs: the person's workspaces, the prompt bar, the number of open jobs, the nets."""

from collections.abc import Mapping
from functools import cache
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from webapp.accounts.models import User
from webapp.catalog import selectors as catalog
from webapp.gallery import selectors as gallery
from webapp.gallery.recall import recalled
from webapp.jobs import selectors as jobs
from webapp.review.selectors import num_waiting_for
from webapp.studio import prompt_bar
from webapp.workspaces.current import current
from webapp.workspaces.models import Membership
from webapp.workspaces.selectors import REVIEWING_ROLES, role_in, workspaces_of


def studio(request: HttpRequest) -> dict[str, Any]:
    """Django's hook; what a view puts into its own context wins. Fragments that read none of it cost no query."""
    user = getattr(request, "user", None)
    workspace = current(request, user) if isinstance(user, User) else None
    if workspace is None or not isinstance(user, User):
        return {"nets": [], "workspaces": [], "workspace": None, "prompt_bar": None}
    match = request.resolver_match
    is_studio = match is not None and match.url_name == "studio"  # only there does the address recall a request
    asked = request.GET.dict() if is_studio else {}
    nets = catalog.nets()
    role = cache(lambda: role_in(user, workspace.id))
    return {
        "nets": nets,
        "can_walk": any("walk" in net.abilities for net in nets),
        "workspaces": workspaces_of(user),
        "workspace": workspace,
        "may_review": SimpleLazyObject(lambda: role() in REVIEWING_ROLES),
        "is_owner": SimpleLazyObject(lambda: role() == Membership.Role.OWNER),
        "num_to_review": SimpleLazyObject(lambda: num_waiting_for(user, workspace)),
        "num_open_jobs": SimpleLazyObject(jobs.open_jobs_of(workspace).count),
        "prompt_bar": SimpleLazyObject(lambda: prompt_bar.restored(user, workspace, _recalled(user, asked))),
    }


def _recalled(user: User, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the address puts into the bar: part of a request by the id of its artifact or job, or field by field."""
    try:
        if "artifact" in asked:
            artifact = gallery.artifact_for_viewer(user, UUID(asked["artifact"]))
            return recalled(artifact, asked.get("recall", "")) if artifact else {}
        if "job" in asked:
            job = jobs.job_for_watcher(user, UUID(asked["job"]))
            return {"kind": job.kind, "prompt": job.prompt} if job else {}
    except ValueError:  # no id
        return {}
    return asked
