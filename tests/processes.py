"""The processes of a running stack, for tests that kill one of them."""

import time
from collections.abc import Callable

import psutil

from scripts.own_stack import Stack


def processes_of(stack: Stack) -> list[psutil.Process]:
    """`make up` itself and everything that it started."""
    root = psutil.Process(stack.process.pid)
    return [root, *root.children(recursive=True)]


def worker_of(stack: Stack, queue: str) -> psutil.Process:
    """The Celery process that serves a queue, not its keeper."""
    (worker,) = [
        process
        for process in processes_of(stack)
        if f"--queues {queue} " in (command := " ".join(process.cmdline())) and "scripts.keep" not in command
    ]
    return worker


def wait_for(is_true: Callable[[], bool], *, timeout_s: float = 60.0) -> None:
    """Return once this is true; fail when it stays false."""
    until = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.2)
