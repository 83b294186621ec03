"""Writes about people and their API keys.

A key is `tsk_PREFIX_SECRET`: the prefix is public and names the key in lists, the secret holds 256 bits. Only the
SHA-256 of the whole is kept; a slow hash would add nothing, since nobody can guess 256 random bits.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import models, transaction
from django.db.models import F, Q
from django.urls import reverse
from django.utils import timezone
from sesame.utils import get_query_string

from webapp.accounts import selectors
from webapp.accounts.models import ApiKey, User
from webapp.errors import AppError, echo, invalid_fields, problem

SCOPES = ("read", "generate")
MAX_NAME_CHARS = 100
LAST_USED_PRECISION = timedelta(minutes=1)


def ensure_user(email: str) -> User:
    """The person with this e-mail, made without a password when missing. Safe to call from many processes at once."""
    known = selectors.user_by_email(email)
    if known is not None:
        return known
    draft = User(email=email, username=email[:150])
    draft.set_unusable_password()
    User.objects.bulk_create([draft], ignore_conflicts=True)
    return User.objects.get(email=email)


def sign_in_link(user: User) -> str:
    """A web address that signs this person in: once, within a day."""
    return f"{settings.BASE_URL}{reverse('sign_in_link')}{get_query_string(user)}"


def create_api_key(
    user: User, workspace: models.Model, name: str, scopes: Iterable[str], expires_at: datetime | None = None
) -> tuple[ApiKey, str]:
    """Make a key of one person in one workspace.

    Args:
        workspace: the only workspace in which the key acts.
        name: what the key is for; 1..100 characters, once per workspace.
        scopes: of SCOPES, at least one.
        expires_at: when it stops working; None is never.

    Returns:
        The row, and the key itself: it is shown now and never again.

    Raises:
        AppError: invalid_request for a bad name, scope or end; api_key_name_taken.
    """
    asked = list(dict.fromkeys(scopes))
    _check_key(name, asked, expires_at)
    prefix, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
    raw_key = f"tsk_{prefix}_{secret}"
    fields = {"user": user, "prefix": prefix, "sha256": _sha256(raw_key), "scopes": asked, "expires_at": expires_at}
    with transaction.atomic():
        key, is_new = ApiKey.objects.get_or_create(workspace_id=workspace.pk, name=name, defaults=fields)
    if not is_new:
        raise AppError("api_key_name_taken", 409, f"There is already a key named {name!r} here. Choose another name.")
    return key, raw_key


def _check_key(name: str, scopes: list[str], expires_at: datetime | None) -> None:
    if not name.strip() or len(name) > MAX_NAME_CHARS or not name.isprintable():
        allowed = f"1 to {MAX_NAME_CHARS} visible characters"
        raise _wrong("name", "name_invalid", f"a key needs a name of {allowed}", name, allowed)
    for scope in scopes or [""]:
        if scope not in SCOPES:
            allowed = " or ".join(SCOPES)
            raise _wrong(
                "scopes", "scope_unknown", f"there is no scope {echo(scope)!r}, only {allowed}", scope, allowed
            )
    if expires_at is not None and expires_at <= timezone.now():
        raise _wrong("expires_at", "expiry_past", "a key must end in the future", expires_at, "later than now")


def _wrong(field: str, code: str, message: str, value: object, allowed: str) -> AppError:
    return invalid_fields([problem(field, code, message, value, allowed)])


def authenticate_key(raw_key: str) -> ApiKey | None:
    """The living key that this string is, or None: unknown, revoked, expired, or its person gone.

    The lookup goes by digest, so its time tells nothing about the secret; the comparison that follows takes
    the same time whatever was sent. `last_used_at` is written at most once a minute.
    """
    if not raw_key.startswith("tsk_") or not raw_key.isascii():
        return None
    digest = _sha256(raw_key)
    now = timezone.now()
    key = (
        ApiKey.objects.filter(sha256=digest, revoked_at__isnull=True, user__is_active=True)
        .filter(Q(expires_at__isnull=True) | Q(expires_at__gt=now), workspace__memberships__user=F("user"))
        .select_related("user", "workspace")
        .first()
    )
    if key is None or not hmac.compare_digest(key.sha256, digest):
        return None
    if key.last_used_at is None or key.last_used_at < now - LAST_USED_PRECISION:
        ApiKey.objects.filter(id=key.id).update(last_used_at=now)
    return key


def revoke_api_key(key: ApiKey) -> None:
    """End a key now; it cannot be revived."""
    ApiKey.objects.filter(id=key.id, revoked_at__isnull=True).update(revoked_at=timezone.now())


def _sha256(raw_key: str) -> str:
    return hashlib.sha256(raw_key.encode()).hexdigest()
