"""The official `openai` package asks the running stack for embeddings: base64 as it does by itself, and numbers."""

import math

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from scripts.own_stack import Stack
from tests.processes import wait_for, worker_of, workers_of

pytestmark = [pytest.mark.stack, pytest.mark.slow]

ENCODER = "all-minilm-l6-v2"


@pytest.fixture(scope="module")
def key(live_stack: Stack) -> str:
    made = live_stack.manage("create_api_key", "--workspace", "studio", "--name", "checks", "--scopes", "read,generate")
    return made.split()[-1]


@pytest.fixture(scope="module")
def client(live_stack: Stack, key: str) -> OpenAI:
    made = OpenAI(base_url=f"{live_stack.url}/v1", api_key=key, timeout=110, max_retries=0)
    wait_for(lambda: answers(made))  # the site is up before its workers are
    return made


def answers(client: OpenAI) -> bool:
    try:
        return bool(client.embeddings.create(model=ENCODER, input="a boat").data)
    except openai.InternalServerError:
        return False


def likeness(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def test_texts_become_vectors_in_their_order(client: OpenAI) -> None:
    assert ENCODER in [model.id for model in client.models.list()]
    texts = ["a red fox", "the price of steel in 1913", "A fox that is red."]
    found = client.embeddings.create(model=ENCODER, input=texts)
    assert [one.index for one in found.data] == [0, 1, 2]
    fox, steel, same = (one.embedding for one in found.data)
    assert math.isclose(likeness(fox, fox), 1.0, abs_tol=1e-5)
    assert likeness(fox, same) > 0.8 > 0.3 > likeness(fox, steel)
    assert found.model == ENCODER
    assert found.usage.prompt_tokens == found.usage.total_tokens > 15
    (alone,) = client.embeddings.create(model=ENCODER, input="a red fox", encoding_format="float", dimensions=384).data
    assert len(alone.embedding) == 384
    assert likeness(alone.embedding, fox) > 0.99999


def test_a_long_list_is_answered_in_parts(client: OpenAI) -> None:
    texts = [f"story number {number}" for number in range(100)]
    found = client.embeddings.create(model=ENCODER, input=texts)
    assert [one.index for one in found.data] == list(range(100))
    (last,) = client.embeddings.create(model=ENCODER, input=texts[-1]).data
    assert likeness(last.embedding, found.data[-1].embedding) > 0.99999


def test_a_text_that_is_too_long_is_named(client: OpenAI) -> None:
    texts = ["short"] * 40 + ["word " * 300]
    with pytest.raises(openai.BadRequestError) as error:
        client.embeddings.create(model=ENCODER, input=texts)
    assert (error.value.code, error.value.param) == ("context_length_exceeded", "input[40]")
    assert "1 to 256 tokens" in error.value.message
    cut = client.embeddings.create(model=ENCODER, input=texts[-1], extra_body={"is_truncatable": True})
    assert cut.usage.total_tokens == 256


async def test_the_asynchronous_client_works(live_stack: Stack, key: str) -> None:
    async with AsyncOpenAI(base_url=f"{live_stack.url}/v1", api_key=key, max_retries=0) as client:
        (found,) = (await client.embeddings.create(model=ENCODER, input="a boat")).data
    assert len(found.embedding) == 384


def test_a_killed_check_worker_comes_back(client: OpenAI, live_stack: Stack) -> None:
    first = worker_of(live_stack, "check")
    first.kill()
    first.wait(timeout=5)
    with pytest.raises(openai.InternalServerError) as error:
        client.embeddings.create(model=ENCODER, input="a boat")
    assert (error.value.status_code, error.value.code) == (503, "checks_unavailable")
    assert error.value.response.headers["Retry-After"] == "5"
    wait_for(lambda: workers_of(live_stack, "check") not in ([], [first]))
    wait_for(lambda: answers(client))
