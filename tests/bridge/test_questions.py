"""Questions and answers: Redis, the broker, Celery, the check worker's task and the text encoder are real."""

import asyncio
import base64
import struct
import threading
import time
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import pytest
import redis
import torch
import uuid_utils.compat as uuid
from django.test import override_settings

from genworkers.contract.checks import (
    EMBEDDING_WIDTH,
    ENCODER_MAX_TOKENS,
    MAX_TEXTS,
    Embed,
    Embedded,
    Moderate,
    TooLong,
)
from genworkers.contract.names import CHECK_QUEUE
from genworkers.contract.safety import Screening
from genworkers.nets.encoder import sentence_embedding
from genworkers.tasks import checks, screens
from genworkers.tasks.screens import Screens
from tests.bridge.check_worker import serving
from webapp.errors import AppError
from webapp.jobs import questions

TEXTS = ["a red fox", "A fox that is red.", "the price of steel in 1913"]
LONG = "word " * ENCODER_MAX_TOKENS
Said = TypeVar("Said")


@pytest.fixture
def worker(nets: Screens, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with serving(nets, monkeypatch):
        yield


def told(asking: Coroutine[Any, Any, Said]) -> Said:
    return asyncio.run(asking)


def vectors_of(said: object) -> torch.Tensor:
    assert isinstance(said, Embedded)
    layout = f"<{EMBEDDING_WIDTH}f"
    return torch.tensor([struct.unpack(layout, base64.b64decode(vector)) for vector in said.vectors])


def alone(text: str) -> torch.Tensor:
    has = screens.embedder()
    with torch.inference_mode():
        return sentence_embedding(has.encoder.encode([has.wordpiece.encode(text)])[0])


def left_behind(redis_client: redis.Redis) -> list[Any]:
    return [*redis_client.scan_iter("tessera:question:*"), *redis_client.scan_iter("tessera:answer:*")]


def test_a_vector_is_the_encoders_own_whatever_it_was_asked_with(worker: None) -> None:
    texts = [*TEXTS, "a " * 200, "", *(f"text {number}" for number in range(MAX_TEXTS - 5))]
    said = told(questions.ask(Embed(texts=texts)))
    vectors = vectors_of(said)
    expected = torch.stack([alone(text) for text in texts])
    torch.testing.assert_close(vectors, expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(len(texts)))
    assert isinstance(said, Embedded)
    assert said.num_tokens == [len(screens.embedder().wordpiece.encode(text)) for text in texts]
    assert vectors[0] @ vectors[1] > 0.8
    assert vectors[0] @ vectors[2] < 0.3


def test_a_long_text_is_refused_or_cut_as_asked(worker: None) -> None:
    just = "word " * (ENCODER_MAX_TOKENS - 2)
    assert isinstance(told(questions.ask(Embed(texts=[just]))), Embedded)
    assert told(questions.ask(Embed(texts=["short", LONG]))) == TooLong(index=1)
    cut = told(questions.ask(Embed(texts=[LONG], is_truncatable=True)))
    assert isinstance(cut, Embedded)
    assert cut.num_tokens == [ENCODER_MAX_TOKENS]
    torch.testing.assert_close(vectors_of(cut)[0], alone(just), atol=1e-6, rtol=0)


def test_many_callers_at_once_get_each_their_own_answer(
    worker: None, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "TAKE_S", 30)  # the machine may be busy
    found: dict[int, torch.Tensor] = {}

    def ask(number: int) -> None:
        found[number] = vectors_of(told(questions.ask(Embed(texts=[f"number {number}"]))))[0]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    for number in range(16):
        torch.testing.assert_close(found[number], alone(f"number {number}"), atol=1e-6, rtol=0)
    assert left_behind(redis_client) == []


def test_without_a_worker_it_is_told_in_two_seconds_and_nothing_is_left_to_answer(redis_client: redis.Redis) -> None:
    began = time.monotonic()
    with pytest.raises(AppError) as error:
        told(questions.ask(Embed(texts=TEXTS)))
    assert 1.5 < time.monotonic() - began < 4
    assert (error.value.code, error.value.http_status, error.value.headers) == (
        "checks_unavailable",
        503,
        {"Retry-After": "5"},
    )
    assert left_behind(redis_client) == []
    assert redis_client.llen(CHECK_QUEUE) == 1


def test_a_worker_that_comes_late_finds_nothing_to_do(
    nets: Screens, monkeypatch: pytest.MonkeyPatch, redis_client: redis.Redis
) -> None:
    monkeypatch.setattr(questions, "TAKE_S", 0.1)
    with pytest.raises(AppError):
        told(questions.ask(Embed(texts=["too early"])))
    monkeypatch.undo()
    with serving(nets, monkeypatch):
        assert isinstance(told(questions.ask(Embed(texts=["in time"]))), Embedded)
    assert redis_client.llen(CHECK_QUEUE) == 0
    assert left_behind(redis_client) == []


def test_a_caller_who_leaves_takes_the_question_back(redis_client: redis.Redis) -> None:
    async def leave() -> None:
        asking = asyncio.create_task(questions.ask(Embed(texts=TEXTS)))
        while not redis_client.llen(CHECK_QUEUE):
            await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    told(leave())
    assert left_behind(redis_client) == []


def test_an_answer_that_nobody_fetches_goes_away(redis_client: redis.Redis) -> None:
    questions.answer(uuid.uuid7(), TooLong(index=0))
    (key,) = left_behind(redis_client)
    assert 0 < redis_client.pttl(key) <= 1000 * questions.ANSWER_S


def test_a_question_is_taken_once(redis_client: redis.Redis) -> None:
    question_id = uuid.uuid7()
    redis_client.set(f"tessera:question:{question_id}", Embed(texts=["a"]).model_dump_json())
    assert questions.take(question_id) == Embed(texts=["a"])
    assert questions.take(question_id) is None
    checks.check(str(question_id))
    assert left_behind(redis_client) == []


def test_a_worker_that_cannot_answer_says_so_at_once_and_keeps_what_was_asked_out_of_its_log(
    nets: Screens, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class BrokenScreen:
        def screen(self, texts: Sequence[str]) -> list[Screening]:
            raise ValueError(f"cannot read {texts}")

    with serving(replace(nets, texts=BrokenScreen()), monkeypatch), pytest.raises(AppError) as error:
        told(questions.ask(Moderate(texts=["a secret"])))
    assert (error.value.code, error.value.http_status) == ("check_failed", 500)
    (record,) = [record for record in caplog.records if "check_broke" in str(record.msg)]
    assert "in screen" in str(record.msg)
    assert "secret" not in caplog.text
    assert record.exc_info is None


def test_a_redis_that_is_away_is_told_as_such() -> None:
    with override_settings(REDIS_URL="redis://127.0.0.1:1/0"), pytest.raises(redis.ConnectionError):
        told(questions.ask(Embed(texts=TEXTS)))
