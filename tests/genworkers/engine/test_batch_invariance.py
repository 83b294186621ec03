"""The same seed gives the same text, whoever shares the device: 50 mixed requests alone and in random company."""

import random
import threading
import time
from collections.abc import Callable

import pytest

from genworkers.contract.events import TokenLogprob
from genworkers.contract.text import TextRequest
from genworkers.engine.config import EngineConfig, Precision
from genworkers.engine.sequence import TextStep
from genworkers.engine.text_engine import TextEngine
from genworkers.engine.ticket import Ticket
from genworkers.marks.keys import MarkKey
from genworkers.nets import native_library
from genworkers.nets.native_decoder import NativePagedDecoder
from genworkers.nets.paged_decoder import PagedDecoder
from genworkers.nets.torch_paged_decoder import TorchPagedDecoder
from tests.genworkers.engine.reading import ask, read_all, request, stats_at_rest
from tests.genworkers.tiny_decoder import tiny_decoder
from tests.genworkers.tiny_nets import CODEC, TinyNets

NUM_REQUESTS = 50
BEGINNINGS = ("Once upon a time there was a brave little boat. ", "The boat sailed home, and home, and home. ", "")
SCHEMAS = ({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}, {"enum": ["a", "boat"]})

Text = tuple[str, str, list[TokenLogprob]]
MakeDecoder = Callable[[int], PagedDecoder]


def native(precision: Precision) -> MakeDecoder:
    net = tiny_decoder(CODEC.vocab_size, context_tokens=96)

    def make(num_blocks: int) -> PagedDecoder:
        return NativePagedDecoder(
            net.config, net.state_dict(), num_blocks=num_blocks, precision=precision, num_threads=1
        )

    return make


def on_torch(num_blocks: int) -> PagedDecoder:
    net = tiny_decoder(CODEC.vocab_size, context_tokens=96)
    return TorchPagedDecoder(net.config, net.state_dict(), num_blocks=num_blocks)


needs_compiler = pytest.mark.skipif(not native_library.is_available(), reason="no C++ compiler")
DECODERS = [
    pytest.param(native("float32"), id="native-float32", marks=[needs_compiler, pytest.mark.slow]),
    pytest.param(native("bfloat16"), id="native-bfloat16", marks=needs_compiler),
    pytest.param(native("int8"), id="native-int8", marks=[needs_compiler, pytest.mark.slow]),
    pytest.param(on_torch, id="torch-float32", marks=pytest.mark.slow),
]


def mixed_requests() -> list[TextRequest]:
    """Every parameter that a request can have, in random mixtures."""
    chance = random.Random(0)
    asked = []
    for n in range(NUM_REQUESTS):
        changes: dict[str, object] = {
            "max_tokens": chance.randint(1, 40),
            "temperature": chance.choice([0.0, 0.3, 0.8, 1.3]),
            "top_k": chance.choice([0, 1, 5, 50]),
            "top_p": chance.choice([0.3, 0.95, 1.0]),
            "min_p": chance.choice([0.0, 0.05]),
        }
        if chance.random() < 0.3:
            changes |= {"repetition_penalty": 1.3, "presence_penalty": 0.5, "frequency_penalty": -0.4}
        if chance.random() < 0.2:
            changes["logit_bias"] = {str(chance.randrange(CODEC.vocab_size)): 5.0}
        if chance.random() < 0.2:
            changes["num_logprobs"] = chance.randint(0, 5)
        if chance.random() < 0.2:
            changes["stop"] = ["a", "bo"]
        if chance.random() < 0.2:
            changes["json_schema"] = chance.choice(SCHEMAS)
        if chance.random() < 0.3:
            changes["format"] = "raw"
        elif chance.random() < 0.3:
            changes["history"] = [{"role": "user", "content": "home"}, {"role": "assistant", "content": "boat"}]
        if chance.random() < 0.2:
            changes["is_truncatable"] = True
        prompt = chance.choice(BEGINNINGS) + "and the boat " * chance.randint(0, 2) + str(n)
        asked.append(request(prompt, **changes))
    return asked


REQUESTS = mixed_requests()
KEYS = (MarkKey("one", bytes(32)), MarkKey("two", bytes([1] * 32)), None)


def ask_for(engine: TextEngine, n: int, user: str = "ann") -> Ticket[TextStep]:
    """Two of three texts are marked, under two keys."""
    return ask(engine, REQUESTS[n], seed=n, user=user, mark_key=KEYS[n % 3])


def read_text(ticket: Ticket[TextStep]) -> Text:
    steps = read_all(ticket)
    return (
        "".join(step.text for step in steps),
        ticket.finish_reason or "",
        [step.logprob for step in steps if step.logprob is not None],
    )


def in_company(engine: TextEngine, seed: int) -> list[Text]:
    """Everybody at once: random order, random pauses, six users, others that come and are cancelled."""
    chance = random.Random(seed)
    order = list(range(NUM_REQUESTS))
    chance.shuffle(order)
    tickets: dict[int, Ticket[TextStep]] = {}
    others: list[Ticket[TextStep]] = []
    for n in order:
        if chance.random() < 0.5:
            others.append(ask(engine, request("x" * chance.randint(1, 60), max_tokens=25), seed=n, user="noise"))
        if others and chance.random() < 0.3:
            chance.choice(others).cancel()
        tickets[n] = ask_for(engine, n, f"user {n % 6}")
        if chance.random() < 0.2:
            time.sleep(chance.random() * 0.003)
    texts = [read_text(tickets[n]) for n in range(NUM_REQUESTS)]
    for other in others:
        other.cancel()
    return texts


@pytest.mark.parametrize("make", DECODERS)
def test_company_changes_no_text(make: MakeDecoder) -> None:
    roomy = EngineConfig(max_running=64, step_tokens=256)
    with TextEngine(TinyNets({"tiny": lambda: make(400)}), roomy) as engine:
        alone = [read_text(ask_for(engine, n)) for n in range(NUM_REQUESTS)]
        warm = [read_text(ask_for(engine, n)) for n in range(NUM_REQUESTS)]
        assert warm == alone, "what the cache holds already changes nothing"
        assert engine.stats()[0].num_cached_tokens > 0
        assert in_company(engine, 0) == alone
    assert len({text for text, _, _ in alone}) > NUM_REQUESTS * 0.7
    num_preemptions = 0
    for seed, (max_running, step_tokens, num_blocks) in enumerate([(12, 37, 24), (5, 6, 14), (2, 16, 12)], 1):
        config = EngineConfig(max_running=max_running, step_tokens=step_tokens)
        with TextEngine(TinyNets({"tiny": lambda n=num_blocks: make(n)}), config) as engine:  # type: ignore[misc]
            assert in_company(engine, seed) == alone
            stats = stats_at_rest(engine)
            assert stats.num_free_blocks == num_blocks
            num_preemptions += stats.num_preemptions
    assert num_preemptions > 0


@pytest.mark.slow
@pytest.mark.parametrize("make", DECODERS[:1])
def test_requests_from_many_threads_change_no_text(make: MakeDecoder) -> None:
    with TextEngine(TinyNets({"tiny": lambda: make(40)}), EngineConfig(max_running=8, step_tokens=32)) as engine:
        alone = [read_text(ask_for(engine, n)) for n in range(NUM_REQUESTS)]
        for _ in range(5):
            texts: dict[int, Text] = {}

            def write(n: int, texts: dict[int, Text] = texts) -> None:
                texts[n] = read_text(ask_for(engine, n, f"user {n % 6}"))

            threads = [threading.Thread(target=write, args=(n,)) for n in range(NUM_REQUESTS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
            assert [texts[n] for n in range(NUM_REQUESTS)] == alone
