"""The processes of a running stack, for tests that kill one of them."""

import contextlib
import time
from collections.abc import Callable

import psutil

from scripts.own_stack import Stack


def processes_of(stack: Stack) -> list[psutil.Process]:
    """`make up` itself and everything that it started."""
    root = psutil.Process(stack.process.pid)
    return [root, *root.children(recursive=True)]


def workers_of(stack: Stack, queue: str) -> list[psutil.Process]:
    """The Celery processes that serve a queue, not their keeper: one, or none while it is started again."""
    found = []
    for process in processes_of(stack):
        with contextlib.suppress(psutil.NoSuchProcess):
            command = " ".join(process.cmdline())
            if f"--queues {queue} " in command and "scripts.keep" not in command:
                found.append(process)
    return found


def worker_of(stack: Stack, queue: str) -> psutil.Process:
    """The one Celery process that serves a queue now."""
    (worker,) = workers_of(stack, queue)
    return worker


def wait_for(is_true: Callable[[], bool], *, timeout_s: float = 60.0) -> None:
    """Return once this is true; fail when it stays false."""
    until = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.2)
