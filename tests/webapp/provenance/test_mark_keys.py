"""Every workspace and epoch has a key of its own, and no secret is ever written down."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone
from pytest_django import Settings

from tests.factories import WorkspaceFactory
from webapp.provenance import mark_keys
from webapp.provenance.models import MarkKey


@pytest.mark.django_db
def test_a_workspace_keeps_its_key_for_an_epoch_and_then_gets_another() -> None:
    workspace = WorkspaceFactory.create()
    first = mark_keys.key_in_use(workspace.id)
    assert mark_keys.key_in_use(workspace.id) == first
    assert len(first.secret) == 32
    MarkKey.objects.update(created_at=timezone.now() - mark_keys.EPOCH - timedelta(seconds=1))
    second = mark_keys.key_in_use(workspace.id)
    assert second.key_id != first.key_id
    assert second.secret != first.secret
    assert list(mark_keys.all_keys()) == [second, first]


@pytest.mark.django_db
def test_workspaces_share_no_key_and_rows_hold_no_secret() -> None:
    keys = [mark_keys.key_in_use(WorkspaceFactory.create().id) for _ in range(3)]
    assert len({key.secret for key in keys}) == len({key.key_id for key in keys}) == 3
    stored = repr(list(MarkKey.objects.values()))
    assert not any(key.secret.hex() in stored or repr(key.secret) in stored for key in keys)


@pytest.mark.django_db
def test_another_secret_of_the_studio_begins_a_new_epoch_and_hides_the_old_keys(settings: Settings) -> None:
    workspace = WorkspaceFactory.create()
    former = mark_keys.key_in_use(workspace.id)
    settings.MARK_SECRET = "another secret"
    now = mark_keys.key_in_use(workspace.id)
    assert now.key_id != former.key_id
    assert list(mark_keys.all_keys()) == [now]


@pytest.mark.django_db(transaction=True)
def test_callers_at_once_agree_on_one_key() -> None:
    workspace_id: uuid.UUID = WorkspaceFactory.create().id

    def key(_: int) -> mark_keys.SecretKey:
        try:
            return mark_keys.key_in_use(workspace_id)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(key, range(8)))) == 1
    assert MarkKey.objects.count() == 1
