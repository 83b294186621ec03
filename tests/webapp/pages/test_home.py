"""Where a visit starts."""

from django.test import Client

from tests.factories import MembershipFactory, UserFactory
from webapp.workspaces.models import Membership


def test_home_leads_to_the_studio_of_the_workspace_visited_last(browser: Client, membership: Membership) -> None:
    second = MembershipFactory.create(user=membership.user)
    assert browser.get("/")["Location"] == f"/w/{membership.workspace.slug}/"
    browser.get(f"/w/{second.workspace.slug}/")
    assert browser.get("/")["Location"] == f"/w/{second.workspace.slug}/"


def test_home_asks_a_stranger_to_sign_in(client: Client) -> None:
    assert client.get("/")["Location"] == "/accounts/login/?next=/"


def test_somebody_without_a_workspace_is_told_what_to_do(client: Client, db: None) -> None:
    client.force_login(UserFactory.create())
    assert "You are in no workspace yet" in client.get("/").content.decode()


def test_an_empty_studio_offers_samples(browser: Client, membership: Membership) -> None:
    html = browser.get(f"/w/{membership.workspace.slug}/").content.decode()
    assert "?kind=image&amp;prompt=a+red+apple" in html
