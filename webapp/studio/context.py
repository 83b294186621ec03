"""What every page needs: the person's workspaces, the prompt bar, the number of open jobs, the nets."""

from typing import Any

from django.http import HttpRequest, QueryDict
from django.utils.functional import SimpleLazyObject

from webapp.accounts.models import User
from webapp.catalog import selectors as catalog
from webapp.jobs import selectors as jobs
from webapp.studio import prompt_bar
from webapp.workspaces.current import current
from webapp.workspaces.selectors import workspaces_of


def studio(request: HttpRequest) -> dict[str, Any]:
    """Django's hook; what a view puts into its own context wins. Fragments that read none of it cost no query."""
    user = getattr(request, "user", None)
    workspace = current(request, user) if isinstance(user, User) else None
    if workspace is None or not isinstance(user, User):
        return {"nets": [], "workspaces": [], "workspace": None, "prompt_bar": None}
    match = request.resolver_match
    is_studio = match is not None and match.url_name == "studio"  # only there does the address recall a request
    recalled = request.GET if is_studio else QueryDict()
    return {
        "nets": catalog.nets(),
        "workspaces": workspaces_of(user),
        "workspace": workspace,
        "num_open_jobs": SimpleLazyObject(jobs.open_jobs_of(workspace).count),
        "prompt_bar": SimpleLazyObject(lambda: prompt_bar.restored(user, workspace, recalled)),
    }
