"""Where a visit starts."""

from django.test import Client

from tests.factories import MembershipFactory, UserFactory
from webapp.workspaces.models import Membership


def test_home_leads_to_the_studio_of_the_workspace_visited_last(ada: Client, membership: Membership) -> None:
    second = MembershipFactory.create(user=membership.user)
    assert ada.get("/")["Location"] == f"/w/{membership.workspace.slug}/"
    ada.get(f"/w/{second.workspace.slug}/")
    assert ada.get("/")["Location"] == f"/w/{second.workspace.slug}/"


def test_home_asks_a_stranger_to_sign_in(client: Client) -> None:
    assert client.get("/")["Location"] == "/accounts/login/?next=/"


def test_somebody_without_a_workspace_is_told_what_to_do(client: Client, db: None) -> None:
    client.force_login(UserFactory.create())
    assert "You are in no workspace yet" in client.get("/").content.decode()


def test_an_empty_studio_offers_samples(ada: Client, membership: Membership) -> None:
    html = ada.get(f"/w/{membership.workspace.slug}/").content.decode()
    assert "?kind=image&amp;prompt=a+red+apple" in html


def test_an_open_page_is_told_that_its_person_is_signed_out(client: Client, membership: Membership) -> None:
    headers = {"HX-Request": "true"}
    response = client.post(f"/w/{membership.workspace.slug}/", {"kind": "text", "prompt": "x"}, headers=headers)
    assert response.status_code == 401
    assert "unauthenticated" in response.content.decode()


def test_each_page_is_about_the_workspace_in_its_address(ada: Client, membership: Membership) -> None:
    second = MembershipFactory.create(user=membership.user)
    ada.get(f"/w/{second.workspace.slug}/")
    html = ada.get(f"/w/{membership.workspace.slug}/queue/").content.decode()
    assert f'action="/w/{membership.workspace.slug}/"' in html
    ada.get(f"/w/{second.workspace.slug}/queue/", {"part": "rows"}, headers={"HX-Request": "true"})
    assert ada.get("/")["Location"] == f"/w/{membership.workspace.slug}/"
