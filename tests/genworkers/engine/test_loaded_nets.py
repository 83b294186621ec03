"""Which nets are in memory: loaded on demand, within the budget, the least recently used idle one gives way."""

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from genworkers.engine.config import EngineConfig
from genworkers.engine.errors import EngineError
from genworkers.engine.net_source import LoadedAdapter
from genworkers.engine.text_engine import TextEngine
from tests.genworkers.engine.reading import ask, read_all, request, text_of
from tests.genworkers.tiny_decoder import PlainPagedDecoder
from tests.genworkers.tiny_nets import TinyNets, plain_decoder

ONE = plain_decoder()
NET_BYTES = ONE.weights_bytes + ONE.cache_bytes


class SlowDecoder(PlainPagedDecoder):
    """Writes for as long as it is let."""

    go_on = threading.Event()

    def read(self, pieces):  # type: ignore[no-untyped-def]
        """Take a while."""
        self.go_on.wait(0.02)
        return super().read(pieces)


def slow_decoder() -> SlowDecoder:
    return SlowDecoder(ONE.net, 64, 4)


@pytest.fixture
def source() -> TinyNets:
    nets = dict.fromkeys("abc", plain_decoder) | {"slow": slow_decoder, "slow2": slow_decoder}
    SlowDecoder.go_on.clear()
    return TinyNets(nets, num_bytes=NET_BYTES)


@pytest.fixture
def engine(source: TinyNets) -> Iterator[TextEngine]:
    """Room for two nets."""
    config = EngineConfig(max_running=4, step_tokens=16, memory_budget_bytes=2 * NET_BYTES + 100)
    with TextEngine(source, config) as engine:
        yield engine


def names(engine: TextEngine) -> list[str]:
    return [net.name for net in engine.stats()]


def test_net_is_loaded_once_when_first_asked_for(engine: TextEngine, source: TinyNets) -> None:
    assert names(engine) == []
    for _ in range(3):
        text_of(ask(engine, request(net="a")))
    assert source.loads == ["a"]


def test_least_recently_used_net_gives_way(engine: TextEngine, source: TinyNets) -> None:
    for name in ("a", "b", "a", "c"):
        text_of(ask(engine, request(net=name)))
    assert names(engine) == ["a", "c"]
    text_of(ask(engine, request(net="b")))
    assert names(engine) == ["c", "b"]
    assert source.loads == ["a", "b", "c", "b"]


def test_nets_write_side_by_side(engine: TextEngine) -> None:
    alone = [text_of(ask(engine, request(net=name), seed=5)) for name in "ab"]
    tickets = [ask(engine, request(net=name), seed=5) for name in "ab" for _ in range(4)]
    assert [text_of(ticket) for ticket in tickets] == [alone[0]] * 4 + [alone[1]] * 4


def test_net_larger_than_the_budget_is_refused_with_both_numbers(source: TinyNets) -> None:
    source.num_bytes = 3 * 2**20
    with TextEngine(source, EngineConfig(memory_budget_bytes=2**20)) as engine:
        with pytest.raises(EngineError, match=r"takes 3 MB .* may use 1 MB\. Raise TESSERA_TEXT_MEMORY_GB") as caught:
            ask(engine, request(net="a"))
        assert caught.value.code == "net_too_large"
        assert source.loads == []


def test_unknown_net_is_refused(engine: TextEngine) -> None:
    with pytest.raises(EngineError) as caught:
        ask(engine, request(net="nobody"))
    assert caught.value.code == "net_not_loaded"


def test_load_waits_for_a_busy_net_and_then_takes_its_place(engine: TextEngine) -> None:
    busy = [ask(engine, request(net=name, max_tokens=40), seed=1) for name in ("slow", "slow2")]
    texts: list[str] = []
    waiting = threading.Thread(target=lambda: texts.append(text_of(ask(engine, request(net="a")))))
    waiting.start()
    time.sleep(0.1)
    assert sorted(names(engine)) == ["slow", "slow2"]
    SlowDecoder.go_on.set()
    waiting.join(10)
    assert len(texts) == 1
    assert [read_all(ticket)[-1].num_tokens > 0 for ticket in busy] == [True, True]


def test_load_that_finds_no_room_ends_at_its_deadline(engine: TextEngine) -> None:
    busy = [ask(engine, request(net=name, max_tokens=50), seed=1) for name in ("slow", "slow2")]
    ticket = ask(engine, request(net="a"), deadline_s=0.15)
    assert [step.finish_reason for step in read_all(ticket)] == ["deadline"]
    SlowDecoder.go_on.set()
    for one in busy:
        read_all(one)
    assert text_of(ask(engine, request(net="slow")))


def test_others_write_while_a_net_is_loaded(engine: TextEngine, source: TinyNets) -> None:
    go_on = threading.Event()

    def load_slowly() -> PlainPagedDecoder:
        go_on.wait(10)
        return plain_decoder()

    source.decoders = {**source.decoders, "late": load_slowly}
    text_of(ask(engine, request(net="a")))
    loading = threading.Thread(target=lambda: engine.load("late"))
    loading.start()
    assert text_of(ask(engine, request(net="a"), seed=2))
    go_on.set()
    loading.join(10)
    assert "late" in names(engine)


def test_failed_load_fails_its_caller_alone(engine: TextEngine, source: TinyNets) -> None:
    def broken() -> PlainPagedDecoder:
        raise EngineError("net_broken", "NaN in the weights")

    source.decoders = {**source.decoders, "broken": broken}
    with pytest.raises(EngineError, match="NaN"):
        ask(engine, request(net="broken"))
    assert text_of(ask(engine, request(net="a")))


def test_closing_wakes_who_waits_for_room(engine: TextEngine) -> None:
    for name in ("slow", "slow2"):
        ask(engine, request(net=name, max_tokens=50), seed=1)
    codes: list[str] = []

    def wait() -> None:
        try:
            ask(engine, request(net="a"))
        except EngineError as error:
            codes.append(error.code)

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.05)
    engine.close()
    waiting.join(10)
    assert codes == ["engine_closed"]


def test_adapter_that_does_not_fit_says_so(source: TinyNets) -> None:
    source.adapters = {"pirate": LoadedAdapter({"nowhere.lora_A": torch.zeros(1, 1)}, 1.0)}
    with TextEngine(source, EngineConfig()) as engine:
        with pytest.raises(
            EngineError, match=r"'pirate' does not fit the net 'a': pirate@1{16} names no layer"
        ) as caught:
            ask(engine, request(net="a", adapter="pirate"))
        assert caught.value.code == "adapter_broken"
        with pytest.raises(EngineError, match=r"has no adapter 'nobody'\. It has: pirate\."):
            ask(engine, request(net="a", adapter="nobody"))
        assert text_of(ask(engine, request(net="a")))
