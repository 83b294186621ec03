"""What happens to the job behind a call, in order, to its end. Who stops listening cancels it, unless it is kept."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID

from channels.db import database_sync_to_async

from genworkers.contract.events import FINAL_EVENT_KINDS
from webapp.api.openai import envelope
from webapp.errors import AppError
from webapp.jobs import services as jobs_services
from webapp.jobs.follow import follow
from webapp.jobs.models import Job


@dataclass(frozen=True)
class Gap:
    """The log has lost events: only what is kept in the end can tell the rest."""


@dataclass(frozen=True)
class Ending:
    """How the job ended: one of its final states, and why."""

    status: str
    code: str
    message: str

    def error(self) -> AppError:
        """The error that an ending without a result is."""
        match self.status:
            case "cancelled":
                return envelope.cancelled()
            case "expired":
                return envelope.expired()
        return envelope.failed(self.code, self.message)


Event: TypeAlias = dict[str, Any]


async def heard(job_id: UUID, *, is_kept: bool) -> AsyncGenerator[Event | Gap | Ending | None, None]:
    """The job's events as its log has them, `Gap` where some are lost, None when nothing has happened, its end last.

    Args:
        is_kept: the job goes on when the listener leaves.
    """
    is_over = False
    try:
        async with aclosing(follow(job_id, 0)) as messages:
            async for message in messages:
                if message["type"] == "heartbeat":
                    yield None
                    continue
                ending = _ending(message)
                is_over = ending is not None
                if message["type"] == "offset_lost":
                    yield Gap()
                elif ending is None:
                    yield message["event"]
                if ending is not None:
                    yield ending
    finally:
        if not is_over and not is_kept:
            await database_sync_to_async(cancel_job)(job_id)


def _ending(message: dict[str, Any]) -> Ending | None:
    if message["type"] == "event":
        event = message["event"]
        is_final = event["kind"] in FINAL_EVENT_KINDS
        return Ending(event["kind"], event.get("code", ""), event.get("message", "")) if is_final else None
    state = message["snapshot"]
    error = state["error"] or {"code": "", "message": ""}
    return Ending(state["status"], error["code"], error["message"]) if state["finished_at"] else None


def cancel_job(job_id: UUID) -> None:
    """Stop a job that nobody waits for."""
    jobs_services.cancel(Job.objects.get(id=job_id))
