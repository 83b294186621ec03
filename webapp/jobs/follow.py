"""One job to one watcher, in order, none lost, none twice: the stream behind both the socket and SSE.

Join the group, then read the log: swapped, an event between the two is lost. A wake only says "read on".
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID

from channels.db import database_sync_to_async
from channels.layers import get_channel_layer

from genworkers.contract.events import FINAL_EVENT_KINDS
from webapp.accounts.models import User
from webapp.jobs import eventlog, events
from webapp.jobs.models import Job
from webapp.jobs.snapshot import snapshot

HEARTBEAT_S = 3.0


async def follow(job_id: UUID, after: int, *, viewer: User | None = None) -> AsyncGenerator[dict[str, Any], None]:
    """Messages about a job from `after` on, until its final event.

    Args:
        job_id: a job that the caller has been allowed to watch.
        after: the last seq that the watcher has; 0 from the start.
        viewer: who reads the snapshots; None where nobody does.

    Yields:
        {"type": "event", "seq", "event"}: the next event of the log.
        {"type": "heartbeat", "seq", "status", "position", "eta_s"}: nothing new; where the job stands.
        {"type": "offset_lost", "seq", "snapshot"}: the log no longer holds what follows `after`, or has lost its
            final event: show the snapshot instead.
    """
    layer = get_channel_layer()
    client = eventlog.async_client()
    channel = await layer.new_channel()
    await layer.group_add(events.group_of(job_id), channel)
    # One pending receive, kept over time-outs: cancelling it would end the subscription.
    wake = asyncio.ensure_future(layer.receive(channel))
    is_quiet = True
    try:
        while True:
            found = await eventlog.read(client, job_id, after)
            if found.is_lost:
                after, state = found.last_seq, await _snapshot(job_id, viewer)
                yield {"type": "offset_lost", "seq": after, "snapshot": state}
                if state["finished_at"]:
                    return
                continue
            for seq, event_json in found.events:
                after, event = seq, json.loads(event_json)
                yield {"type": "event", "seq": seq, "event": event}
                if event["kind"] in FINAL_EVENT_KINDS:
                    return
            if is_quiet and not found.events:
                if found.newest and json.loads(found.newest)["kind"] in FINAL_EVENT_KINDS:
                    return  # the watcher has the whole log
                state = await _snapshot(job_id, viewer)
                if state["finished_at"] and state["last_seq"] <= after:  # ended, and the log never heard of it
                    yield {"type": "offset_lost", "seq": after, "snapshot": state}
                    return
                yield {"type": "heartbeat", "seq": after} | {key: state[key] for key in ("status", "position", "eta_s")}
            woken, _ = await asyncio.wait({wake}, timeout=HEARTBEAT_S)
            is_quiet = not woken
            if woken:
                wake.result()
                wake = asyncio.ensure_future(layer.receive(channel))
    finally:
        wake.cancel()
        await layer.group_discard(events.group_of(job_id), channel)
        await client.aclose()


def _read_snapshot(job_id: UUID, viewer: User | None) -> dict[str, Any]:
    return snapshot(Job.objects.select_related("workspace").get(id=job_id), viewer).model_dump(mode="json")


async def _snapshot(job_id: UUID, viewer: User | None) -> dict[str, Any]:
    state: dict[str, Any] = await database_sync_to_async(_read_snapshot)(job_id, viewer)
    return state
