"""Which workspace this browser looks at: kept in the session, so that every page can show its prompt bar."""

from django.http import HttpRequest

from webapp.accounts.models import User
from webapp.errors import not_found
from webapp.workspaces.models import Workspace
from webapp.workspaces.selectors import workspaces_of

SESSION_KEY = "workspace"


def enter(request: HttpRequest, workspace: Workspace) -> None:
    """Remember a workspace that the caller has found to be this person's."""
    if request.session.get(SESSION_KEY) != workspace.slug:
        request.session[SESSION_KEY] = workspace.slug


def enter_by_slug(request: HttpRequest, user: User, slug: str) -> Workspace:
    """The workspace at this address, remembered.

    Raises:
        AppError: not_found, for an unknown one and for one that this person is no member of.
    """
    workspace = workspaces_of(user).filter(slug=slug).first()
    if workspace is None:
        raise not_found("workspace")
    enter(request, workspace)
    return workspace


def current(request: HttpRequest, user: User) -> Workspace | None:
    """The remembered workspace, else the person's first, else None."""
    mine = workspaces_of(user)
    return mine.filter(slug=request.session.get(SESSION_KEY, "")).first() or mine.first()
