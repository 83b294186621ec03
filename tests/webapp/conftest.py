"""The ground of every site test: installed nets, an empty Redis, static files without a collectstatic."""

from pathlib import Path

import pytest
import redis
from pytest_django import Settings


@pytest.fixture(autouse=True)
def ground(nets_dir: Path, redis_client: redis.Redis) -> None:
    """Nets to choose from, and no other test's queue or log."""


@pytest.fixture(autouse=True)
def plain_static(settings: Settings) -> None:
    """Static files under their own names: hashed names need a `collectstatic` first."""
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = settings.STORAGES | {"staticfiles": plain}
