"""The keys of the marks: one per workspace and epoch, derived from the studio's secret when they are needed.

A key's pattern is the same in every picture, so many pictures together give it away; a new epoch begins with a new key,
and whoever learns one can neither read nor forge the marks of another workspace or time.
"""

import hashlib
import hmac
from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from webapp.provenance.models import MarkKey

EPOCH = timedelta(days=90)
KEY_ID_DIGITS = 12


class SecretKey(NamedTuple):
    """A key's name and its 32 secret bytes."""

    key_id: str
    secret: bytes


def _derived(workspace_id: UUID, epoch: int) -> SecretKey:
    """HMAC-SHA256 (RFC 2104) of workspace and epoch; the name is made from the secret and says nothing about it."""
    secret = hmac.digest(settings.MARK_SECRET.encode(), f"mark/{workspace_id}/{epoch}".encode(), "sha256")
    return SecretKey(hashlib.sha256(b"name/" + secret).hexdigest()[:KEY_ID_DIGITS], secret)


def key_in_use(workspace_id: UUID) -> SecretKey:
    """The key that marks what this workspace makes now; a new one when the last is an epoch old, or none of ours."""
    newest = MarkKey.objects.filter(workspace_id=workspace_id).first()
    if newest is not None and newest.created_at > timezone.now() - EPOCH:
        key = _derived(workspace_id, newest.epoch)
        if key.key_id == newest.key_id:
            return key
    return rotate(workspace_id, after_epoch=newest.epoch if newest is not None else 0)


def rotate(workspace_id: UUID, *, after_epoch: int) -> SecretKey:
    """Begin the epoch after this one; of two callers at once both get the same key."""
    key = _derived(workspace_id, after_epoch + 1)
    try:
        with transaction.atomic():
            MarkKey.objects.create(workspace_id=workspace_id, epoch=after_epoch + 1, key_id=key.key_id)
    except IntegrityError:
        if not MarkKey.objects.filter(workspace_id=workspace_id, epoch=after_epoch + 1, key_id=key.key_id).exists():
            raise
    return key


def all_keys() -> Iterator[SecretKey]:
    """Every key that ever marked anything here, newest first; those of another studio's secret are left out."""
    for row in MarkKey.objects.order_by("-created_at", "-id"):
        key = _derived(row.workspace_id, row.epoch)
        if key.key_id == row.key_id:
            yield key
