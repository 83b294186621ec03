"""Signing in, by link and by password, and the account page."""

from django.test import Client
from sesame.utils import get_query_string

from webapp.accounts.models import ApiKey, User
from webapp.accounts.services import authenticate_key
from webapp.workspaces.models import Membership


def test_a_link_signs_in_once(client: Client, membership: Membership) -> None:
    link = "/accounts/link/" + get_query_string(membership.user)
    response = client.get(link)
    assert response["Location"] == "/"
    assert response["Referrer-Policy"] == "no-referrer"
    again = Client().get(link, follow=True)
    assert "used already" in again.content.decode()
    assert again.redirect_chain == [("/accounts/login/", 302)]


def test_a_wrong_link_says_so(client: Client, db: None) -> None:
    for query in ("", "?sesame=nonsense"):
        assert "used already" in client.get(f"/accounts/link/{query}", follow=True).content.decode()


def test_a_password_signs_in_and_a_wrong_one_is_named_and_the_mail_kept(client: Client, membership: Membership) -> None:
    membership.user.set_password("tessera")
    membership.user.save()
    wrong = client.post("/accounts/login/", {"login": membership.user.email, "password": "nonsense"})
    assert f'value="{membership.user.email}"' in wrong.content.decode()
    assert "field__error" in wrong.content.decode()
    right = client.post("/accounts/login/", {"login": membership.user.email, "password": "tessera"})
    assert right["Location"] == "/"


def test_the_name_can_be_changed(ada: Client, membership: Membership) -> None:
    ada.post("/accounts/", {"username": "Mira"})
    assert User.objects.get().username == "Mira"
    refused = ada.post("/accounts/", {"username": "no spaces please"})
    assert refused.status_code == 422
    assert User.objects.get().username == "Mira"


def test_a_key_is_shown_once_works_and_can_be_revoked(ada: Client, membership: Membership) -> None:
    html = ada.post("/accounts/keys/", {"workspace": "mosaics", "name": "nightly", "scopes": ["read"]}).content.decode()
    raw_key = html.partition('<code class="raw-key">')[2].partition("<")[0]
    assert authenticate_key(raw_key) == ApiKey.objects.get()
    assert raw_key not in ada.get("/accounts/").content.decode()
    twice = ada.post("/accounts/keys/", {"workspace": "mosaics", "name": "nightly", "scopes": ["read"]})
    assert (twice.status_code, "already a key named" in twice.content.decode()) == (422, True)
    ada.post(f"/accounts/keys/{ApiKey.objects.get().id}/revoke/")
    assert authenticate_key(raw_key) is None


def test_nobody_revokes_a_foreign_key(ada: Client, membership: Membership) -> None:
    other = User.objects.create(username="other", email="other@example.org")
    key = ApiKey.objects.create(user=other, workspace=membership.workspace, name="x", sha256="0" * 64, scopes=["read"])
    assert ada.post(f"/accounts/keys/{key.id}/revoke/").status_code == 404


def test_nobody_signs_up_alone(client: Client, db: None) -> None:
    assert "By invitation only" in client.get("/accounts/signup/").content.decode()
