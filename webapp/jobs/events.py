"""The only way to tell watchers anything: append to the log, then wake the job's group.

The wake carries no content, because Channels may drop it; whoever wakes reads the log.
"""

import asyncio
import functools
import threading
from collections.abc import Sequence
from uuid import UUID

import redis
import structlog
from channels.layers import get_channel_layer

from genworkers.contract.events import JobEvent
from webapp.jobs import eventlog

log = structlog.get_logger(__name__)


def group_of(job_id: UUID) -> str:
    """The Channels group of everybody who watches this job."""
    return f"job.{job_id}"


def publish(
    job_id: UUID,
    fence: int,
    events: Sequence[JobEvent],
    *,
    progress: dict[str, int] | None = None,
    max_events: int = eventlog.MAX_EVENTS,
) -> eventlog.Appended:
    """Append events under this fence and wake the watchers; with no events, only look for a cancel.

    Args:
        max_events: how many of the newest events stay; 1 forgets all that came before.

    Raises:
        FenceLostError: somebody newer holds the job.
    """
    lines = [event.model_dump_json() for event in events]
    appended = eventlog.append(job_id, fence, lines, progress=progress, max_events=max_events)
    if events:
        asyncio.run_coroutine_threadsafe(_wake(job_id), _loop())
    return appended


async def _wake(job_id: UUID) -> None:
    layer = get_channel_layer()
    try:
        await layer.group_send(group_of(job_id), {"type": "job.wake"})
    except (OSError, redis.RedisError) as error:  # the log has the event; the watchers' heartbeat finds it
        log.warning("wake_failed", job_id=str(job_id), error=str(error))


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    """One event loop per process for wakes: a loop per call would open a Redis connection per call."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="wakes", daemon=True).start()
    return loop
