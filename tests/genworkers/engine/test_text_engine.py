"""The text engine with a tiny random net: clean ends, clear refusals, loud death."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence

import pytest
import torch
from torch import Tensor

from genworkers.contract.text import TextRequest
from genworkers.engine.config import EngineConfig
from genworkers.engine.errors import EngineError
from genworkers.engine.text_engine import TextEngine
from genworkers.nets.paged_decoder import Piece
from genworkers.sampling.logits import Sampling, choose_token, uniform_at
from tests.genworkers.engine.reading import ask, read_all, request, stats_at_rest, text_of
from tests.genworkers.tiny_decoder import PlainPagedDecoder
from tests.genworkers.tiny_nets import CODEC, TinyNets, plain_decoder

CONFIG = EngineConfig(max_running=4, step_tokens=16)
Read = Callable[[Sequence[Piece]], Tensor]


@pytest.fixture
def decoder() -> PlainPagedDecoder:
    return plain_decoder()


@pytest.fixture
def engine(decoder: PlainPagedDecoder) -> Iterator[TextEngine]:
    with TextEngine(TinyNets({"tiny": lambda: decoder}), CONFIG) as engine:
        yield engine


def plain_loop(decoder: PlainPagedDecoder, asked: TextRequest, seed: int) -> str:
    """Generation without cache, batch or engine."""
    ids = CODEC.encode_prompt(asked.prompt)
    written: list[int] = []
    sampling = Sampling(asked.temperature, asked.top_k, asked.top_p)
    for position in range(asked.max_tokens):
        with torch.inference_mode():
            logits = decoder.net(torch.tensor([ids + written]))[0, -1]
        token = choose_token(logits, sampling, uniform_at(seed, position))
        if token in CODEC.end_ids:
            break
        written.append(token)
    return CODEC.decode(written)


def slow_down(decoder: PlainPagedDecoder, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Let every step wait for the event, which is set when slowness is no longer wanted."""
    go_on = threading.Event()
    read: Read = decoder.read

    def slow_read(pieces: Sequence[Piece]) -> Tensor:
        go_on.wait(0.05)
        return read(pieces)

    monkeypatch.setattr(decoder, "read", slow_read)
    return go_on


def test_engine_writes_what_a_plain_loop_writes(engine: TextEngine, decoder: PlainPagedDecoder) -> None:
    for seed in range(4):
        assert text_of(ask(engine, request(), seed=seed)) == plain_loop(decoder, request(), seed)


def test_greedy_text_does_not_depend_on_the_seed(engine: TextEngine) -> None:
    texts = {text_of(ask(engine, request(temperature=0.0), seed=seed)) for seed in (1, 2)}
    assert len(texts) == 1


def test_token_counts_rise_by_one_and_end_with_a_reason(engine: TextEngine) -> None:
    ticket = ask(engine, request(max_tokens=7), seed=3)
    steps = read_all(ticket)
    assert [step.num_tokens for step in steps] == list(range(1, 8))
    assert [step.finish_reason for step in steps] == [None] * 6 + ["length"]
    assert ticket.finish_reason == "length"
    assert {step.num_prompt_tokens for step in steps} == {len(CODEC.encode_prompt("the boat"))}


def test_second_reading_of_a_prompt_is_saved(engine: TextEngine) -> None:
    prompt = "the brave little boat sailed home, and home, and home"
    first, second = (read_all(ask(engine, request(prompt), seed=3)) for _ in range(2))
    assert [step.text for step in first] == [step.text for step in second]
    assert first[0].num_cached_tokens == 0
    assert second[0].num_cached_tokens == (second[0].num_prompt_tokens - 1) // 4 * 4
    stats = stats_at_rest(engine)
    assert stats.num_cached_tokens == second[0].num_cached_tokens
    assert stats.num_prompt_tokens == 2 * second[0].num_prompt_tokens
    assert (stats.num_running, stats.num_waiting, stats.num_free_blocks) == (0, 0, stats.num_blocks)


def test_text_ends_where_the_context_ends(engine: TextEngine) -> None:
    steps = read_all(ask(engine, request("y" * 50, max_tokens=1000), seed=5))
    assert steps[-1].finish_reason == "stop" or steps[-1].num_tokens + steps[-1].num_prompt_tokens == 64


def test_stop_string_ends_the_text_before_it(engine: TextEngine) -> None:
    whole = text_of(ask(engine, request(max_tokens=40), seed=8))
    stop = whole[10:13]
    ticket = ask(engine, request(max_tokens=40, stop=[stop]), seed=8)
    assert text_of(ticket) == whole[: whole.index(stop)]
    assert ticket.finish_reason == "stop"


def test_logprobs_come_with_each_token(engine: TextEngine) -> None:
    steps = read_all(ask(engine, request(num_logprobs=3), seed=4))
    reported = [step.logprob for step in steps if step.logprob is not None]
    assert len(reported) == steps[-1].num_tokens
    for one in reported:
        assert one.logprob <= 0
        assert len(one.top) == 3
        assert [logprob for _, logprob in one.top] == sorted((logprob for _, logprob in one.top), reverse=True)
    assert read_all(ask(engine, request(), seed=4))[0].logprob is None


def test_schema_makes_json(engine: TextEngine) -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"enum": [1, 22]}},
        "required": ["n"],
        "additionalProperties": False,
    }
    for seed in range(3):
        ticket = ask(engine, request(json_schema=schema, max_tokens=40), seed=seed)
        assert json.loads(text_of(ticket))["n"] in (1, 22)
        assert ticket.finish_reason == "stop"


def test_json_cut_by_its_length_says_so(engine: TextEngine) -> None:
    ticket = ask(engine, request(json_schema={"type": "string", "minLength": 50}, max_tokens=8))
    assert text_of(ticket).startswith('"')
    assert ticket.finish_reason == "length"


def test_impossible_schema_is_refused(engine: TextEngine) -> None:
    with pytest.raises(EngineError, match="The JSON schema cannot be followed") as caught:
        ask(engine, request(json_schema={"type": "no such type"}))
    assert caught.value.code == "schema_unsupported"


def test_logit_bias_forces_and_forbids_tokens(engine: TextEngine) -> None:
    letter = CODEC.encode("x")[0]
    assert text_of(ask(engine, request(logit_bias={str(letter): 100.0}))) == "x" * 12
    with pytest.raises(EngineError, match=rf"the token 999; this net has the tokens 0 to {CODEC.vocab_size - 1}"):
        ask(engine, request(logit_bias={"999": 1.0}))


def test_adapter_that_is_not_there_is_refused_with_those_that_are(engine: TextEngine) -> None:
    with pytest.raises(EngineError, match=r"has no adapter 'pirate'\. It has: none is installed") as caught:
        ask(engine, request(adapter="pirate"))
    assert caught.value.code == "adapter_unknown"


def test_prompt_longer_than_the_context_names_both_numbers(engine: TextEngine) -> None:
    with pytest.raises(EngineError, match=r"has \d{3} tokens .* at most 63") as caught:
        ask(engine, request("z" * 200))
    assert caught.value.code == "prompt_too_long"


def test_cancelled_text_ends_and_frees_its_blocks(
    engine: TextEngine, decoder: PlainPagedDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = slow_down(decoder, monkeypatch)
    tickets = [ask(engine, request("a", max_tokens=50), seed=n) for n in range(5)]
    for ticket in (tickets[0], tickets[4]):  # one that writes, one that waits
        ticket.cancel()
    assert read_all(tickets[0])[-1].finish_reason == "cancelled"
    assert read_all(tickets[4])[-1].finish_reason == "cancelled"
    go_on.set()
    for ticket in tickets[1:4]:
        assert read_all(ticket)[-1].finish_reason in {"length", "stop"}
    assert text_of(ask(engine, request())) == plain_loop(decoder, request(), 0)
    assert stats_at_rest(engine).num_free_blocks == decoder.num_blocks


def test_deadline_ends_a_text(engine: TextEngine, decoder: PlainPagedDecoder, monkeypatch: pytest.MonkeyPatch) -> None:
    slow_down(decoder, monkeypatch)
    steps = read_all(ask(engine, request("a", max_tokens=60), seed=1, deadline_s=0.2))
    assert steps[-1].finish_reason == "deadline"


def test_newcomer_writes_beside_a_crowd(
    engine: TextEngine, decoder: PlainPagedDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = slow_down(decoder, monkeypatch)
    crowd = [ask(engine, request(f"a{n}", max_tokens=60), seed=n, user="crowd") for n in range(100)]
    crowd[0].read(5.0)
    newcomer = ask(engine, request("b", max_tokens=3), user="newcomer")
    text_of(newcomer)
    assert sum(ticket.is_done for ticket in crowd) <= 4
    assert engine.stats()[0].num_preemptions > 0
    for ticket in crowd:
        ticket.cancel()
    go_on.set()


def test_dead_engine_fails_those_who_wait_and_those_who_come(
    engine: TextEngine, decoder: PlainPagedDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Tensor:
        raise RuntimeError("the device fell off")

    go_on = slow_down(decoder, monkeypatch)
    tickets = [ask(engine, request(max_tokens=50), seed=n) for n in range(6)]
    monkeypatch.setattr(decoder, "read", broken)
    go_on.set()
    for ticket in tickets:
        with pytest.raises(EngineError) as caught:
            read_all(ticket)
        assert caught.value.code == "engine_dead"
        assert caught.value.may_retry
    with pytest.raises(EngineError, match="Restart the text worker"):
        ask(engine, request())
    assert not engine.is_alive


def test_out_of_memory_fails_the_newest_with_advice(
    engine: TextEngine, decoder: PlainPagedDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: Read = decoder.read

    def hungry(pieces: Sequence[Piece]) -> Tensor:
        if any(len(piece.ids) > 8 for piece in pieces):
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        return read(pieces)

    monkeypatch.setattr(decoder, "read", hungry)
    short = ask(engine, request("a"))
    long = ask(engine, request("q" * 30))
    with pytest.raises(EngineError, match="Ask for fewer tokens"):
        read_all(long)
    assert text_of(short) == plain_loop(decoder, request("a"), 0)
    assert engine.is_alive


def test_broken_numbers_fail_one_request(
    engine: TextEngine, decoder: PlainPagedDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: Read = decoder.read

    def broken(pieces: Sequence[Piece]) -> Tensor:
        logits = read(pieces)
        wanting = [piece for piece in pieces if piece.wants_logits]
        for row, piece in enumerate(wanting):
            if len(piece.ids) == 3:
                logits[row] = torch.nan
        return logits

    monkeypatch.setattr(decoder, "read", broken)
    tickets = [ask(engine, request("aa"[:n])) for n in (1, 2)]
    codes = []
    for ticket in tickets:
        try:
            text_of(ticket)
        except EngineError as error:
            codes.append(error.code)
    assert codes == ["broken_logits"]
    assert engine.is_alive


def test_full_waiting_room_is_refused_to_its_user_alone(
    decoder: PlainPagedDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = EngineConfig(max_running=1, max_waiting=2, step_tokens=8)
    with TextEngine(TinyNets({"tiny": lambda: decoder}), config) as engine:
        slow_down(decoder, monkeypatch)
        codes = []
        for seed in range(5):
            try:
                ask(engine, request(max_tokens=50), seed=seed)
            except EngineError as error:
                codes.append(error.code)
        assert codes
        assert set(codes) == {"engine_busy"}
        ask(engine, request(max_tokens=50), user="bob")


def test_closed_engine_says_so(decoder: PlainPagedDecoder, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = TextEngine(TinyNets({"tiny": lambda: decoder}), CONFIG)
    with pytest.raises(EngineError, match="not running"):
        ask(engine, request())
    engine.start()
    slow_down(decoder, monkeypatch)
    ticket = ask(engine, request("a", max_tokens=60), seed=1)
    engine.close()
    with pytest.raises(EngineError, match="was stopped"):
        read_all(ticket)
    assert not engine.is_alive
