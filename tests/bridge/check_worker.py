"""A check worker in threads of the test's own process: Celery, the broker and the task are real."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from celery.contrib.testing.worker import start_worker

from genworkers.contract.names import CHECK_QUEUE
from genworkers.tasks import checks, screens
from webapp.celery import app


@contextmanager
def serving(has: screens.Screens, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Answer questions with these nets for as long as the block runs."""
    assert checks.check.name in app.tasks
    monkeypatch.setattr(screens, "loaded", lambda: has)
    monkeypatch.setattr(app.amqp.queues, "_consume_from", None)  # what the worker sets is not for the other tests
    level = logging.root.level
    with start_worker(app, pool="threads", concurrency=4, queues=[CHECK_QUEUE], perform_ping_check=False):
        yield
    logging.root.setLevel(level)  # Celery's test worker raises it for good
