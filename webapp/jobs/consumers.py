"""One socket watches one job: check who asks, then pass `follow` on."""

import asyncio
from typing import Any
from urllib.parse import parse_qs

import redis
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer

from webapp.accounts.models import User
from webapp.jobs import selectors
from webapp.jobs.follow import follow

NOT_SIGNED_IN = 4401
BAD_REQUEST = 4400
NOT_FOUND = 4404
TRY_AGAIN_LATER = 1013


class JobConsumer(AsyncJsonWebsocketConsumer):  # type: ignore[misc]
    """`/ws/jobs/<id>/?after=SEQ`. Says nothing about jobs that the asker may not watch."""

    stream: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Accept, so that the browser can read the close code, then stream or close."""
        await self.accept()
        after = parse_qs(self.scope["query_string"].decode()).get("after", ["0"])[0]
        job_id = self.scope["url_route"]["kwargs"]["job_id"]
        user = self.scope["user"]
        if not user.is_authenticated:
            await self.close(NOT_SIGNED_IN)
        elif not after.isdecimal() or len(after) > 18:
            await self.close(BAD_REQUEST, reason=f"after must be a whole number from 0, got {after[:20]!r}")
        elif await database_sync_to_async(selectors.job_for_watcher)(user, job_id) is None:
            await self.close(NOT_FOUND)
        else:
            self.stream = asyncio.create_task(self._stream(job_id, int(after), user))

    async def _stream(self, job_id: Any, after: int, user: User) -> None:
        try:
            async for message in follow(job_id, after, viewer=user):
                await self.send_json(message)
        except redis.RedisError:  # the log is away for a moment; the browser comes back by itself
            await self.send_json({"type": "unavailable"})  # granian holds a close back until the browser has gone
            await self.close(TRY_AGAIN_LATER)
        else:
            await self.close()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None, **kwargs: Any) -> None:
        """Watchers have nothing to say; what they send is dropped unread."""

    async def disconnect(self, code: int) -> None:
        """Stop reading when the browser has gone."""
        if self.stream is not None:
            self.stream.cancel()
