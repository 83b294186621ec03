"""Reads: which workspaces a person has, and what a role may do there."""

from uuid import UUID

from django.db.models import QuerySet

from webapp.accounts.models import User
from webapp.workspaces.models import Membership, Workspace

GENERATING_ROLES = frozenset({Membership.Role.OWNER, Membership.Role.EDITOR})
REVIEWING_ROLES = frozenset({Membership.Role.OWNER, Membership.Role.REVIEWER})


def workspaces_of(user: User) -> QuerySet[Workspace]:
    """The workspaces that this person belongs to, oldest membership first."""
    return Workspace.objects.filter(memberships__user=user).order_by("memberships__created_at")


def role_in(user: User, workspace_id: UUID) -> str | None:
    """The person's role, or None for a stranger."""
    return Membership.objects.filter(user=user, workspace_id=workspace_id).values_list("role", flat=True).first()


def may_generate(user: User, workspace_id: UUID) -> bool:
    """Whether this person may start and cancel jobs here."""
    return role_in(user, workspace_id) in GENERATING_ROLES


def may_review(user: User, workspace_id: UUID) -> bool:
    """Whether this person may see what is held here and decide about it."""
    return role_in(user, workspace_id) in REVIEWING_ROLES


def is_owner(user: User, workspace_id: UUID) -> bool:
    """Whether this person sets the rules here."""
    return role_in(user, workspace_id) == Membership.Role.OWNER


def reviewers_of(workspace_id: UUID) -> frozenset[int]:
    """The ids of everybody who may review here."""
    members = Membership.objects.filter(workspace_id=workspace_id, role__in=REVIEWING_ROLES, user__is_active=True)
    return frozenset(members.values_list("user_id", flat=True))
