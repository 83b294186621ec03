"""The text engine with a tiny random net: same text in any company, clean ends, loud death."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from genworkers.checkpoints import CheckpointError, CheckpointFacts, save
from genworkers.contract import TextRequest
from genworkers.engine.config import EngineConfig
from genworkers.engine.errors import EngineError
from genworkers.engine.sequence import TextStep
from genworkers.engine.text_engine import TextEngine, load_text_engine
from genworkers.engine.ticket import Ticket
from genworkers.nets.decoder import Decoder, KeyValueCache
from genworkers.sampling.logits import Sampling, choose_token, uniform_at
from tests.genworkers.tiny_decoder import tiny_codec, tiny_decoder

CODEC = tiny_codec()
CONFIG = EngineConfig(num_slots=4, prefill_chunk_tokens=8, prefill_step_tokens=16)


@pytest.fixture
def engine() -> Iterator[TextEngine]:
    with TextEngine(tiny_decoder(CODEC.vocab_size), CODEC, CONFIG) as engine:
        yield engine


def request(prompt: str = "the boat", **changes: object) -> TextRequest:
    return TextRequest.model_validate({"prompt": prompt, "max_tokens": 12, "temperature": 1.5, "top_k": 0} | changes)


def read_all(ticket: Ticket[TextStep]) -> list[TextStep]:
    steps: list[TextStep] = []
    while not ticket.is_done:
        steps.extend(ticket.read(10.0))
    return steps


def text_of(ticket: Ticket[TextStep]) -> str:
    return "".join(step.text for step in read_all(ticket))


def plain_loop(net: Decoder, asked: TextRequest, seed: int) -> str:
    """Generation without cache, batch or engine."""
    ids = CODEC.encode_prompt(asked.prompt)
    written: list[int] = []
    sampling = Sampling(asked.temperature, asked.top_k, asked.top_p)
    for position in range(asked.max_tokens):
        with torch.inference_mode():
            logits = net(torch.tensor([ids + written]))[0, -1]
        token = choose_token(logits, sampling, uniform_at(seed, position))
        if token == CODEC.end_id:
            break
        written.append(token)
    return b"".join(CODEC.bytes_of(token) for token in written).decode("utf-8", errors="replace")


def test_engine_writes_what_a_plain_loop_writes(engine: TextEngine) -> None:
    for seed in range(4):
        assert text_of(engine.submit(request(), seed=seed, deadline_s=60)) == plain_loop(engine.net, request(), seed)


def test_company_does_not_change_a_text(engine: TextEngine) -> None:
    alone = [text_of(engine.submit(request(f"boat {n}", max_tokens=30), seed=n, deadline_s=60)) for n in range(5)]
    tickets = []
    for n in range(5):
        for other in range(3):
            crowd = request("x" * (other * 7 + 1), max_tokens=5 + 9 * other, temperature=0.7)
            tickets.append(engine.submit(crowd, seed=99 + n, deadline_s=60))
        tickets.append(engine.submit(request(f"boat {n}", max_tokens=30), seed=n, deadline_s=60))
    assert [text_of(ticket) for ticket in tickets][3::4] == alone
    assert len(set(alone)) == 5


def test_greedy_text_does_not_depend_on_the_seed(engine: TextEngine) -> None:
    texts = {text_of(engine.submit(request(temperature=0.0), seed=seed, deadline_s=60)) for seed in (1, 2)}
    assert len(texts) == 1


def test_token_counts_rise_by_one_and_end_with_a_reason(engine: TextEngine) -> None:
    ticket = engine.submit(request(max_tokens=7), seed=3, deadline_s=60)
    steps = read_all(ticket)
    assert [step.num_tokens for step in steps] == list(range(1, 8))
    assert [step.finish_reason for step in steps] == [None] * 6 + ["length"]
    assert ticket.finish_reason == "length"


def test_text_ends_where_the_context_ends(engine: TextEngine) -> None:
    steps = read_all(engine.submit(request("y" * 50, max_tokens=1000), seed=5, deadline_s=60))
    num_prompt = len(CODEC.encode_prompt("y" * 50))
    assert steps[-1].finish_reason == "stop" or steps[-1].num_tokens + num_prompt == engine.net.config.context_tokens


def test_stop_string_ends_the_text_before_it(engine: TextEngine) -> None:
    whole = text_of(engine.submit(request(max_tokens=40), seed=8, deadline_s=60))
    stop = whole[10:13]
    ticket = engine.submit(request(max_tokens=40, stop=[stop]), seed=8, deadline_s=60)
    assert text_of(ticket) == whole[: whole.index(stop)]
    assert ticket.finish_reason == "stop"


def test_prompt_longer_than_the_context_names_both_numbers(engine: TextEngine) -> None:
    with pytest.raises(EngineError, match=r"has \d{3} tokens .* at most 63") as caught:
        engine.submit(request("z" * 200), seed=0, deadline_s=60)
    assert caught.value.code == "prompt_too_long"


def slow_down(engine: TextEngine, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Let every step wait for the event, which is set when slowness is no longer wanted."""
    go_on = threading.Event()
    step = engine.net.step

    def slow_step(ids: Tensor, cache: KeyValueCache, slots: list[int], positions: list[int]) -> Tensor:
        go_on.wait(0.05)
        return step(ids, cache, slots, positions)

    monkeypatch.setattr(engine.net, "step", slow_step)
    return go_on


def test_cancelled_text_ends_and_frees_its_slot(engine: TextEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = slow_down(engine, monkeypatch)
    tickets = [engine.submit(request("a", max_tokens=50), seed=n, deadline_s=60) for n in range(5)]
    for ticket in (tickets[0], tickets[4]):  # one that writes, one that waits
        ticket.cancel()
    assert read_all(tickets[0])[-1].finish_reason == "cancelled"
    assert read_all(tickets[4])[-1].finish_reason == "cancelled"
    go_on.set()
    for ticket in tickets[1:4]:
        assert read_all(ticket)[-1].finish_reason in {"length", "stop"}
    assert text_of(engine.submit(request(), seed=0, deadline_s=60)) == plain_loop(engine.net, request(), 0)


def test_deadline_ends_a_text(engine: TextEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    slow_down(engine, monkeypatch)
    steps = read_all(engine.submit(request("a", max_tokens=60), seed=1, deadline_s=0.2))
    assert steps[-1].finish_reason == "deadline"


def test_dead_engine_fails_those_who_wait_and_those_who_come(
    engine: TextEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Tensor:
        raise RuntimeError("the device fell off")

    monkeypatch.setattr(engine.net, "step", broken)
    tickets = [engine.submit(request(max_tokens=50), seed=n, deadline_s=60) for n in range(6)]
    for ticket in tickets:
        with pytest.raises(EngineError) as caught:
            read_all(ticket)
        assert caught.value.code == "engine_dead"
        assert caught.value.may_retry
    with pytest.raises(EngineError, match="Restart the text worker"):
        engine.submit(request(), seed=0, deadline_s=60)
    assert not engine.is_alive


def test_out_of_memory_fails_one_request_with_advice(engine: TextEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    extend = engine.net.extend

    def hungry(ids: Tensor, cache: KeyValueCache, slot: int, start: int) -> Tensor:
        if start >= 8:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        return extend(ids, cache, slot, start)

    monkeypatch.setattr(engine.net, "extend", hungry)
    short = engine.submit(request("a"), seed=0, deadline_s=60)
    long = engine.submit(request("q" * 30), seed=0, deadline_s=60)
    with pytest.raises(EngineError, match="Ask for fewer tokens"):
        read_all(long)
    assert text_of(short) == plain_loop(engine.net, request("a"), 0)
    assert engine.is_alive


def test_full_waiting_room_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    config = EngineConfig(num_slots=1, max_waiting=2, prefill_chunk_tokens=8)
    with TextEngine(tiny_decoder(CODEC.vocab_size), CODEC, config) as engine:
        slow_down(engine, monkeypatch)
        codes = []
        for seed in range(5):
            try:
                engine.submit(request(max_tokens=50), seed=seed, deadline_s=60)
            except EngineError as error:
                codes.append(error.code)
        assert codes
        assert set(codes) == {"engine_busy"}


def test_closed_engine_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = TextEngine(tiny_decoder(CODEC.vocab_size), CODEC, CONFIG)
    with pytest.raises(EngineError, match="not running"):
        engine.submit(request(), seed=0, deadline_s=60)
    engine.start()
    slow_down(engine, monkeypatch)
    ticket = engine.submit(request("a", max_tokens=60), seed=1, deadline_s=60)
    engine.close()
    with pytest.raises(EngineError, match="was stopped"):
        read_all(ticket)
    assert not engine.is_alive


def test_checkpoint_folder_becomes_an_engine(tmp_path: Path) -> None:
    net = tiny_decoder(CODEC.vocab_size)
    config = {name: getattr(net.config, name) for name in net.config.__slots__}
    facts = CheckpointFacts(name="tiny", kind="text", family="decoder", title="Tiny", config=config)
    parts = {"tokenizer": ("tokenizer.json", CODEC.to_json())}
    save(tmp_path / "tiny", facts, weights={"net": net.state_dict()}, other_parts=parts, card="# Tiny\n")
    with load_text_engine(tmp_path / "tiny") as engine:
        assert text_of(engine.submit(request(), seed=0, deadline_s=60)) == plain_loop(engine.net, request(), 0)

    other = CheckpointFacts(name="odd", kind="text", family="recurrent", title="Odd", config={})
    save(tmp_path / "odd", other, weights={}, other_parts={}, card="")
    with pytest.raises(CheckpointError, match="family 'recurrent', expected a decoder"):
        load_text_engine(tmp_path / "odd")
    wrong = CheckpointFacts(name="bad", kind="text", family="decoder", title="Bad", config={"depth": 3})
    save(tmp_path / "bad", wrong, weights={}, other_parts=parts, card="")
    with pytest.raises(CheckpointError, match="config or tokenizer is wrong"):
        load_text_engine(tmp_path / "bad")
