"""System checks, run by `manage.py check`: settings that contradict each other, a place that cannot be written."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.http.request import validate_host

from webapp.provenance import authority


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


def signing_files_belong_together(**options: Any) -> list[CheckMessage]:
    """webapp.E005: a certificate that an operator brought must be readable, with its key, and valid today."""
    chain, key = settings.SIGNING_CHAIN_FILE, settings.SIGNING_KEY_FILE
    hint = "Correct TESSERA_SIGNING_CHAIN and TESSERA_SIGNING_KEY, or empty both to sign with the studio's own."
    if (chain is None) != (key is None):
        return [
            Error(
                "A certificate to sign with needs its private key, and a key its certificate.",
                hint=hint,
                id="webapp.E005",
            )
        ]
    if chain is None:
        return []
    try:
        ours = authority.load(Path(settings.AUTHORITY_DIR), chain, key)
    except (OSError, authority.CertificateError) as error:
        return [Error(f"The certificate to sign with cannot be used: {error}", hint=hint, id="webapp.E005")]
    if not ours.valid_from <= datetime.now(UTC) <= ours.valid_until:
        message = f"The certificate to sign with is valid from {ours.valid_from} to {ours.valid_until}, not today."
        return [Error(message, hint=hint, id="webapp.E005")]
    return []


def public_roots_can_be_read(**options: Any) -> list[CheckMessage]:
    """webapp.E006: the list of public roots must be there."""
    file = settings.PUBLIC_TRUST_FILE
    if file is None or (file.is_file() and "BEGIN CERTIFICATE" in file.read_text(errors="replace")):
        return []
    hint = "Correct TESSERA_PUBLIC_TRUST: a PEM file of certificates."
    return [Error(f"{file} holds no certificates.", hint=hint, id="webapp.E006")]


ALL = (
    signing_files_belong_together,
    public_roots_can_be_read,
    data_directory_is_writable,
    lease_is_shorter_than_deadline,
    own_address_is_answered,
    broker_waits_longer_than_a_job,
)
