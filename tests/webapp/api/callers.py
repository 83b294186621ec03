"""Callers of the API: Django clients that act as one person, with a key or with a session."""

from django.test import Client

from webapp.accounts import services
from webapp.workspaces.models import Membership

SCOPES = ("read", "generate")


def bearer(member: Membership, *scopes: str) -> dict[str, str]:
    """The headers of a new key of this member, with both scopes unless told otherwise."""
    name = f"key {member.workspace.api_keys.count()}"
    _, raw_key = services.create_api_key(member.user, member.workspace, name, scopes or SCOPES)
    return {"Authorization": f"Bearer {raw_key}"}


def keyed(member: Membership, *scopes: str) -> Client:
    """A client that calls with a new key of this member."""
    return Client(headers=bearer(member, *scopes))


def signed_in(member: Membership) -> Client:
    """A client with the session of this member's person."""
    client = Client()
    client.force_login(member.user)
    return client
