"""The stream of one job: what was logged before and after a watcher came, in order, none missing, none twice."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.test import Client

from genworkers.contract.events import Held, JobEvent, Queued, Succeeded, TextPiece
from tests.factories import JobFactory, MembershipFactory, VerdictFactory
from webapp.accounts.models import User
from webapp.asgi import application
from webapp.jobs import eventlog, events, follow, services
from webapp.jobs.models import Job
from webapp.safety.policy import SUPPORT_NOTE

pytestmark = pytest.mark.django_db(transaction=True)


def piece(number: int) -> TextPiece:
    return TextPiece(text=f"w{number} ", num_tokens=number)


async def publish(job: Job, *messages: JobEvent, fence: int = 0) -> None:
    await sync_to_async(events.publish)(job.id, fence, messages)


async def new_job(**fields: Any) -> Job:
    return await sync_to_async(JobFactory.create)(**fields)


async def collect(stream: AsyncIterator[dict[str, Any]]) -> list[dict[str, Any]]:
    async with asyncio.timeout(20):
        return [message async for message in stream]


def seqs(messages: list[dict[str, Any]]) -> list[int]:
    return [message["seq"] for message in messages if message["type"] == "event"]


async def test_a_late_watcher_gets_the_whole_log() -> None:
    job = await new_job()
    await publish(job, Queued(), piece(1), piece(2), Succeeded())
    messages = await collect(follow.follow(job.id, 0))
    assert seqs(messages) == [1, 2, 3, 4]
    assert messages[-1]["event"] == {"kind": "succeeded"}


async def test_a_watcher_who_comes_back_gets_what_it_missed() -> None:
    job = await new_job()
    await publish(job, Queued(), piece(1), piece(2), Succeeded())
    assert seqs(await collect(follow.follow(job.id, 2))) == [3, 4]


async def test_events_published_while_watchers_join_reach_each_exactly_once() -> None:
    job = await new_job()

    async def speak() -> None:
        for number in range(60):
            await publish(job, piece(number))
            await asyncio.sleep(0.002)
        await publish(job, Succeeded())

    async def join_late(number: int) -> list[dict[str, Any]]:
        await asyncio.sleep(number * 0.02)
        return await collect(follow.follow(job.id, 0))

    watching = [asyncio.create_task(join_late(number)) for number in range(5)]
    await speak()
    for messages in await asyncio.gather(*watching):
        assert seqs(messages) == list(range(1, 62))


async def test_a_lost_wake_is_made_up_for_by_the_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "HEARTBEAT_S", 0.05)
    job = await new_job()
    watching = asyncio.create_task(collect(follow.follow(job.id, 0)))
    await asyncio.sleep(0.2)
    log_only = [event.model_dump_json() for event in (piece(1), Succeeded())]
    await sync_to_async(eventlog.append)(job.id, 0, log_only)
    messages = await watching
    assert seqs(messages) == [1, 2]
    assert messages[0] | {"seq": 0} == {
        "type": "heartbeat", "seq": 0, "status": "queued", "position": 1, "eta_s": None
    }  # fmt: skip


async def test_a_watcher_who_has_everything_hears_nothing_more() -> None:
    job = await new_job(status=Job.Status.SUCCEEDED)
    await publish(job, piece(1), Succeeded())
    assert await collect(follow.follow(job.id, 2)) == []


async def test_what_a_held_job_showed_on_the_way_is_forgotten() -> None:
    job = await new_job(status=Job.Status.RUNNING)
    await publish(job, piece(1), piece(2))
    await sync_to_async(services.complete)(services.Claim(job, job.fence), [])
    await sync_to_async(events.publish)(job.id, job.fence, [Held(message="wait")], max_events=1)
    messages = await collect(follow.follow(job.id, 0))
    assert [message["type"] for message in messages] == ["offset_lost"]


async def test_a_trimmed_log_says_so_and_sends_a_snapshot(redis_client: Any) -> None:
    job = await new_job(status=Job.Status.SUCCEEDED)
    await publish(job, *(piece(number) for number in range(1, 9)), Succeeded())
    redis_client.xtrim(f"tessera:job:{job.id}:log", maxlen=3, approximate=False)
    (message,) = await collect(follow.follow(job.id, 2))
    assert (message["type"], message["seq"]) == ("offset_lost", 9)
    assert message["snapshot"]["status"] == "succeeded"


async def test_a_seq_from_the_future_is_lost_not_waited_for() -> None:
    job = await new_job(status=Job.Status.SUCCEEDED)
    await publish(job, piece(1), Succeeded())
    (message,) = await collect(follow.follow(job.id, 50))
    assert (message["type"], message["seq"]) == ("offset_lost", 2)


async def test_a_job_whose_last_event_never_reached_the_log_ends_with_a_snapshot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(follow, "HEARTBEAT_S", 0.05)
    job = await new_job(status=Job.Status.CANCELLED)
    await publish(job, piece(1))
    messages = await collect(follow.follow(job.id, 0))
    assert [message["type"] for message in messages] == ["event", "offset_lost"]
    assert messages[-1]["snapshot"]["status"] == "cancelled"


def cookie_of(user: User) -> bytes:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    assert isinstance(client.session, SessionStore)
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}".encode()


class Socket:
    """A browser's socket to one job."""

    def __init__(self, job_id: Any, cookie: bytes | None, query: str) -> None:
        headers = [(b"origin", b"http://localhost"), (b"host", b"localhost")]
        headers += [(b"cookie", cookie)] if cookie else []
        path = f"/ws/jobs/{job_id}/"
        scope = {
            "type": "websocket",
            "path": path,
            "query_string": query.encode(),
            "headers": headers,
            "subprotocols": [],
        }
        self._communicator = ApplicationCommunicator(application, scope)

    async def open(self) -> None:
        await self._communicator.send_input({"type": "websocket.connect"})
        assert (await self._communicator.receive_output(5))["type"] == "websocket.accept"

    async def read(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads((await self._communicator.receive_output(5))["text"])
        return message

    async def say(self, text: str, data: bytes) -> None:
        await self._communicator.send_input({"type": "websocket.receive", "text": text})
        await self._communicator.send_input({"type": "websocket.receive", "bytes": data})

    async def close_code(self) -> int:
        output = await self._communicator.receive_output(5)
        assert output["type"] == "websocket.close"
        return int(output.get("code", 1000))


async def socket(job_id: Any, user: User | None, query: str = "") -> Socket:
    opened = Socket(job_id, await sync_to_async(cookie_of)(user) if user else None, query)
    await opened.open()
    return opened


async def test_a_member_reads_the_job_through_the_socket_to_its_end() -> None:
    member = await sync_to_async(MembershipFactory.create)()
    job = await new_job(workspace=member.workspace, created_by=member.user)
    await publish(job, Queued(), piece(1))
    browser = await socket(job.id, member.user, "after=1")
    assert (await browser.read())["seq"] == 2
    await browser.say("not JSON", b"\xff")
    await sync_to_async(services.cancel)(job)
    message = await browser.read()
    while message["type"] == "heartbeat":
        message = await browser.read()
    assert message == {"type": "event", "seq": 3, "event": {"kind": "cancelled"}}
    assert await browser.close_code() == 1000


async def test_the_socket_shows_the_note_to_who_asked_alone() -> None:
    author = await sync_to_async(MembershipFactory.create)()
    colleague = await sync_to_async(MembershipFactory.create)(workspace=author.workspace, role="viewer")
    job = await new_job(workspace=author.workspace, created_by=author.user, status=Job.Status.CANCELLED)
    fields = {"artifact": None, "job": job, "stage": "prompt", "matched": ["self-harm"], "policy_number": 0}
    await sync_to_async(VerdictFactory.create)(**fields)
    for user, note in ((author.user, SUPPORT_NOTE), (colleague.user, "")):
        message = await (await socket(job.id, user, "after=9")).read()
        assert (message["type"], message["snapshot"]["note"]) == ("offset_lost", note)


@pytest.mark.parametrize("whose", ["unknown", "foreign"])
async def test_the_socket_of_a_foreign_or_unknown_job_is_closed_as_not_found(whose: str) -> None:
    member = await sync_to_async(MembershipFactory.create)()
    job = await new_job()
    job_id = job.id if whose == "foreign" else "01900000-0000-7000-8000-000000000000"
    assert await (await socket(job_id, member.user)).close_code() == 4404


async def test_a_socket_without_a_session_is_closed_as_not_signed_in() -> None:
    assert await (await socket((await new_job()).id, None)).close_code() == 4401


@pytest.mark.parametrize("after", ["-1", "x", "9" * 19])
async def test_a_malformed_offset_is_refused(after: str) -> None:
    member = await sync_to_async(MembershipFactory.create)()
    browser = await socket((await new_job()).id, member.user, f"after={after}")
    assert await browser.close_code() == 4400
