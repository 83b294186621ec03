"""A job followed by SSE, and a request that waits for its end: the same log, the same order, nothing twice."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis
import redis.asyncio
from asgiref.sync import sync_to_async
from django.db import connection, connections
from django.test import Client

from genworkers.contract.events import JobEvent, Queued, Succeeded, TextPiece
from tests.factories import JobFactory, MembershipFactory, VerdictFactory
from tests.webapp.api.callers import AsyncCaller
from webapp.jobs import eventlog, events, services
from webapp.jobs.models import Job
from webapp.safety.policy import SUPPORT_NOTE
from webapp.workspaces.models import Membership

pytestmark = pytest.mark.django_db(transaction=True)

BODY = {"kind": "text", "prompt": "a boat", "seed": 7}


@pytest.fixture
def owner() -> Membership:
    return MembershipFactory.create()


@pytest.fixture
def api(owner: Membership) -> AsyncCaller:
    return AsyncCaller(owner)


@pytest.fixture
def job(owner: Membership) -> Job:
    return JobFactory.create(workspace=owner.workspace, created_by=owner.user)


@pytest.fixture(autouse=True)
async def closed_connections() -> AsyncIterator[None]:
    """The thread that serves async views outlives the test; PostgreSQL would not drop a database in use."""
    yield
    await sync_to_async(connections.close_all)()


async def publish(job: Job, *messages: JobEvent) -> None:
    await sync_to_async(events.publish)(job.id, 1, messages)


def piece(number: int) -> TextPiece:
    return TextPiece(text=f"w{number}\n\n", num_tokens=number)


async def listen(stream: AsyncIterator[bytes]) -> list[dict[str, Any]]:
    """Messages as a browser's EventSource would read them."""
    async with asyncio.timeout(20):
        text = b"".join([chunk async for chunk in stream]).decode()
    messages = []
    for block in text.split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        messages.append(fields | {"data": json.loads(fields["data"])})
    return messages


async def follow(api: AsyncCaller, job: Job, query: str = "", **headers: str) -> list[dict[str, Any]]:
    response = await api.get(f"/api/v1/jobs/{job.id}/events{query}", **headers)
    assert response.status_code == 200, response.content
    assert response["Content-Type"] == "text/event-stream"
    assert response["X-Accel-Buffering"] == "no"
    assert "no-transform" in response["Cache-Control"]
    assert response["Tessera-Version"]
    return await listen(response.streaming_content)


def ids(messages: list[dict[str, Any]]) -> list[int]:
    return [int(message["id"]) for message in messages if "id" in message]


async def test_the_stream_carries_the_log_and_ends_with_the_job(api: AsyncCaller, job: Job) -> None:
    await publish(job, Queued(), piece(1), Succeeded())
    messages = await follow(api, job)
    assert ids(messages) == [1, 2, 3]
    assert [message["event"] for message in messages] == ["queued", "text", "succeeded"]
    assert messages[1]["data"] == piece(1).model_dump()


async def test_what_happens_later_comes_in_the_same_stream(api: AsyncCaller, job: Job) -> None:
    async def work() -> None:
        for number in range(1, 30):
            await publish(job, piece(number))
            await asyncio.sleep(0.005)
        await publish(job, Succeeded())

    messages, _ = await asyncio.gather(follow(api, job), work())
    assert ids(messages) == list(range(1, 31))


async def test_a_listener_resumes_after_what_it_has(api: AsyncCaller, job: Job) -> None:
    await publish(job, Queued(), piece(1), piece(2), Succeeded())
    assert ids(await follow(api, job, "?after=2")) == [3, 4]
    assert ids(await follow(api, job, **{"Last-Event-ID": "3"})) == [4]
    assert ids(await follow(api, job, "?after=1", **{"Last-Event-ID": "3"})) == [4]


async def test_a_waiting_job_says_where_it_stands(api: AsyncCaller, job: Job) -> None:
    response = await api.get(f"/api/v1/jobs/{job.id}/events")
    stream = aiter(response.streaming_content)
    first = (await anext(stream)).decode()
    assert first.startswith("event: heartbeat\ndata: ")
    assert json.loads(first.split("data: ")[1]) == {"status": "queued", "position": 1, "eta_s": None}
    await stream.aclose()


async def test_a_lost_log_is_replaced_by_the_snapshot(api: AsyncCaller, owner: Membership) -> None:
    job = await sync_to_async(JobFactory.create)(workspace=owner.workspace, created_by=owner.user, status="succeeded")
    (message,) = await follow(api, job, "?after=7")
    assert (message["event"], message["data"]["status"]) == ("offset_lost", "succeeded")
    assert message["data"]["id"] == str(job.id)


async def test_the_note_in_a_snapshot_is_for_who_asked(api: AsyncCaller, job: Job, owner: Membership) -> None:
    fields = {"artifact": None, "job": job, "stage": "prompt", "matched": ["self-harm"], "policy_number": 0}
    await sync_to_async(VerdictFactory.create)(**fields)
    await sync_to_async(services.cancel)(job)
    colleague = await sync_to_async(MembershipFactory.create)(workspace=owner.workspace, role="viewer")
    (other,) = await follow(await sync_to_async(AsyncCaller)(colleague), job, "?after=7")
    (own,) = await follow(api, job, "?after=7")
    assert (other["event"], other["data"]["note"]) == ("offset_lost", "")
    assert (own["event"], own["data"]["note"]) == ("offset_lost", SUPPORT_NOTE)


async def test_a_listener_who_has_seen_the_end_is_sent_away(api: AsyncCaller, owner: Membership) -> None:
    job = await sync_to_async(JobFactory.create)(workspace=owner.workspace, created_by=owner.user, status="succeeded")
    await publish(job, Queued(), Succeeded())
    response = await api.get(f"/api/v1/jobs/{job.id}/events", **{"Last-Event-ID": "2"})
    assert response.status_code == 204


@pytest.mark.parametrize("after", ["-1", "x", "1.5", str(2**53 + 1)])
async def test_an_odd_position_is_refused(api: AsyncCaller, job: Job, after: str) -> None:
    for query, headers, field in [
        (f"?after={after}", {}, "after"),
        ("", {"Last-Event-ID": after}, "Last-Event-ID"),
    ]:
        response = await api.get(f"/api/v1/jobs/{job.id}/events{query}", **headers)
        assert response.status_code == 422
        found = response.json()["problems"][0]
        assert (found["field"], found["allowed"]) == (field, "0 to 9007199254740992")


async def test_a_log_that_is_away_is_a_503(api: AsyncCaller, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = redis.asyncio.Redis.from_url("redis://127.0.0.1:1/0", decode_responses=True)
    monkeypatch.setattr(eventlog, "async_client", lambda: gone)
    response = await api.get(f"/api/v1/jobs/{job.id}/events")
    assert (response.status_code, response.json()["code"]) == (503, "unavailable")
    assert response["Retry-After"]


async def create(api: AsyncCaller, **headers: str) -> Any:
    return await api.post("/api/v1/jobs", BODY, **headers)


def end_the_next_job(delay_s: float) -> None:
    """What a worker does in the end, without the work; in a thread of its own, as a worker is a process of its own."""
    time.sleep(delay_s)
    claim = services.claim(Job.objects.get().id, worker="test")
    assert claim is not None
    services.finish(claim, Job.Status.FAILED, error_code="engine_failed", error_message="Stopped.")
    connection.close()


async def test_a_waiting_request_is_answered_with_the_end(api: AsyncCaller) -> None:
    response, _ = await asyncio.gather(create(api, Prefer="wait=20"), asyncio.to_thread(end_the_next_job, 0.5))
    assert (response.status_code, response.json()["status"]) == (200, "failed")
    assert response["Preference-Applied"] == "wait=20"
    assert response["Location"] == response.json()["urls"]["self"]


async def test_a_wait_ends_at_its_time(api: AsyncCaller) -> None:
    response = await create(api, Prefer="respond-async, wait=1")
    assert (response.status_code, response.json()["status"]) == (202, "queued")


@pytest.mark.parametrize(("prefer", "applied"), [("wait=0", None), ("wait=-1", None), ("wait=x", None), ("", None)])
async def test_an_unreadable_preference_is_ignored(api: AsyncCaller, prefer: str, applied: str | None) -> None:
    response = await create(api, Prefer=prefer)
    assert response.status_code == 202
    assert response.get("Preference-Applied") == applied


async def test_a_repeat_during_the_wait_is_told_so_and_after_it_gets_the_answer(api: AsyncCaller) -> None:
    def repeat() -> Any:
        time.sleep(0.5)
        busy = Client(headers=api.headers).post(
            "/api/v1/jobs", BODY, content_type="application/json", headers={"Idempotency-Key": "order-17"}
        )
        end_the_next_job(0)
        return busy

    headers = {"Idempotency-Key": "order-17", "Prefer": "wait=20"}
    first, busy = await asyncio.gather(create(api, **headers), asyncio.to_thread(repeat))
    assert (busy.status_code, busy.json()["code"]) == (409, "idempotency_key_busy")
    assert busy["Location"] == first["Location"]
    again = await create(api, **headers)
    assert (again.status_code, again["Idempotency-Replayed"]) == (200, "true")
    assert again.json() == first.json()
    assert await Job.objects.acount() == 1


async def test_a_repeat_that_waits_is_answered_with_the_end(api: AsyncCaller) -> None:
    headers = {"Idempotency-Key": "order-17"}
    await create(api, **headers)
    waiting = create(api, **headers, Prefer="wait=20")
    again, _ = await asyncio.gather(waiting, asyncio.to_thread(end_the_next_job, 0.5))
    assert (again.status_code, again.json()["status"]) == (200, "failed")
    assert (again["Idempotency-Replayed"], again["Preference-Applied"]) == ("true", "wait=20")
    known = await create(api, **headers, Prefer="wait=20")
    assert (known.status_code, known.json()) == (200, again.json())
    assert "Preference-Applied" not in known
    assert await Job.objects.acount() == 1


async def test_requests_with_one_key_at_once_make_one_job(api: AsyncCaller) -> None:
    answers = await asyncio.gather(*(create(api, **{"Idempotency-Key": "order-17"}) for _ in range(6)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert [answer.get("Idempotency-Replayed") for answer in answers].count(None) == 1
    assert await Job.objects.acount() == 1


async def test_a_job_is_taken_in_while_the_log_is_away(api: AsyncCaller, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = redis.Redis.from_url("redis://127.0.0.1:1/0")
    monkeypatch.setattr(eventlog, "_client", lambda: gone)
    response = await create(api)
    assert (response.status_code, response.json()["last_seq"]) == (202, 0)
    assert (await api.get(f"/api/v1/jobs/{response.json()['id']}")).status_code == 200
