"""The audit log: a chain that says which link is broken, rows that stay as they are, and two writers at once."""

import io
import itertools
import json
import threading
from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, connections, transaction

from tests.factories import MembershipFactory, UserFactory, WorkspaceFactory
from webapp.workspaces import audit
from webapp.workspaces.append_only import WrittenOnceError
from webapp.workspaces.models import AuditEntry, Workspace

Act = AuditEntry.Act
TABLE = AuditEntry._meta.db_table


def filled(num_entries: int = 4) -> Workspace:
    """A workspace with so many entries."""
    member = MembershipFactory.create()
    for number in range(1, num_entries + 1):
        details = {"reason": f"Größe {number}", "score": 0.1 * number}
        audit.append(member.workspace.id, Act.LOOKED, actor=member.user, subject=f"artifact {number}", details=details)
    return member.workspace


def rewrite(statement: str) -> None:
    """Run SQL as somebody who has the database and has taken the triggers away."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("DROP TRIGGER IF EXISTS audit_entry_is_not_changed")
        else:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # no table is altered while foreign keys wait for a check
            cursor.execute(f"ALTER TABLE {TABLE} DISABLE TRIGGER audit_entry_is_kept")
        cursor.execute(statement)
        if connection.vendor == "postgresql":
            cursor.execute(f"ALTER TABLE {TABLE} ENABLE TRIGGER audit_entry_is_kept")


@pytest.mark.django_db
def test_each_entry_holds_the_hash_of_the_one_before_and_workspaces_have_chains_of_their_own() -> None:
    workspace = filled()
    filled(2)
    entries = list(AuditEntry.objects.filter(workspace=workspace))
    assert [entry.number for entry in entries] == [1, 2, 3, 4]
    assert entries[0].previous_hash == audit.NO_HASH
    assert all(later.previous_hash == earlier.hash for earlier, later in itertools.pairwise(entries))
    report = audit.verify(workspace.id)
    assert (report.num_entries, report.head_hash, report.broken_at) == (4, entries[-1].hash, None)
    assert audit.verify(WorkspaceFactory.create().id).num_entries == 0


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "broken_at", "problem"),
    [
        (f"UPDATE {TABLE} SET actor_name = 'Mallory' WHERE number = 2", 2, "its content does not match its hash"),
        (f"UPDATE {TABLE} SET details = '{{}}' WHERE number = 3", 3, "its content does not match its hash"),
        (f"UPDATE {TABLE} SET at = '2020-01-01 00:00:00+00:00' WHERE number = 1", 1, "does not match"),
        (f"UPDATE {TABLE} SET hash = '{'0' * 64}' WHERE number = 4", 4, "its content does not match its hash"),
        (f"UPDATE {TABLE} SET number = 9 WHERE number = 4", 9, "number 4 is missing before it"),
        (f"DELETE FROM {TABLE} WHERE number = 2", 3, "number 2 is missing before it"),
    ],
)
def test_the_first_broken_entry_is_named(change: str, broken_at: int, problem: str) -> None:
    workspace = filled()
    rewrite(change)
    report = audit.verify(workspace.id)
    assert report.broken_at == broken_at
    assert problem in report.problem
    with pytest.raises(CommandError, match=f"entry {broken_at} is broken"):
        call_command("verify_audit_log", workspace=workspace.slug)


@pytest.mark.django_db
def test_a_changed_entry_whose_hash_was_computed_anew_breaks_the_next_one() -> None:
    workspace = filled()
    entry = AuditEntry.objects.get(workspace=workspace, number=2)
    entry.act = Act.RELEASED
    rewrite(f"UPDATE {TABLE} SET act = 'released', hash = '{audit.hash_of(entry)}' WHERE number = 2")
    report = audit.verify(workspace.id)
    assert (report.broken_at, report.problem) == (3, "it does not hold the hash of the entry before")


@pytest.mark.django_db
def test_a_head_that_was_noted_shows_that_the_newest_entries_are_gone() -> None:
    workspace = filled()
    out = io.StringIO()
    call_command("verify_audit_log", stdout=out)
    head = out.getvalue().split("Head ")[1].strip()
    call_command("verify_audit_log", workspace=workspace.slug, expect=head)
    rewrite(f"DELETE FROM {TABLE} WHERE number = 4")
    call_command("verify_audit_log", workspace=workspace.slug)  # the chain alone cannot know
    with pytest.raises(CommandError, match="entry 4 is broken: it was noted, and is gone"):
        call_command("verify_audit_log", workspace=workspace.slug, expect=head)
    with pytest.raises(CommandError, match="NUMBER:HASH"):
        call_command("verify_audit_log", workspace=workspace.slug, expect="4")
    with pytest.raises(CommandError, match="no workspace 'nowhere'"):
        call_command("verify_audit_log", workspace="nowhere")


@pytest.mark.django_db
def test_the_head_of_an_empty_log_is_held_by_every_later_one() -> None:
    workspace = WorkspaceFactory.create()
    out = io.StringIO()
    call_command("verify_audit_log", stdout=out)
    head = out.getvalue().split("Head ")[1].strip()
    audit.append(workspace.id, Act.LOOKED, actor=None, subject="artifact 1")
    call_command("verify_audit_log", workspace=workspace.slug, expect=head)
    with pytest.raises(CommandError, match="entry 0 is broken"):
        call_command("verify_audit_log", workspace=workspace.slug, expect=f"0:{'1' * 64}")


@pytest.mark.django_db
def test_numbers_that_a_database_writes_otherwise_do_not_break_the_chain() -> None:
    workspace = WorkspaceFactory.create()
    numbers = {"zero": -0.0, "large": 1e16, "huge": 1.5e300, "small": 5e-324, "whole": 10**40, "plain": 0.1}
    details: dict[Any, Any] = {"numbers": [numbers], 7: r"no NUL: \u0000"}
    written = numbers | {"zero": 0.0, "large": 10**16, "huge": 15 * 10**299}
    audit.append(workspace.id, Act.LOOKED, actor=None, subject="artifact 1", details=details)
    assert audit.verify(workspace.id).broken_at is None
    expected = {"numbers": [written], "7": r"no NUL: \u0000"}
    assert json.dumps(AuditEntry.objects.get().details, sort_keys=True) == json.dumps(expected, sort_keys=True)


@pytest.mark.django_db
@pytest.mark.parametrize("value", [float("nan"), float("-inf"), "a\x00b", "\\\x00", "\ud800"])
def test_what_postgresql_cannot_hold_is_refused_everywhere(value: object) -> None:
    workspace = WorkspaceFactory.create()
    with pytest.raises(ValueError):
        audit.append(workspace.id, Act.LOOKED, actor=None, subject="artifact 1", details={"value": [value]})
    assert not AuditEntry.objects.exists()


@pytest.mark.django_db
def test_a_clock_that_was_set_back_is_said_and_breaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = filled(2)
    past = AuditEntry.objects.get(number=1).at - timedelta(days=1)
    monkeypatch.setattr("webapp.workspaces.audit.timezone.now", lambda: past)
    audit.append(workspace.id, Act.LOOKED, actor=None, subject="artifact 3")
    report = audit.verify(workspace.id)
    assert (report.broken_at, report.clock_back_at) == (None, (3,))
    out = io.StringIO()
    call_command("verify_audit_log", stdout=out)
    assert "entry 3 is dated before the one it follows" in out.getvalue()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "attempt",
    [
        lambda entry: entry.save(),
        lambda entry: entry.delete(),
        lambda entry: AuditEntry.objects.update(act="looked"),
        lambda entry: AuditEntry.objects.filter(number=1).delete(),
        lambda entry: AuditEntry.objects.bulk_update([entry], ["act"]),
        lambda entry: entry.workspace.audit_entries.all().delete(),
    ],
)
def test_django_neither_changes_nor_deletes_an_entry(attempt: Callable[[AuditEntry], object]) -> None:
    filled(1)
    with pytest.raises(WrittenOnceError):
        attempt(AuditEntry.objects.get())


@pytest.mark.django_db
@pytest.mark.parametrize("statement", [f"UPDATE {TABLE} SET act = 'looked'", f"DELETE FROM {TABLE}"])
def test_the_database_refuses_it_too(statement: str) -> None:
    filled(1)
    guard = import_module("webapp.workspaces.migrations.0002_audit_log").GUARD
    with connection.cursor() as cursor, transaction.atomic():
        if connection.vendor == "sqlite":  # see tests/conftest.py: the test database goes without this one
            cursor.execute(guard["sqlite"][1])
        with pytest.raises(DatabaseError, match="never"), transaction.atomic():
            cursor.execute(statement)
        if connection.vendor == "sqlite":
            cursor.execute("DROP TRIGGER audit_entry_is_not_deleted")
    assert AuditEntry.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_many_acts_at_once_make_one_chain() -> None:
    workspace = WorkspaceFactory.create()
    people = UserFactory.create_batch(4)

    def act(person: int) -> None:
        for _ in range(5):
            audit.append(workspace.id, Act.LOOKED, actor=people[person], subject="artifact 1")
        connections.close_all()

    threads = [threading.Thread(target=act, args=(person,)) for person in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report = audit.verify(workspace.id)
    assert (report.num_entries, report.broken_at) == (20, None)
