"""Keeps the leases of this process's jobs alive, and stops the work of those that are lost or cancelled."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
from django.conf import settings
from django.db import DatabaseError, close_old_connections, connections

from webapp.jobs import services
from webapp.jobs.eventlog import FenceLostError
from webapp.jobs.services import Claim

log = structlog.get_logger(__name__)

WORKER_STOPPED = "worker_stopped"

_lock = threading.Lock()
_held: dict[Claim, Callable[[], None]] = {}
_keeper_started = threading.Event()
_is_closing = threading.Event()


@contextmanager
def held(claim: Claim, *, stop: Callable[[], None]) -> Iterator[None]:
    """Renew this claim's lease while the block runs.

    Args:
        stop: called from another thread when the work should end; must be safe to call more than once.

    Raises:
        FenceLostError: this process began to stop since the claim; the job is back in the queue.
    """
    with _lock:
        is_late = _is_closing.is_set()
        if not is_late:
            _held[claim] = stop
        if not _keeper_started.is_set():
            _keeper_started.set()
            threading.Thread(target=_keep, name="leases", daemon=True).start()
    if is_late:
        services.requeue(claim.job, claim.fence, error_code=WORKER_STOPPED, is_clean=True)
        raise FenceLostError("this worker is about to stop")
    try:
        yield
    finally:
        with _lock:
            _held.pop(claim, None)


def num_held() -> int:
    """How many jobs this process works on."""
    return len(_held)


def is_closing() -> bool:
    """Whether this process is about to stop and must claim nothing more."""
    return _is_closing.is_set()


def hand_over(*, error_code: str = WORKER_STOPPED) -> None:
    """Give every held job back to the queue and claim nothing more, because this process is about to stop.

    Args:
        error_code: why; a stop in good order is not held against the jobs.
    """
    is_clean = error_code == WORKER_STOPPED
    with _lock:
        _is_closing.set()
        mine = dict(_held)
    for claim, stop in mine.items():
        services.requeue(claim.job, claim.fence, error_code=error_code, is_clean=is_clean)
        stop()


def give_up() -> None:
    """End this process at once, its jobs handed over: with a dead engine it would only burn their attempts.

    Whoever keeps the workers (scripts/keep.py, a container's restart policy) starts a new one.
    """
    log.error("worker_gives_up")
    hand_over(error_code="engine_dead")
    os._exit(1)


def _keep() -> None:
    pause = threading.Event()
    while not pause.wait(settings.LEASE_S / 3):
        _renew()


def _renew() -> None:
    with _lock:
        mine = dict(_held)
    if not mine:
        connections.close_all()  # this thread's own: an idle worker keeps none open for its leases
        return
    try:
        close_old_connections()
        for claim in services.renew(list(mine)):
            mine[claim]()
    except DatabaseError as error:  # the next round tries again; the reaper decides if none succeeds
        log.warning("leases_not_renewed", num_claims=len(mine), error=str(error))
