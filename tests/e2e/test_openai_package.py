"""The official `openai` package against the running stack, with nothing changed but base_url and api_key."""

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from scripts.own_stack import Stack
from tests.processes import wait_for, worker_of

pytestmark = [pytest.mark.stack, pytest.mark.slow]

NET = "llama-tessera-text"
STORY: Any = [{"role": "user", "content": "Write a story about a lighthouse."}]
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 99},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def key(live_stack: Stack) -> str:
    made = live_stack.manage("create_api_key", "--workspace", "studio", "--name", "openai", "--scopes", "read,generate")
    return made.split()[-1]


@pytest.fixture(scope="module")
def client(live_stack: Stack, key: str) -> OpenAI:
    return OpenAI(base_url=f"{live_stack.url}/v1", api_key=key, timeout=110, max_retries=0)


@pytest.fixture(scope="module")
def job_of(live_stack: Stack, key: str) -> Callable[[str], dict[str, Any]]:
    """The job behind an answer's id, as the studio's own API tells it."""

    def read(answer_id: str) -> dict[str, Any]:
        address = f"{live_stack.url}/api/v1/jobs/{answer_id.partition('-')[2]}"
        job: dict[str, Any] = httpx.get(address, headers={"Authorization": f"Bearer {key}"}).raise_for_status().json()
        return job

    return read


def test_the_models_are_listed_and_found(client: OpenAI) -> None:
    assert NET in [model.id for model in client.models.list()]
    assert client.models.retrieve(NET).object == "model"
    with pytest.raises(openai.NotFoundError) as error:
        client.models.retrieve("gpt-4o")
    assert error.value.code == "model_not_found"


def test_a_chat_is_answered_counted_and_kept_as_a_job(
    client: OpenAI, job_of: Callable[[str], dict[str, Any]], live_stack: Stack, key: str
) -> None:
    messages: Any = [
        {"role": "system", "content": "You write for children."},
        {"role": "user", "content": "Who are you?"},
        {"role": "assistant", "content": "A teller of stories."},
        {"role": "user", "content": [{"type": "text", "text": "Write a story about a lighthouse."}]},
    ]
    answer = client.chat.completions.create(model=NET, messages=messages, max_tokens=40, user="me")
    (choice,) = answer.choices
    assert answer.object == "chat.completion"
    assert choice.message.role == "assistant"
    assert choice.message.content
    assert choice.finish_reason in ("stop", "length")
    assert answer.usage is not None
    assert answer.usage.prompt_tokens > 10
    assert 0 < answer.usage.completion_tokens <= 40
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert len(answer.system_fingerprint or "") == 64
    job = job_of(answer.id)
    assert job["status"] == "succeeded"
    assert 0 < job["energy"]["joules"] < 1000
    assert [message["role"] for message in job["request"]["history"]] == ["system", "user", "assistant"]
    address = f"{live_stack.url}/api/v1/artifacts/{job['artifacts'][0]}/content"
    kept = httpx.get(address, headers={"Authorization": f"Bearer {key}"}, follow_redirects=True)
    assert kept.raise_for_status().text == choice.message.content


def test_a_stream_says_the_same_as_the_whole_answer(client: OpenAI) -> None:
    whole = client.chat.completions.create(model=NET, messages=STORY, max_tokens=60, seed=11)
    chunks = list(
        client.chat.completions.create(
            model=NET, messages=STORY, max_tokens=60, seed=11, stream=True, stream_options={"include_usage": True}
        )
    )
    assert chunks[0].choices[0].delta.role == "assistant"
    words = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(words) == whole.choices[0].message.content
    assert len([word for word in words if word]) > 1
    assert chunks[-2].choices[0].finish_reason == whole.choices[0].finish_reason
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage


def test_a_text_is_continued_whole_and_streamed(client: OpenAI) -> None:
    whole = client.completions.create(model=NET, prompt="Once upon a time", seed=3)
    assert whole.object == "text_completion"
    assert whole.usage is not None
    assert whole.usage.completion_tokens <= 16
    chunks = list(client.completions.create(model=NET, prompt="Once upon a time", seed=3, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason


def test_the_same_seed_gives_the_same_text_and_another_one_another(client: OpenAI) -> None:
    def ask(seed: int) -> str | None:
        answer = client.chat.completions.create(model=NET, messages=STORY, max_tokens=30, seed=seed)
        return answer.choices[0].message.content

    assert ask(1) == ask(1) != ask(2)
    cold = [
        client.chat.completions.create(model=NET, messages=STORY, max_tokens=30, temperature=0)
        .choices[0]
        .message.content
        for _ in range(2)
    ]
    assert cold[0] == cold[1]


def test_several_texts_are_several_choices_whole_and_streamed(client: OpenAI) -> None:
    whole = client.chat.completions.create(model=NET, messages=STORY, max_tokens=30, seed=5, n=3)
    texts = [choice.message.content or "" for choice in whole.choices]
    assert [choice.index for choice in whole.choices] == [0, 1, 2]
    assert len(set(texts)) == 3
    streamed = ["", "", ""]
    reasons: dict[int, str] = {}
    for chunk in client.chat.completions.create(model=NET, messages=STORY, max_tokens=30, seed=5, n=3, stream=True):
        for choice in chunk.choices:
            streamed[choice.index] += choice.delta.content or ""
            if choice.finish_reason:
                reasons[choice.index] = choice.finish_reason
    assert streamed == texts
    assert reasons.keys() == {0, 1, 2}


def test_a_text_ends_before_a_stop_string_and_at_its_length(client: OpenAI) -> None:
    free = client.chat.completions.create(model=NET, messages=STORY, max_tokens=60, seed=8)
    text = free.choices[0].message.content or ""
    stop = text[20:24]
    stopped = client.chat.completions.create(model=NET, messages=STORY, max_tokens=60, seed=8, stop=[stop, "never"])
    assert stopped.choices[0].message.content == text[: text.index(stop)]
    assert stopped.choices[0].finish_reason == "stop"
    short = client.chat.completions.create(model=NET, messages=STORY, max_completion_tokens=5, seed=8)
    assert short.choices[0].finish_reason == "length"
    assert short.usage is not None
    assert short.usage.completion_tokens == 5


def test_logprobs_are_told_in_both_forms(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model=NET, messages=STORY, max_tokens=8, seed=4, logprobs=True, top_logprobs=3
    )
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert len(logprobs.content) == 8
    assert "".join(entry.token for entry in logprobs.content) == answer.choices[0].message.content
    for entry in logprobs.content:
        assert entry.logprob <= 0
        assert len(entry.top_logprobs) == 3
        assert entry.top_logprobs[0].logprob >= entry.top_logprobs[1].logprob

    text = client.completions.create(model=NET, prompt="Once upon", max_tokens=4, seed=4, logprobs=2)
    older = text.choices[0].logprobs
    assert older is not None
    assert older.tokens is not None
    assert "".join(older.tokens) == text.choices[0].text
    assert older.text_offset == [sum(map(len, older.tokens[:number])) for number in range(4)]


class Person(BaseModel):
    """Somebody in a story."""

    name: str
    age: int


def test_the_answer_fits_a_json_schema(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model=NET,
        messages=STORY,
        max_tokens=200,
        seed=2,
        response_format={"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA, "strict": True}},
    )
    person = json.loads(answer.choices[0].message.content or "")
    assert person.keys() == {"name", "age"}
    assert 0 <= person["age"] <= 99
    anything = client.chat.completions.create(
        model=NET, messages=STORY, max_tokens=400, seed=2, temperature=0.5, response_format={"type": "json_object"}
    )
    if anything.choices[0].finish_reason == "stop":
        assert isinstance(json.loads(anything.choices[0].message.content or ""), dict)


def test_the_package_parses_an_answer_into_a_model(client: OpenAI) -> None:
    try:
        answer = client.chat.completions.parse(
            model=NET, messages=STORY, max_tokens=300, seed=6, temperature=0.5, response_format=Person
        )
    except openai.LengthFinishReasonError:
        return  # a name without an end is a string that fits the schema
    assert isinstance(answer.choices[0].message.parsed, Person)


def test_penalties_biases_and_our_own_parameters_are_taken(
    client: OpenAI, job_of: Callable[[str], dict[str, Any]]
) -> None:
    answer = client.chat.completions.create(
        model=NET,
        messages=STORY,
        max_tokens=10,
        presence_penalty=0.5,
        frequency_penalty=0.5,
        logit_bias={"5": -100},
        temperature=0.7,
        top_p=0.9,
        metadata={"order": "17"},
        store=False,
        extra_body={"top_k": 20, "min_p": 0.05, "repetition_penalty": 1.1},
    )
    request = job_of(answer.id)["request"]
    assert (request["top_k"], request["min_p"], request["repetition_penalty"]) == (20, 0.05, 1.1)
    assert (request["presence_penalty"], request["logit_bias"]) == (0.5, {"5": -100})


def test_unknown_fields_are_named_in_a_header(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model=NET, messages=STORY, max_tokens=3, reasoning_effort="low", extra_body={"foo": 1}
    )
    assert set(raw.headers["X-Tessera-Ignored"].split(", ")) == {"foo", "reasoning_effort"}
    assert raw.headers["X-Tessera-Job"] == raw.parse().id.partition("-")[2]


def test_errors_are_the_packages_own(client: OpenAI, live_stack: Stack) -> None:
    stranger = OpenAI(base_url=f"{live_stack.url}/v1", api_key="sk-wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError) as unknown:
        stranger.models.list()
    assert unknown.value.code == "invalid_api_key"
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model=f"{NET}:nobody", messages=STORY)
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as wrong:
        client.chat.completions.create(model=NET, messages=STORY, temperature=9)
    assert (wrong.value.param, wrong.value.type) == ("temperature", "invalid_request_error")
    assert "allowed: 0 to 2" in wrong.value.message
    with pytest.raises(openai.BadRequestError) as unserved:
        client.chat.completions.create(
            model=NET, messages=STORY, tools=[{"type": "function", "function": {"name": "f"}}]
        )
    assert (unserved.value.code, unserved.value.param) == ("unsupported_parameter", "tools")
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as long:
            client.completions.create(model=NET, prompt="word " * 5000, stream=stream)
        assert long.value.code == "context_length_exceeded"
    schema: Any = {"name": "x", "schema": {"type": "no such type"}}
    with pytest.raises(openai.BadRequestError) as impossible:
        client.chat.completions.create(
            model=NET, messages=STORY, response_format={"type": "json_schema", "json_schema": schema}
        )
    assert impossible.value.code == "schema_unsupported"


def test_closing_a_stream_cancels_its_job(client: OpenAI, job_of: Callable[[str], dict[str, Any]]) -> None:
    with client.chat.completions.create(model=NET, messages=STORY, n=8, stream=True) as stream:
        answer_id = next(iter(stream)).id
    wait_for(lambda: job_of(answer_id)["finished_at"] is not None, timeout_s=20)
    assert job_of(answer_id)["status"] == "cancelled"


def test_a_caller_who_gives_up_waiting_cancels_the_job(
    client: OpenAI, live_stack: Stack, key: str, job_of: Callable[[str], dict[str, Any]]
) -> None:
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.3).chat.completions.create(
            model=NET, messages=[{"role": "user", "content": "Write about somebody who cannot wait."}], n=8
        )
    headers = {"Authorization": f"Bearer {key}"}
    items = httpx.get(f"{live_stack.url}/api/v1/jobs?limit=1", headers=headers).raise_for_status().json()["items"]
    assert items[0]["prompt"] == "Write about somebody who cannot wait."
    wait_for(lambda: job_of(f"-{items[0]['id']}")["finished_at"] is not None, timeout_s=20)
    assert job_of(f"-{items[0]['id']}")["status"] == "cancelled"


def test_an_idempotency_key_finds_the_answer_of_a_broken_stream_again(client: OpenAI) -> None:
    key = {"Idempotency-Key": f"order-{time.time_ns()}"}
    asked: dict[str, Any] = {"model": NET, "messages": STORY, "max_tokens": 60, "extra_headers": key}
    with client.chat.completions.create(**asked, stream=True) as stream:
        first = next(iter(stream))
    whole = client.chat.completions.create(**asked)
    again = client.chat.completions.create(**asked)
    assert first.id == whole.id == again.id
    assert whole.choices[0].message.content == again.choices[0].message.content


def test_a_stream_goes_on_with_another_worker_and_repeats_nothing(client: OpenAI, live_stack: Stack) -> None:
    asked: dict[str, Any] = {"model": NET, "messages": STORY, "max_tokens": 400, "seed": 21, "temperature": 0.8}
    words: list[str] = []
    for chunk in client.chat.completions.create(**asked, stream=True):
        words.append(chunk.choices[0].delta.content or "")
        if len(words) == 4:
            worker_of(live_stack, "text").kill()
    assert "".join(words) == client.chat.completions.create(**asked).choices[0].message.content


async def test_the_asynchronous_client_works(live_stack: Stack, key: str) -> None:
    async with AsyncOpenAI(base_url=f"{live_stack.url}/v1", api_key=key, timeout=100, max_retries=0) as client:
        stream = await client.chat.completions.create(model=NET, messages=STORY, max_tokens=20, stream=True)
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
