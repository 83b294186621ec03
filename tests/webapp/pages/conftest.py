"""A person in a workspace of their own, signed in. Models come from the registry: Django is not yet up on import."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

WAIT_MS = 60_000


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


@pytest.fixture
def page(browser: Browser, live_server: LiveServer, membership: Any) -> Iterator[Page]:
    """A signed-in page that fails the test on any script error; no worker runs, so jobs stay as the test makes them."""
    client = Client()
    client.force_login(membership.user)
    context = browser.new_context(base_url=live_server.url)
    cookie = {
        "name": settings.SESSION_COOKIE_NAME,
        "value": client.cookies[settings.SESSION_COOKIE_NAME].value,
        "url": live_server.url,
    }
    context.add_cookies([cookie])  # type: ignore[list-item]
    context.set_default_timeout(WAIT_MS)
    expect.set_options(timeout=WAIT_MS)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if "Security Policy" in message.text else None)
    yield page
    context.close()
    assert wrong == []
