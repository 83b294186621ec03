"""Callers of the API: Django clients that act as one person, with a key or with a session."""

from typing import Any

from django.test import AsyncClient, Client

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


class AsyncCaller:
    """Calls through the ASGI handler with a new key of this member; for what streams or waits."""

    def __init__(self, member: Membership) -> None:
        self._client = AsyncClient()
        self.headers = bearer(member)

    async def get(self, address: str, **headers: str) -> Any:
        """The answer to a GET."""
        return await self._client.get(address, headers=self.headers | headers)

    async def post(self, address: str, body: Any, **headers: str) -> Any:
        """The answer to a POST of JSON."""
        return await self._client.post(address, body, content_type="application/json", headers=self.headers | headers)
