"""The ground of every bridge test: installed nets and an empty Redis."""

import threading
from pathlib import Path

import pytest
import redis

from genworkers.tasks import check_nets
from genworkers.tasks.check_nets import CheckNets


@pytest.fixture(autouse=True)
def ground(nets_dir: Path, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nets to choose from, no other test's queue or log, and a worker that is not about to stop."""
    monkeypatch.setattr("genworkers.tasks.leases._is_closing", threading.Event())


@pytest.fixture(scope="session")
def nets() -> CheckNets:
    """The real nets of the check worker."""
    check_nets.load()
    return check_nets.loaded()
