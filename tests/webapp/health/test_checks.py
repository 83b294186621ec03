"""System checks name the setting that is wrong."""

from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from pytest_django import Settings


def ids() -> set[str]:
    return {str(message.id) for message in run_checks() if str(message.id).startswith("webapp.")}


def test_the_default_settings_pass() -> None:
    assert ids() == set()


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"DATA_DIR": Path("/nonexistent")}, "webapp.E001"),
        ({"LEASE_S": 900.0, "DEADLINE_S": 900.0}, "webapp.E002"),
        ({"BASE_URL": "https://studio.example.org"}, "webapp.E003"),
        ({"CELERY_BROKER_TRANSPORT_OPTIONS": {"visibility_timeout": 900}}, "webapp.E004"),
        ({"SIGNING_CHAIN_FILE": Path("chain.pem")}, "webapp.E005"),
        ({"SIGNING_CHAIN_FILE": Path("nowhere.pem"), "SIGNING_KEY_FILE": Path("nowhere.key")}, "webapp.E005"),
        ({"PUBLIC_TRUST_FILE": Path("nowhere.pem")}, "webapp.E006"),
        ({"PUBLIC_TRUST_FILE": Path(__file__).parent / "__init__.py"}, "webapp.E006"),
    ],
)
def test_a_contradiction_is_named(settings: Settings, changes: dict[str, Any], found: str) -> None:
    for name, value in changes.items():
        setattr(settings, name, value)
    assert ids() == {found}


@pytest.mark.parametrize("base_url", ["http://[::1]:8000", "http://127.0.0.1:8000", "https://studio.example.org"])
def test_an_address_that_is_answered_passes(settings: Settings, base_url: str) -> None:
    settings.BASE_URL = base_url
    settings.ALLOWED_HOSTS = ["[::1]", "127.0.0.1", ".example.org"]
    assert ids() == set()
