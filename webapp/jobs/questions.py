"""A short question to the check worker and its answer, while a caller waits. No job, no row; nothing is kept.

The question lies in Redis for as long as somebody may take it, the message to the worker has only its id, and the
answer comes through a list of its own that the asker waits at. Not through Celery's results: its consumer is shared
by the threads of a process and mixes them up (celery issues 4480 and 6335).
"""

import functools
from typing import cast, overload
from uuid import UUID

import redis
import redis.asyncio
import uuid_utils.compat as uuid
from asgiref.sync import sync_to_async
from django.conf import settings
from kombu.exceptions import OperationalError

from genworkers.contract.checks import (
    ANSWER,
    QUESTION,
    Answer,
    Broken,
    Embed,
    Embedded,
    Moderate,
    Moderated,
    Question,
    TooLong,
)
from webapp.errors import AppError
from webapp.jobs import dispatch

# Untaken for so long, there is no worker, or it has more to do than anybody would wait for.
TAKE_S = 2.0
ANSWER_S = 30.0
RETRY_AFTER_S = 5
KEEP_MS = int(1000 * ANSWER_S)


@overload
async def ask(question: Embed) -> Embedded | TooLong: ...
@overload
async def ask(question: Moderate) -> Moderated: ...
async def ask(question: Question) -> Embedded | TooLong | Moderated:
    """What the check worker answers. Whoever is cancelled while waiting takes the question back.

    Raises:
        AppError: checks_unavailable: no worker took it, or it did not answer in time; check_failed: it could not.
        RedisError: Redis is away.
    """
    question_id = uuid.uuid7()
    asked, answered = _keys(question_id)
    # A client of this call's own: it belongs to this event loop, and waiting occupies its connection.
    async with redis.asyncio.Redis.from_url(settings.REDIS_URL, socket_timeout=ANSWER_S + RETRY_AFTER_S) as client:
        try:
            await client.set(asked, question.model_dump_json(), px=KEEP_MS)
            await sync_to_async(_send, thread_sensitive=False)(question_id)
            popped = await client.blpop([answered], timeout=TAKE_S)
            if popped is None and await client.delete(asked):
                raise _unavailable("No check worker has time for this now.")
            popped = popped or await client.blpop([answered], timeout=ANSWER_S)
        finally:
            await client.delete(asked, answered)
    if popped is None:
        raise _unavailable(f"The check worker did not answer within {ANSWER_S:.0f} s.")
    said = ANSWER.validate_json(popped[1])
    if isinstance(said, Broken):
        raise AppError("check_failed", 500, "The check worker could not answer this; its log says why.")
    return said


def take(question_id: UUID) -> Question | None:
    """For the worker: the question, once; None when nobody waits for an answer any longer."""
    text = cast(bytes | None, _client().getdel(_keys(question_id)[0]))
    return None if text is None else QUESTION.validate_json(text)


def answer(question_id: UUID, said: Answer) -> None:
    """For the worker: tell whoever asked. What nobody fetches any longer goes away by itself."""
    answered = _keys(question_id)[1]
    with _client().pipeline(transaction=True) as pipe:
        pipe.rpush(answered, said.model_dump_json())
        pipe.pexpire(answered, KEEP_MS)
        pipe.execute()


def _send(question_id: UUID) -> None:
    try:
        dispatch.send_question(question_id)
    except OperationalError as error:
        raise redis.ConnectionError(str(error)) from error


def _unavailable(what: str) -> AppError:
    message = f"{what} Try again in a few seconds."
    return AppError("checks_unavailable", 503, message, headers={"Retry-After": str(RETRY_AFTER_S)})


@functools.cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL)


def _keys(question_id: UUID) -> tuple[str, str]:
    return f"tessera:question:{question_id}", f"tessera:answer:{question_id}"
