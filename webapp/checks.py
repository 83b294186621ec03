"""System checks, run by `manage.py check`: settings that contradict each other, a place that cannot be written."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.http.request import validate_host


def data_directory_is_writable(**options: Any) -> list[CheckMessage]:
    """webapp.E001: everything that must survive a restart goes there."""
    folder = Path(settings.DATA_DIR)
    if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
        return []
    hint = "Make the folder and let this user write into it, or name another with TESSERA_DATA_DIR."
    return [Error(f"The data directory {folder} cannot be written.", hint=hint, id="webapp.E001")]


def lease_is_shorter_than_deadline(**options: Any) -> list[CheckMessage]:
    """webapp.E002: a job must be able to outlive the loss of one worker."""
    if settings.LEASE_S < settings.DEADLINE_S:
        return []
    message = f"A lease of {settings.LEASE_S:g} s is not shorter than the deadline of {settings.DEADLINE_S:g} s."
    return [Error(message, hint="Lower TESSERA_LEASE_S or raise TESSERA_DEADLINE_S.", id="webapp.E002")]


def own_address_is_answered(**options: Any) -> list[CheckMessage]:
    """webapp.E003: the site must answer to the address that it prints in links."""
    host = urlsplit(settings.BASE_URL).hostname or ""
    host = f"[{host}]" if ":" in host else host
    if validate_host(host, settings.ALLOWED_HOSTS):
        return []
    hint = "Add it to TESSERA_ALLOWED_HOSTS, or correct TESSERA_BASE_URL."
    return [Error(f"The site is at {settings.BASE_URL}, but does not answer to {host!r}.", hint=hint, id="webapp.E003")]


def broker_waits_longer_than_a_job(**options: Any) -> list[CheckMessage]:
    """webapp.E004: a broker that gives a task out again while it still runs doubles the work."""
    timeout_s = settings.CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"]
    if timeout_s > settings.DEADLINE_S:
        return []
    message = (
        f"The broker's visibility time-out of {timeout_s} s is not above the deadline of {settings.DEADLINE_S:g} s."
    )
    return [Error(message, hint="Raise visibility_timeout in webapp/settings.py.", id="webapp.E004")]


ALL = (
    data_directory_is_writable,
    lease_is_shorter_than_deadline,
    own_address_is_answered,
    broker_waits_longer_than_a_job,
)
