"""Writes about workspaces and their members."""

from webapp.accounts.models import User
from webapp.workspaces.models import Membership, Workspace


def ensure_workspace(*, slug: str, name: str, owner: User) -> Workspace:
    """The workspace with this slug, made when missing, with this person among its members.

    A membership that exists keeps its role. Safe to call from many processes at once.
    """
    workspace, _ = Workspace.objects.get_or_create(slug=slug, defaults={"name": name})
    Membership.objects.get_or_create(workspace=workspace, user=owner, defaults={"role": Membership.Role.OWNER})
    return workspace
