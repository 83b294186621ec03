"""/v1: what a job writes, as OpenAI's answers and streams; a fake worker writes, everything else is real."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.db import connections

from genworkers.contract.events import JobEvent, TokenLogprob
from tests.factories import ArtifactFactory, BlockedTermFactory, MembershipFactory
from tests.webapp.api.callers import AsyncCaller
from tests.webapp.api.fake_worker import block, fail, go_on, job_in, lose, piece, succeed, work
from webapp.asgi import http_application
from webapp.gallery import storage
from webapp.jobs import services
from webapp.jobs.models import Job
from webapp.safety.services import BLOCKED_MESSAGE
from webapp.workspaces.models import Membership

pytestmark = pytest.mark.django_db(transaction=True)

NET = "llama-tessera-text"
CHAT = {"model": NET, "messages": [{"role": "user", "content": "a boat"}], "seed": 7}
RAW = {"model": NET, "prompt": "Once", "seed": 7}
WORDS = [piece("Once ", 1), piece("upon a time.", 4, ends="stop")]
LOGPROBS = [
    TokenLogprob(token="On", logprob=-0.5, top=[("On", -0.5), ("The", -1.0)]),
    TokenLogprob(token="ce", logprob=-0.25, top=[("ce", -0.25)]),
]


@pytest.fixture
def owner() -> Membership:
    return MembershipFactory.create()


@pytest.fixture
def api(owner: Membership) -> AsyncCaller:
    return AsyncCaller(owner)


@pytest.fixture(autouse=True)
async def closed_connections() -> AsyncIterator[None]:
    """The thread that serves async views outlives the test; PostgreSQL would not drop a database in use."""
    yield
    await sync_to_async(connections.close_all)()


async def chat(api: AsyncCaller, **fields: Any) -> Any:
    return await api.post("/v1/chat/completions", CHAT | fields)


async def raw(api: AsyncCaller, **fields: Any) -> Any:
    return await api.post("/v1/completions", RAW | fields)


async def told(asking: Any, working: Any) -> Any:
    """The answer to a call while a worker works; a stream's is its list of data lines."""
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        answering = group.create_task(answer(asking))
        group.create_task(working)
    return answering.result()


async def answer(asking: Any) -> Any:
    response = await asking
    if not response.streaming:
        return response
    text = b"".join([part async for part in response.streaming_content]).decode()
    blocks = [block for block in text.split("\n\n") if block and not block.startswith(":")]
    assert all(block.startswith("data: ") for block in blocks)
    return [data if data == "[DONE]" else json.loads(data) for data in (block[6:] for block in blocks)]


async def test_a_chat_answer_has_the_words_the_counts_and_the_job(api: AsyncCaller) -> None:
    response = await told(chat(api), work((WORDS, succeed)))
    assert response.status_code == 200, response.content
    body = response.json()
    job = await Job.objects.aget()
    assert body["id"] == f"chatcmpl-{job.id}"
    assert (body["object"], body["model"], body["system_fingerprint"]) == ("chat.completion", NET, "c" * 64)
    assert body["created"] == int(job.created_at.timestamp())
    assert body["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Once upon a time.", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert body["usage"] == {"prompt_tokens": 7, "completion_tokens": 4, "total_tokens": 11}
    assert (response["X-Tessera-Job"], response["x-request-id"]) == (str(job.id), str(job.id))
    assert response["Location"].endswith(f"/api/v1/jobs/{job.id}")
    assert (await api.get(response["Location"])).json()["status"] == "succeeded"


async def test_a_raw_answer_has_openais_older_form(api: AsyncCaller) -> None:
    body = (await told(raw(api), work(([piece("Once", 1, ends="length")], succeed)))).json()
    assert body["id"].startswith("cmpl-")
    assert body["object"] == "text_completion"
    assert body["choices"] == [
        {"index": 0, "text": "Once", "logprobs": None, "finish_reason": "length", "refusal": None}
    ]


async def test_several_texts_stay_apart(api: AsyncCaller) -> None:
    script = [piece("a", 1), piece("x", 1, index=1), piece("b", 2, ends="stop"), piece("y", 3, index=1, ends="length")]
    body = (await told(chat(api, n=2), work((script, succeed)))).json()
    assert [choice["message"]["content"] for choice in body["choices"]] == ["ab", "xy"]
    assert [choice["finish_reason"] for choice in body["choices"]] == ["stop", "length"]
    assert body["usage"] == {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}


async def test_logprobs_come_in_both_forms(api: AsyncCaller) -> None:
    script = [piece("Once", 2, ends="stop", logprobs=LOGPROBS)]
    body = (await told(chat(api, logprobs=True, top_logprobs=2), work((script, succeed)))).json()
    first, second = body["choices"][0]["logprobs"]["content"]
    assert (first["token"], first["logprob"], first["bytes"]) == ("On", -0.5, [79, 110])
    assert [entry["token"] for entry in first["top_logprobs"]] == ["On", "The"]
    assert second["token"] == "ce"
    assert (await Job.objects.aget()).request["num_logprobs"] == 2

    body = (await told(raw(api, logprobs=1), work((script, succeed)))).json()
    assert body["choices"][0]["logprobs"] == {
        "tokens": ["On", "ce"],
        "token_logprobs": [-0.5, -0.25],
        "top_logprobs": [{"On": -0.5, "The": -1.0}, {"ce": -0.25}],
        "text_offset": [0, 2],
    }


async def test_a_chat_stream_opens_with_the_role_and_closes_with_the_reason(api: AsyncCaller) -> None:
    *chunks, done = await told(chat(api, stream=True), work((WORDS, succeed)))
    assert done == "[DONE]"
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({(chunk["id"], chunk["created"]) for chunk in chunks}) == 1
    choices = [chunk["choices"][0] for chunk in chunks]
    assert choices[0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert [choice["delta"] for choice in choices[1:]] == [{"content": "Once "}, {"content": "upon a time."}, {}]
    assert [choice["finish_reason"] for choice in choices] == [None, None, None, "stop"]
    assert "usage" not in chunks[0]


async def test_a_stream_ends_with_the_counts_when_asked(api: AsyncCaller) -> None:
    asking = chat(api, stream=True, stream_options={"include_usage": True})
    *chunks, last, done = await told(asking, work((WORDS, succeed)))
    assert {chunk["usage"] for chunk in chunks} == {None}
    assert (last["choices"], last["usage"]["total_tokens"], done) == ([], 11, "[DONE]")


async def test_a_raw_stream_tells_where_its_tokens_start(api: AsyncCaller) -> None:
    script = [
        piece("On", 1, logprobs=LOGPROBS[:1]),
        piece("ce", 2, logprobs=LOGPROBS[1:]),
        piece(".", 3, ends="stop"),
    ]
    *chunks, _ = await told(raw(api, stream=True, logprobs=1), work((script, succeed)))
    choices = [chunk["choices"][0] for chunk in chunks]
    assert "".join(choice["text"] for choice in choices) == "Once."
    assert [choice["logprobs"] and choice["logprobs"]["text_offset"] for choice in choices] == [[0], [2], None, None]
    assert [choice["finish_reason"] for choice in choices] == [None, None, None, "stop"]


LOST = ([piece("Once upon ", 2, logprobs=LOGPROBS)], lose)


async def test_a_second_worker_repeats_nothing_in_the_stream(api: AsyncCaller) -> None:
    words: list[JobEvent] = [
        piece("Once", 1, logprobs=LOGPROBS[:1]),
        piece(" upon a time", 4, logprobs=LOGPROBS[1:] * 3),
        piece(".", 5, ends="stop"),
    ]
    *chunks, done = await told(chat(api, stream=True, logprobs=True), work(LOST, (words, succeed)))
    choices = [chunk["choices"][0] for chunk in chunks]
    assert [choice["delta"].get("content") for choice in choices] == ["", "Once upon ", "a time", ".", None]
    assert sum(len((choice["logprobs"] or {"content": []})["content"]) for choice in choices) == 4
    assert done == "[DONE]"


async def test_a_second_worker_that_writes_something_else_ends_the_stream_with_an_error(api: AsyncCaller) -> None:
    heard = await told(chat(api, stream=True), work(LOST, ([piece("Twice upon", 2, ends="stop")], succeed)))
    assert heard[-1]["error"]["code"] == "job_diverged"
    job = await Job.objects.aget()
    assert job.status == Job.Status.SUCCEEDED


async def test_an_early_failure_of_a_stream_has_a_status(api: AsyncCaller) -> None:
    message = "The prompt has 900 tokens and this net reads at most 767. Shorten it."
    response = await told(chat(api, stream=True), work(([], fail("prompt_too_long", message))))
    assert response.status_code == 400
    assert response["x-should-retry"] == "false"
    assert response["X-Tessera-Job"]
    error = response.json()["error"]
    assert (error["code"], error["type"], error["message"]) == (
        "context_length_exceeded",
        "invalid_request_error",
        f"{message} Or send is_truncatable: true to have its newest part read.",
    )


async def test_a_late_failure_is_told_in_the_stream(api: AsyncCaller) -> None:
    heard = await told(chat(api, stream=True), work((WORDS[:1], fail("internal_error", "It broke."))))
    assert heard[-1]["error"] == {
        "message": "It broke.",
        "type": "server_error",
        "param": None,
        "code": "internal_error",
        "problems": [],
    }


@pytest.mark.parametrize(
    ("outcome", "status", "code"),
    [(Job.Status.EXPIRED, 504, "deadline_passed"), (Job.Status.CANCELLED, 409, "job_cancelled")],
)
async def test_other_endings_have_a_status(api: AsyncCaller, outcome: Job.Status, status: int, code: str) -> None:
    response = await told(chat(api), work(([], lambda claim: services.finish(claim, outcome))))
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert response["x-should-retry"] == "false"


async def test_a_text_that_ends_before_its_first_word_is_an_empty_answer(api: AsyncCaller) -> None:
    response = await told(chat(api), work(([], fail("nothing_written", "The net ended."))))
    choice = response.json()["choices"][0]
    assert (response.status_code, choice["message"]["content"], choice["finish_reason"]) == (200, "", "stop")


async def test_a_withheld_result_is_a_refusal(api: AsyncCaller) -> None:
    choice = (await told(chat(api), work(([], block)))).json()["choices"][0]
    assert choice["finish_reason"] == "content_filter"
    assert choice["message"] == {"role": "assistant", "content": None, "refusal": BLOCKED_MESSAGE}
    heard = await told(chat(api, stream=True), work((WORDS, block)))
    last = heard[-2]["choices"][0]
    assert (last["finish_reason"], last["delta"]["refusal"]) == ("content_filter", BLOCKED_MESSAGE)
    text = (await told(raw(api), work(([], block)))).json()["choices"][0]
    assert (text["text"], text["refusal"]) == ("", BLOCKED_MESSAGE)


async def test_a_refused_prompt_is_a_content_filter_error(api: AsyncCaller, owner: Membership) -> None:
    await sync_to_async(BlockedTermFactory.create)(workspace=owner.workspace, term="boat")
    response = await chat(api)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "content_filter")
    assert response["X-Tessera-Job"] == str((await Job.objects.aget()).id)


async def test_a_lost_log_is_made_up_for_by_what_was_kept(
    api: AsyncCaller, monkeypatch: pytest.MonkeyPatch, redis_client: Any
) -> None:
    def keep(claim: services.Claim) -> None:
        artifact = ArtifactFactory.create(job=claim.job, num_tokens=4, finish_reason="length")
        file = artifact.files.get(role="original")
        file.sha256 = storage.put(b"Once upon a time.")
        file.save()
        redis_client.xtrim(f"tessera:job:{claim.job.id}:log", maxlen=0, approximate=False)
        services.complete(claim, [])

    *chunks, _ = await told(chat(api, stream=True), work((WORDS[:1], keep)))
    words = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    assert words == "Once upon a time."
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"


async def test_the_same_idempotency_key_gets_the_same_answer_from_the_same_job(api: AsyncCaller) -> None:
    key = {"Idempotency-Key": "order-17"}
    asking = api.post("/v1/chat/completions", CHAT, **key)
    first = await told(asking, work((WORDS, succeed)))
    again = await api.post("/v1/chat/completions", CHAT, **key)
    assert again.json() == first.json()
    assert (first.get("Idempotency-Replayed"), again["Idempotency-Replayed"]) == (None, "true")
    heard = await answer(api.post("/v1/chat/completions", CHAT | {"stream": True}, **key))
    assert heard[-1] == "[DONE]"
    other = await api.post("/v1/chat/completions", CHAT | {"seed": 8}, **key)
    assert (other.status_code, other.json()["error"]["code"]) == (400, "idempotency_key_reused")
    assert await Job.objects.acount() == 1


class Client:
    """A client on the wire that can hang up."""

    def __init__(self, api: AsyncCaller, body: Any, **headers: str) -> None:
        sent = {"content-type": "application/json", "host": "localhost"} | api.headers | headers
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/chat/completions",
            "query_string": b"",
            "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
        }
        self._communicator = ApplicationCommunicator(http_application, scope)
        self._body = json.dumps(body).encode()

    async def ask(self) -> None:
        await self._communicator.send_input({"type": "http.request", "body": self._body})

    async def read(self) -> Any:
        return await self._communicator.receive_output(10)

    async def hang_up(self) -> None:
        await self._communicator.send_input({"type": "http.disconnect"})
        await self._communicator.wait(10)


@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_waiting_job_is_cancelled_when_the_client_goes_away(api: AsyncCaller, is_stream: bool) -> None:
    client = Client(api, CHAT | {"stream": is_stream})
    await client.ask()
    job = await job_in(Job.Status.QUEUED)
    await asyncio.sleep(0.2)
    await client.hang_up()
    await job.arefresh_from_db()
    assert job.status == Job.Status.CANCELLED


@pytest.mark.slow
@pytest.mark.parametrize("patience_s", [0.0, 0.01, 0.02, 0.04, 0.08])
async def test_a_client_that_leaves_at_once_leaves_no_job_behind(api: AsyncCaller, patience_s: float) -> None:
    client = Client(api, CHAT)
    await client.ask()
    await asyncio.sleep(patience_s)
    await client.hang_up()
    assert not await Job.objects.filter(status=Job.Status.QUEUED).aexists()


async def test_a_running_job_is_cancelled_when_the_reader_of_its_stream_goes_away(api: AsyncCaller) -> None:
    client = Client(api, CHAT | {"stream": True})
    await client.ask()
    job = await work((WORDS[:1], go_on))
    assert (await client.read())["status"] == 200
    assert b"assistant" in (await client.read())["body"]
    await client.hang_up()
    await job.arefresh_from_db()
    assert job.cancel_requested_at is not None


async def test_a_job_with_an_idempotency_key_goes_on_without_its_client(api: AsyncCaller) -> None:
    client = Client(api, CHAT, **{"Idempotency-Key": "order-17"})
    await client.ask()
    job = await job_in(Job.Status.QUEUED)
    await asyncio.sleep(0.1)
    await client.hang_up()
    await job.arefresh_from_db()
    assert job.status == Job.Status.QUEUED
    response = await told(
        api.post("/v1/chat/completions", CHAT, **{"Idempotency-Key": "order-17"}), work((WORDS, succeed))
    )
    assert response.json()["id"] == f"chatcmpl-{job.id}"
