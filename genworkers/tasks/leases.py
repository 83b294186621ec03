"""Keeps the leases of this process's jobs alive, and stops the work of those that are lost or cancelled."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
from django.conf import settings
from django.db import DatabaseError, close_old_connections

from webapp.jobs import services
from webapp.jobs.services import Claim

log = structlog.get_logger(__name__)

_lock = threading.Lock()
_held: dict[Claim, Callable[[], None]] = {}
_keeper_started = threading.Event()


@contextmanager
def held(claim: Claim, *, stop: Callable[[], None]) -> Iterator[None]:
    """Renew this claim's lease while the block runs.

    Args:
        stop: called from another thread when the work should end; must be safe to call more than once.
    """
    with _lock:
        _held[claim] = stop
        if not _keeper_started.is_set():
            _keeper_started.set()
            threading.Thread(target=_keep, name="leases", daemon=True).start()
    try:
        yield
    finally:
        with _lock:
            _held.pop(claim, None)


def hand_over() -> None:
    """Give every held job back to the queue, because this process is about to stop."""
    with _lock:
        mine = dict(_held)
    for claim, stop in mine.items():
        services.requeue(claim.job, claim.fence, error_code="worker_stopped")
        stop()


def give_up() -> None:
    """End this process at once, its jobs handed over: with a dead engine it would only burn their attempts.

    Whoever keeps the workers (scripts/keep.py, a container's restart policy) starts a new one.
    """
    log.error("worker_gives_up")
    hand_over()
    os._exit(1)


def _keep() -> None:
    pause = threading.Event()
    while not pause.wait(settings.LEASE_S / 3):
        with _lock:
            mine = dict(_held)
        try:
            close_old_connections()
            for claim in services.renew(list(mine)):
                mine[claim]()
        except DatabaseError as error:  # the next round tries again; the reaper decides if none succeeds
            log.warning("leases_not_renewed", num_claims=len(mine), error=str(error))
