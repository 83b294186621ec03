"""The ground of every bridge test: installed nets and an empty Redis."""

from pathlib import Path

import pytest
import redis


@pytest.fixture(autouse=True)
def ground(nets_dir: Path, redis_client: redis.Redis) -> None:
    """Nets to choose from, and no other test's queue or log."""
