"""The numbered event log: one Redis stream per job. Append returns the seq; read gives what came after one.

Beside each stream stands a small hash (the head): the last seq, the newest fence, the last progress, and whether
a cancel was asked for. A stream entry's id is `SEQ-0`, so the numbering has no gap that a reader cannot see.
"""

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

import redis
import redis.asyncio
from django.conf import settings

MAX_EVENTS = 20_000
KEEP_S = 24 * 3600

# The check of the fence, the numbering and the append are one step: no older holder can slip in between.
_APPEND = """
local fence = tonumber(ARGV[1])
if fence < tonumber(redis.call('HGET', KEYS[1], 'fence') or '0') then return {-1, 0} end
redis.call('HSET', KEYS[1], 'fence', fence)
if ARGV[2] ~= '' then redis.call('HSET', KEYS[1], 'progress', ARGV[2]) end
local seq = tonumber(redis.call('HGET', KEYS[1], 'seq') or '0')
for i = 5, #ARGV do
  seq = redis.call('HINCRBY', KEYS[1], 'seq', 1)
  redis.call('XADD', KEYS[2], 'MAXLEN', ARGV[3], seq .. '-0', 'event', ARGV[i])
end
redis.call('EXPIRE', KEYS[1], ARGV[4])
redis.call('EXPIRE', KEYS[2], ARGV[4])
return {seq, tonumber(redis.call('HGET', KEYS[1], 'cancel') or '0')}
"""


class FenceLostError(Exception):
    """Somebody newer holds the job; this holder must neither publish, store nor finish."""


@dataclass(frozen=True)
class Appended:
    """What an append learned: the log's last seq, and whether the job should be cancelled."""

    seq: int
    is_cancel_requested: bool


@dataclass(frozen=True)
class Slice:
    """The events after a seq, each as (seq, JSON).

    `is_lost` says that the log no longer reaches back so far, `newest` is the log's last event or empty.
    """

    events: list[tuple[int, str]]
    last_seq: int
    is_lost: bool
    newest: str


@functools.cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, decode_responses=True)


def _keys(job_id: UUID) -> tuple[str, str]:
    return f"tessera:job:{job_id}:head", f"tessera:job:{job_id}:log"


def append(
    job_id: UUID,
    fence: int,
    events: Sequence[str],
    *,
    progress: dict[str, int] | None = None,
    max_events: int = MAX_EVENTS,
) -> Appended:
    """Number and keep events, all or none.

    Args:
        fence: the caller's fencing number; a number below the newest seen is refused.
        events: JSON of contract events; may be empty, to look for a cancel alone.
        progress: the newest progress, kept beside the log for those who poll.
        max_events: how many of the newest events stay in the log; 1 forgets all that came before.

    Raises:
        FenceLostError: somebody newer has written.
    """
    arguments = [fence, json.dumps(progress) if progress else "", max_events, KEEP_S, *events]
    seq, cancel = cast(list[int], _append_script()(keys=_keys(job_id), args=arguments))
    if seq < 0:
        raise FenceLostError(f"fence {fence} of job {job_id} is no longer the newest")
    return Appended(seq, cancel == 1)


@functools.cache
def _append_script() -> Any:
    return _client().register_script(_APPEND)


def request_cancel(job_id: UUID) -> None:
    """Leave a note that the holder finds with its next append."""
    head, _ = _keys(job_id)
    _client().hset(head, "cancel", "1")
    _client().expire(head, KEEP_S)


def head(job_id: UUID) -> tuple[int, dict[str, int] | None]:
    """The last seq (0 for an empty log) and the last progress."""
    seq, progress = cast(list[str | None], _client().hmget(_keys(job_id)[0], ["seq", "progress"]))
    return int(seq or 0), json.loads(progress) if progress else None


async def read(client: redis.asyncio.Redis, job_id: UUID, after: int) -> Slice:
    """Everything after `after`, oldest first.

    Args:
        client: made with `decode_responses=True` on the caller's event loop.
        after: the last seq that the reader has; 0 reads from the start.
    """
    head_key, log_key = _keys(job_id)
    async with client.pipeline(transaction=True) as pipe:
        pipe.hget(head_key, "seq")
        pipe.xrange(log_key, min=f"({after}-0")
        pipe.xrevrange(log_key, count=1)
        last, entries, newest = await pipe.execute()
    last_seq = int(last or 0)
    events = [(int(entry_id.split("-")[0]), fields["event"]) for entry_id, fields in entries]
    first_missing = after + 1 <= last_seq and (not events or events[0][0] != after + 1)
    is_lost = first_missing or after > last_seq
    return Slice(events, last_seq, is_lost, newest=newest[0][1]["event"] if newest else "")


def async_client() -> redis.asyncio.Redis:
    """A client for `read`; the caller closes it."""
    return redis.asyncio.Redis.from_url(settings.REDIS_URL, decode_responses=True)
