"""Texts that the engine marks: decided by request, seed and key; found under that key and under no other."""

import json
from collections.abc import Iterator

import pytest
import torch

from genworkers.contract.text import TextRequest
from genworkers.engine.text_engine import TextEngine
from genworkers.marks.keys import MarkKey
from genworkers.marks.text_bits import CONTEXT_TOKENS, FREE_TOKENS, Trail
from genworkers.marks.text_mark import detect, standing
from genworkers.sampling.logits import Choice, Row, Sampling, choose_tokens, uniform_at
from tests.genworkers.engine.reading import ask, read_all, request, text_of
from tests.genworkers.engine.test_text_engine import CONFIG
from tests.genworkers.tiny_decoder import PlainPagedDecoder
from tests.genworkers.tiny_nets import CODEC, TinyNets, plain_decoder

KEY = MarkKey("one", bytes(range(32)))
OTHER = MarkKey("two", bytes(range(1, 33)))
ENDLESS = {str(end_id): -100.0 for end_id in CODEC.end_ids}


@pytest.fixture(scope="module")
def decoder() -> PlainPagedDecoder:
    return plain_decoder()


@pytest.fixture(scope="module")
def engine(decoder: PlainPagedDecoder) -> Iterator[TextEngine]:
    with TextEngine(TinyNets({"tiny": lambda: decoder}), CONFIG) as engine:
        yield engine


def long_request(**changes: object) -> TextRequest:
    return request("a", **({"max_tokens": 50, "logit_bias": ENDLESS} | changes))


def plain_loop(decoder: PlainPagedDecoder, asked: TextRequest, seed: int, key: MarkKey) -> list[int]:
    """The tokens of a marked text, without cache, batch or engine."""
    prompt, written, trail = CODEC.encode_prompt(asked.prompt), list[int](), Trail(key, seed)
    bias = {int(token_id): value for token_id, value in asked.logit_bias.items()}
    sampling = Sampling(asked.temperature, asked.top_k, asked.top_p, logit_bias=bias)
    for position in range(asked.max_tokens):
        with torch.inference_mode():
            logits = decoder.net(torch.tensor([prompt + written]))[0, -1:]
        (choice,) = choose_tokens(logits, [Row(sampling, uniform_at(seed, position), place=trail.place)])
        assert isinstance(choice, Choice)
        trail.add(choice.token_id)
        written.append(choice.token_id)
    return written


@pytest.mark.parametrize("how", [{"top_k": 50, "top_p": 0.95}, {"top_k": 0}, {"top_k": 0, "top_p": 0.9}])
def test_the_engine_writes_what_a_plain_loop_writes_and_the_mark_is_found(
    engine: TextEngine, decoder: PlainPagedDecoder, how: dict[str, object]
) -> None:
    for seed in range(3):
        asked = long_request(**how)
        ids = plain_loop(decoder, asked, seed, KEY)
        assert text_of(ask(engine, asked, seed=seed, mark_key=KEY)) == CODEC.decode(ids)
        assert detect(ids, KEY).p_value <= 1e-4
        assert detect(ids, OTHER).p_value > 1e-4


def test_key_and_seed_decide_the_text_and_no_key_leaves_it_as_it_was(engine: TextEngine) -> None:
    asked = long_request()
    texts = [text_of(ask(engine, asked, seed=1, mark_key=key)) for key in (KEY, KEY, OTHER, None, None)]
    assert texts[0] == texts[1]
    assert texts[3] == texts[4]
    assert len(set(texts)) == 3
    start = text_of(ask(engine, long_request(max_tokens=FREE_TOKENS), seed=1))
    assert all(text.startswith(start.rstrip("\ufffd")) for text in texts)  # the first tokens have no context


def test_texts_of_one_request_differ_although_they_begin_alike(engine: TextEngine) -> None:
    forced = {str(CODEC.encode("a")[0]): 3.0}
    asked = long_request(temperature=0.5, logit_bias=ENDLESS | forced)
    texts = {text_of(ask(engine, asked, seed=seed, mark_key=KEY)) for seed in range(8)}
    assert len(texts) == 8


def test_a_repeated_context_is_drawn_as_without_a_key(engine: TextEngine) -> None:
    only = {str(CODEC.encode(letter)[0]): 100.0 for letter in "xy"}
    asked = long_request(logit_bias=only, temperature=1.0)
    written = text_of(ask(engine, asked, seed=5, mark_key=KEY))
    assert set(written) == {"x", "y"}
    assert detect(CODEC.encode(written), KEY).num_scored <= 2**CONTEXT_TOKENS


@pytest.mark.parametrize(
    "how", [{"temperature": 0.0}, {"top_k": 1}, {"min_p": 1.0}, {"top_p": 1e-9}, {"temperature": 0.001, "top_k": 0}]
)
def test_where_the_coins_decide_nothing_the_text_says_so(engine: TextEngine, how: dict[str, object]) -> None:
    last = read_all(ask(engine, long_request(**how), seed=3, mark_key=KEY))[-1]
    assert last.num_tokens == 50
    assert standing(last.mark_strength) == "not_drawn"


def test_a_text_tells_how_strongly_it_is_marked(engine: TextEngine) -> None:
    steps = read_all(ask(engine, long_request(max_tokens=60), seed=3, mark_key=KEY))
    assert [step.mark_strength for step in steps[:FREE_TOKENS]] == [0.0] * FREE_TOKENS
    assert standing(steps[-1].mark_strength) == "marked"
    assert read_all(ask(engine, long_request(), seed=3))[-1].mark_strength == 0
    only = {str(CODEC.encode(letter)[0]): 100.0 for letter in "xy"}
    repeating = read_all(ask(engine, long_request(logit_bias=only, temperature=1.0), seed=5, mark_key=KEY))
    assert standing(repeating[-1].mark_strength) == "weak"


def test_the_likeliest_tokens_and_schemas_stay_what_they_are(engine: TextEngine) -> None:
    greedy = long_request(temperature=0.0)
    assert text_of(ask(engine, greedy, mark_key=KEY)) == text_of(ask(engine, greedy))
    schema = {"type": "object", "properties": {"n": {"enum": [1, 22]}}, "required": ["n"]}
    for seed in range(3):
        asked = request(json_schema=schema | {"additionalProperties": False}, max_tokens=40)
        assert json.loads(text_of(ask(engine, asked, seed=seed, mark_key=KEY)))["n"] in (1, 22)
