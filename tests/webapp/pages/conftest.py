"""A person in a workspace of their own, signed in. Models come from the registry: Django is not yet up on import."""

from typing import Any

import pytest
from django.apps import apps
from django.test import Client


@pytest.fixture
def membership(db: None) -> Any:
    """The owner of a workspace, without a password: hashing one takes time."""
    user = apps.get_model("accounts.User").objects.create_user("Ada", "ada@example.org")
    workspace = apps.get_model("workspaces.Workspace").objects.create(name="Mosaics", slug="mosaics")
    return apps.get_model("workspaces.Membership").objects.create(user=user, workspace=workspace, role="owner")


@pytest.fixture
def ada(client: Client, membership: Any) -> Client:
    """A client that has signed in as that owner."""
    client.force_login(membership.user)
    return client
