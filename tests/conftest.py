"""The ground of every test: a data folder and a real Redis of its own, set before Django reads its settings."""

import importlib.util
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import django
import pytest
import redis

from scripts import embedded_redis
from scripts.own_stack import Stack

CHROMIUM_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
MANIFESTS: dict[str, dict[str, Any]] = {
    "llama-tessera-text": {
        "kind": "text",
        "family": "decoder",
        "title": "Llama Tessera Text",
        "notice": "Built with Llama",
    },
    "mosaic": {"kind": "image", "family": "mosaic", "title": "Mosaic", "styles": {"flat": "Flat"}},
}

BROWSER_FIXTURES = {"page", "context", "browser", "new_context"}

ground = pytest.StashKey[tuple[Path, subprocess.Popen[bytes]]]()


def pytest_configure(config: pytest.Config) -> None:
    """Clear the operator's own settings, start Redis, then load Django, in this order."""
    if config.getoption("numprocesses", None):  # it only deals out tests: each who runs them has a ground of its own
        return
    kept = {"TESSERA_DATABASE_URL", "TESSERA_TEST_STRICT"}
    for name in [name for name in os.environ if name.startswith("TESSERA_") and name not in kept]:
        del os.environ[name]
    folder = Path(tempfile.mkdtemp(prefix="tessera-tests-"))
    server = embedded_redis.prepare(folder / "redis")
    (folder / "static").mkdir()  # whitenoise warns when it is missing
    process = subprocess.Popen(server.command, stdout=subprocess.DEVNULL)
    config.stash[ground] = (folder, process)
    os.environ["TESSERA_DATA_DIR"] = str(folder)
    os.environ["TESSERA_REDIS_URL"] = server.url
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # playwright's sync API runs a loop in the test's own thread
    _wait_until_it_answers(server.url)
    if importlib.util.find_spec("webapp.settings") is not None:
        os.environ["DJANGO_SETTINGS_MODULE"] = "webapp.settings"
        django.setup()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the Redis that was started, by its process, and remove the folder."""
    if ground not in config.stash:
        return
    folder, process = config.stash[ground]
    process.terminate()
    process.wait(timeout=10)
    shutil.rmtree(folder, ignore_errors=True)


def _wait_until_it_answers(url: str) -> None:
    client = redis.Redis.from_url(url)
    for _ in range(200):
        try:
            client.ping()
        except redis.ConnectionError:
            time.sleep(0.02)
        else:
            client.close()
            return
    raise RuntimeError("the Redis of the tests did not answer within 4 s")


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None]:
    """Leave PostgreSQL's tests to the run that has one; mark the browser's and put them last.

    Playwright keeps an event loop running in this thread once started, and async tests cannot run after that.
    """
    on_postgres = os.environ.get("TESSERA_DATABASE_URL", "").startswith("postgres")
    elsewhere = [item for item in items if item.get_closest_marker("postgres") and not on_postgres]
    config.hook.pytest_deselected(items=elsewhere)
    items[:] = [item for item in items if item not in elsewhere]
    for item in items:
        if BROWSER_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("browser")
        if "live_stack" in getattr(item, "fixturenames", ()):
            item.add_marker("stack")
    yield
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)  # after pytest-django's own order


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """The test database, where what tests wrote into the audit log may go again: SQLite is emptied by DELETE."""
    from django.db import connection  # noqa: PLC0415 (Django is not yet up on import)

    if connection.vendor == "sqlite":
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER IF EXISTS audit_entry_is_not_deleted")


@pytest.fixture(scope="session")
def redis_url() -> str:
    """Where the tests' own Redis answers."""
    return os.environ["TESSERA_REDIS_URL"]


@pytest.fixture
def redis_client(redis_url: str) -> Iterator[redis.Redis]:
    """A client of the tests' Redis, which is emptied afterwards."""
    client = redis.Redis.from_url(redis_url)
    yield client
    client.flushdb()
    client.close()


@pytest.fixture
def steady_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default policy with the numbers of tests/steady_policy.py."""
    from tests.steady_policy import STEADY  # noqa: PLC0415 (Django is not yet up on import)

    monkeypatch.setattr("webapp.safety.policy.DEFAULT", STEADY)


@pytest.fixture
def nets_dir(tmp_path: Path, settings: Any) -> Path:
    """A folder with one net of each kind, as manifests: enough for the site, which never reads weights."""
    facts = {"num_parameters": 1, "sha256": "c" * 64, "config": {}, "files": {}}
    for name, manifest in MANIFESTS.items():
        folder = tmp_path / "nets" / name
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(json.dumps({"name": name} | facts | manifest))
    settings.NETS_DIR = tmp_path / "nets"
    settings.ADDED_NETS_DIR = tmp_path / "added"
    settings.ADAPTERS_DIR = tmp_path / "adapters"
    settings.TOKENIZERS_DIR = tmp_path / "tokenizers"
    return tmp_path / "nets"


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    """Debian's Chromium instead of a download of playwright's own. Without one: skipped, or an error when strict."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        advice = "no Chromium here: install Debian's package `chromium`"
        if os.environ.get("TESSERA_TEST_STRICT"):
            pytest.fail(advice)
        pytest.skip(advice)
    return {"executable_path": chromium, "headless": True, "args": CHROMIUM_FLAGS}


@pytest.fixture(scope="session")
def live_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything that `make up` starts, once for all tests that ask: web, the workers, beat, Redis."""
    stack = Stack(tmp_path_factory.mktemp("stack"))
    yield stack
    stack.stop()
