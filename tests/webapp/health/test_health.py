"""/livez says that the process answers, /readyz which part does not."""

from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from pytest_django import Settings

ALL_WELL = {"database": "ok", "redis": "ok", "storage": "ok"}


def test_livez_needs_nothing(client: Client, settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    response = client.get("/livez")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert "no-store" in response["Cache-Control"]


@pytest.mark.django_db
def test_readyz_names_every_part(client: Client) -> None:
    response = client.get("/readyz")
    assert (response.status_code, response.json()) == (200, {"status": "ok", "parts": ALL_WELL})


def expect_unavailable(response: Any, part: str) -> None:
    assert response.status_code == 503
    assert response.json() == {"status": "unavailable", "parts": ALL_WELL | {part: "unavailable"}}
    assert response["Retry-After"]


@pytest.mark.django_db
def test_a_redis_that_is_away_is_named(client: Client, settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    expect_unavailable(client.get("/readyz"), "redis")


@pytest.mark.django_db
def test_a_storage_that_takes_no_files_is_named(client: Client, settings: Settings, tmp_path: Path) -> None:
    settings.BLOBS_DIR = tmp_path / "file"
    settings.BLOBS_DIR.write_text("not a folder")
    expect_unavailable(client.get("/readyz"), "storage")


@pytest.mark.django_db
def test_a_database_that_is_away_is_named(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = connection.copy()
    elsewhere.settings_dict = connection.settings_dict | {"NAME": "/nonexistent/database", "PORT": "1"}
    monkeypatch.setattr("webapp.health.connection", elsewhere)
    expect_unavailable(client.get("/readyz"), "database")


@pytest.mark.parametrize("address", ["/livez", "/readyz"])
def test_health_is_only_read(client: Client, address: str) -> None:
    assert client.post(address).status_code == 405
