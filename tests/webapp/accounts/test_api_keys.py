"""API keys: shown once, kept as a digest, dead when revoked, expired, or when their person has left."""

import hashlib
from datetime import timedelta

import pytest
from django.utils import timezone

from tests.factories import MembershipFactory
from webapp.accounts import services
from webapp.accounts.models import ApiKey
from webapp.errors import AppError
from webapp.workspaces.models import Membership

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner() -> Membership:
    return MembershipFactory.create()


def make_key(owner: Membership, name: str = "notebook") -> tuple[ApiKey, str]:
    return services.create_api_key(owner.user, owner.workspace, name, ["read"])


def test_only_the_digest_of_a_key_is_kept(owner: Membership) -> None:
    key, raw_key = make_key(owner)
    assert raw_key.startswith(f"tsk_{key.prefix}_")
    assert len(raw_key.split("_", 2)[2]) == 43  # 256 bits in base64
    row = ApiKey.objects.filter(id=key.id).values().get()
    assert row["sha256"] == hashlib.sha256(raw_key.encode()).hexdigest()
    assert raw_key.split("_", 2)[2] not in str(row)


def test_a_key_finds_its_row_and_nothing_else_does(owner: Membership) -> None:
    key, raw_key = make_key(owner)
    assert services.authenticate_key(raw_key) == key
    for wrong in ("", "tsk_", raw_key[:-1], raw_key + "x", raw_key.upper(), key.sha256, "tsk_\ud800", "tsk_é"):
        assert services.authenticate_key(wrong) is None


def test_a_revoked_key_is_dead(owner: Membership) -> None:
    key, raw_key = make_key(owner)
    services.revoke_api_key(key)
    assert services.authenticate_key(raw_key) is None


def test_a_key_ends_at_its_time(owner: Membership) -> None:
    key, raw_key = services.create_api_key(
        owner.user, owner.workspace, "for a day", ["read"], timezone.now() + timedelta(days=1)
    )
    assert services.authenticate_key(raw_key) == key
    ApiKey.objects.update(expires_at=timezone.now())
    assert services.authenticate_key(raw_key) is None


def test_a_key_dies_with_its_persons_membership(owner: Membership) -> None:
    _, raw_key = make_key(owner)
    owner.delete()
    assert services.authenticate_key(raw_key) is None


def test_a_key_dies_with_its_persons_account(owner: Membership) -> None:
    _, raw_key = make_key(owner)
    owner.user.is_active = False
    owner.user.save()
    assert services.authenticate_key(raw_key) is None


def test_last_use_is_written_at_most_once_a_minute(owner: Membership) -> None:
    key, raw_key = make_key(owner)
    services.authenticate_key(raw_key)
    key.refresh_from_db()
    first = key.last_used_at
    assert first is not None
    services.authenticate_key(raw_key)
    key.refresh_from_db()
    assert key.last_used_at == first
    ApiKey.objects.update(last_used_at=first - timedelta(seconds=61))
    services.authenticate_key(raw_key)
    key.refresh_from_db()
    assert key.last_used_at is not None
    assert key.last_used_at > first


def test_a_name_is_given_once_per_workspace(owner: Membership) -> None:
    make_key(owner)
    with pytest.raises(AppError) as refused:
        make_key(owner)
    assert refused.value.code == "api_key_name_taken"
    make_key(MembershipFactory.create(user=owner.user))
    assert ApiKey.objects.count() == 2


@pytest.mark.parametrize(
    ("name", "scopes", "field"),
    [
        ("", ["read"], "name"),
        ("   ", ["read"], "name"),
        ("x" * 101, ["read"], "name"),
        ("a\x00b", ["read"], "name"),
        ("fine", ["admin"], "scopes"),
        ("fine", ["read", ""], "scopes"),
        ("fine", [], "scopes"),
    ],
)
def test_a_bad_key_is_refused_and_leaves_nothing(owner: Membership, name: str, scopes: list[str], field: str) -> None:
    with pytest.raises(AppError) as refused:
        services.create_api_key(owner.user, owner.workspace, name, scopes)
    assert refused.value.http_status == 422
    assert refused.value.problems[0]["field"] == field
    assert refused.value.problems[0]["allowed"]
    assert not ApiKey.objects.exists()


def test_a_key_cannot_be_born_expired(owner: Membership) -> None:
    with pytest.raises(AppError) as refused:
        services.create_api_key(owner.user, owner.workspace, "late", ["read"], timezone.now())
    assert refused.value.problems[0]["field"] == "expires_at"
