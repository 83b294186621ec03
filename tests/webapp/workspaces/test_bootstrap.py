"""`manage.py bootstrap`: a first start makes an owner, a workspace and an authority; a second changes nothing."""

import io
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test import Client

from webapp.accounts.models import User
from webapp.workspaces.models import Membership, Workspace

pytestmark = pytest.mark.django_db


def bootstrap(*arguments: str) -> str:
    out = io.StringIO()
    call_command("bootstrap", *arguments, stdout=out)
    return out.getvalue()


def link_in(output: str) -> str:
    (link,) = re.findall(rf"{settings.BASE_URL}/accounts/link/\?\S+", output)
    return str(link)


def test_a_first_start_makes_all_that_is_needed() -> None:
    output = bootstrap()
    owner = User.objects.get(email="owner@tessera.local")
    assert not owner.has_usable_password()
    membership = Membership.objects.get()
    assert (membership.user, membership.role) == (owner, "owner")
    assert (membership.workspace.slug, membership.workspace.name) == ("studio", "Studio")
    assert "owner@tessera.local" in output
    assert link_in(output)
    assert any(settings.AUTHORITY_DIR.iterdir())


def test_the_link_alone_can_be_asked_for() -> None:
    output = bootstrap("--link-only")
    assert output == f"{link_in(output)}\n"


def test_the_link_signs_in_once() -> None:
    path = link_in(bootstrap()).removeprefix(settings.BASE_URL)
    first, second = Client(), Client()
    assert first.get(path).status_code == 302
    assert "_auth_user_id" in first.session
    second.get(path)
    assert "_auth_user_id" not in second.session


def test_a_second_start_changes_nothing_and_gives_a_fresh_link() -> None:
    bootstrap()
    Membership.objects.update(role="reviewer")
    assert link_in(bootstrap())
    assert (User.objects.count(), Workspace.objects.count(), Membership.objects.count()) == (1, 1, 1)
    assert Membership.objects.get().role == "reviewer"


def test_an_owner_with_a_password_gets_no_link() -> None:
    bootstrap()
    owner = User.objects.get()
    owner.set_password("a password of their own")
    owner.save()
    assert bootstrap("--link-only") == ""
    output = bootstrap()
    assert "/accounts/link/" not in output
    assert f"Sign in as {owner.email} at {settings.BASE_URL}/" in output


@pytest.mark.django_db(transaction=True)
def test_many_starts_at_once_make_one_of_each() -> None:
    barrier = threading.Barrier(4)

    def start(_: int) -> str:
        barrier.wait()
        try:
            return bootstrap("--link-only")
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        outputs = list(pool.map(start, range(4)))
    assert all(link_in(output) for output in outputs)
    assert (User.objects.count(), Workspace.objects.count(), Membership.objects.count()) == (1, 1, 1)
