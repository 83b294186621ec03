"""The ground of every bridge test: installed nets and an empty Redis."""

import threading
from pathlib import Path

import pytest
import redis

from genworkers.tasks import screens
from genworkers.tasks.screens import Screens


@pytest.fixture(autouse=True)
def ground(nets_dir: Path, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nets to choose from, no other test's queue or log, and a worker that is not about to stop."""
    monkeypatch.setattr("genworkers.tasks.leases._is_closing", threading.Event())


@pytest.fixture(scope="session")
def nets() -> Screens:
    """The real nets of every worker."""
    return screens.loaded()
