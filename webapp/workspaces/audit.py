"""The audit log of a workspace: one row an act, each holding the hash of the one before. Append and verify.

A row that is changed, removed or slipped in later breaks the chain from there on. What the chain alone cannot show is
that its newest rows are missing, or that somebody with the database wrote all of it anew: for that, keep the head
(`NUMBER:HASH`, printed by `manage.py verify_audit_log` and logged with every append) somewhere else and compare.
"""

import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from django.utils import timezone

from webapp.accounts.models import User
from webapp.workspaces.models import AuditEntry, Workspace

log = structlog.get_logger(__name__)

NO_HASH = "0" * 64  # before the first


@dataclass(frozen=True)
class ChainReport:
    """What a look at a whole chain found.

    `broken_at` is the number of the first row that does not hold, or None; `clock_back_at` are the rows that are dated
    before their predecessor, which is no break: somebody set the clock.
    """

    num_entries: int
    head_hash: str
    broken_at: int | None = None
    problem: str = ""
    clock_back_at: tuple[int, ...] = ()


def append(
    workspace_id: UUID, act: AuditEntry.Act, *, actor: User | None, subject: str, details: dict[str, Any] | None = None
) -> AuditEntry:
    """Write down an act, in the transaction of what is done.

    The workspace's row is locked meanwhile, so that two acts at once come one after the other.

    Args:
        actor: who; None is the studio itself or an operator at the command line.
        subject: what it was done to, such as `artifact ID`.
        details: what JSON can hold, without NUL.

    Raises:
        ValueError: the details hold what PostgreSQL would not: NaN, an infinity, NUL, or half of a character.
    """
    details = _as_kept(details or {})
    with transaction.atomic():
        lock(workspace_id)
        last = AuditEntry.objects.filter(workspace_id=workspace_id).order_by("-number").first()
        entry = AuditEntry(
            workspace_id=workspace_id,
            number=1 if last is None else last.number + 1,
            at=timezone.now(),
            actor=actor,
            actor_name="" if actor is None else actor.username,
            act=act,
            subject=subject,
            details=details,
            previous_hash=NO_HASH if last is None else last.hash,
        )
        entry.hash = hash_of(entry)
        entry.save(force_insert=True)
    log.info("audit_entry", workspace=str(workspace_id), number=entry.number, act=str(entry.act), hash=entry.hash)
    return entry


def _as_kept(details: dict[str, Any]) -> dict[str, Any]:
    """The details as PostgreSQL gives them back, so that they have the same hash there: see `_as_jsonb`."""
    text = json.dumps(details, allow_nan=False)
    if "\\u0000" in text.replace("\\\\", ""):
        raise ValueError("the audit log cannot hold NUL")
    kept: dict[str, Any] = json.loads(text, parse_float=_as_jsonb)
    return kept


def _as_jsonb(number: str) -> int | float:
    """A number with a point or an exponent as jsonb keeps it: written out in full, and zero without a sign."""
    written = f"{Decimal(number) + 0:f}"
    return float(written) if "." in written else int(written)


def lock(workspace_id: UUID) -> Workspace:
    """The workspace's row, nobody else's until the transaction ends. (SQLite locks everything at its start.)"""
    return Workspace.objects.select_for_update().get(id=workspace_id)


def record_of(entry: AuditEntry) -> dict[str, Any]:
    """All that the hash covers, as it is downloaded."""
    return {
        "workspace": str(entry.workspace_id),
        "number": entry.number,
        "at": entry.at.isoformat(timespec="microseconds"),
        "actor": entry.actor_id,
        "actor_name": entry.actor_name,
        "act": str(entry.act),
        "subject": entry.subject,
        "details": entry.details,
        "previous_hash": entry.previous_hash,
    }


def hash_of(entry: AuditEntry) -> str:
    """SHA-256 of the record as JSON with sorted keys and no spaces, in UTF-8."""
    text = json.dumps(record_of(entry), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


async def lines_of(workspace_id: UUID) -> AsyncIterator[str]:
    """The whole log as JSON lines, oldest first, each record with its hash."""
    async for entry in AuditEntry.objects.filter(workspace_id=workspace_id).order_by("number").aiterator():
        yield json.dumps(record_of(entry) | {"hash": entry.hash}, ensure_ascii=False) + "\n"


def verify(workspace_id: UUID, *, expected: tuple[int, str] | None = None) -> ChainReport:
    """Compute the whole chain anew.

    Args:
        expected: number and hash of a head that was noted before, (0, NO_HASH) of an empty log; the chain must still
            hold it.
    """
    previous: AuditEntry | None = None
    clock_back: list[int] = []
    is_found = expected in (None, (0, NO_HASH))
    for entry in AuditEntry.objects.filter(workspace_id=workspace_id).order_by("number").iterator():
        problem = _problem(entry, previous)
        if not problem and expected is not None and entry.number == expected[0]:
            is_found = entry.hash == expected[1]
            problem = "" if is_found else "another hash was noted for it"
        if problem:
            return _report(previous, clock_back, entry.number, problem)
        if previous is not None and entry.at < previous.at:
            clock_back.append(entry.number)
        previous = entry
    if not is_found and expected is not None:
        return _report(previous, clock_back, expected[0], "it was noted, and is gone")
    return _report(previous, clock_back)


def _report(last: AuditEntry | None, clock_back: list[int], broken_at: int | None = None, why: str = "") -> ChainReport:
    num_entries, head_hash = (0, NO_HASH) if last is None else (last.number, last.hash)
    return ChainReport(num_entries, head_hash, broken_at, why, tuple(clock_back))


def _problem(entry: AuditEntry, previous: AuditEntry | None) -> str:
    number, previous_hash = (1, NO_HASH) if previous is None else (previous.number + 1, previous.hash)
    if entry.number != number:
        return f"number {number} is missing before it"
    if entry.previous_hash != previous_hash:
        return "it does not hold the hash of the entry before"
    return "" if entry.hash == hash_of(entry) else "its content does not match its hash"
