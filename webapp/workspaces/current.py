"""Which workspace a page is about: the one in its address, else the one visited last, which the session remembers."""

from django.http import HttpRequest

from webapp.accounts.models import User
from webapp.errors import not_found
from webapp.workspaces.models import Workspace
from webapp.workspaces.selectors import workspaces_of

SESSION_KEY = "workspace"


def enter(request: HttpRequest, workspace: Workspace) -> None:
    """Remember a workspace that the caller has checked; what a page fetches for itself is no visit."""
    is_visit = request.headers.get("HX-Request") != "true"
    if is_visit and request.session.get(SESSION_KEY) != workspace.slug:
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
    """The workspace in the address, else the remembered one, else the person's first, else None."""
    mine = workspaces_of(user)
    address = request.resolver_match.kwargs if request.resolver_match else {}
    slug = address.get("slug") or request.session.get(SESSION_KEY, "")
    return mine.filter(slug=slug).first() or mine.first()
