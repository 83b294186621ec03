"""JSON that runs out of tokens is brought to its end; numbers do not run on."""

import json
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genworkers.codecs.grammar import Grammar
from genworkers.codecs.json_closing import MAX_DIGITS, JsonTail
from genworkers.codecs.text_bpe import TextCodec, train_bpe

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer"},
        "tags": {
            "type": "array",
            "items": {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["a", "b"]},
        },
    },
    "required": ["name", "age", "tags"],
}


@pytest.fixture(scope="module")
def codec() -> TextCodec:
    return train_bpe(['{"name": "Zoë", "tags": [1, 2.5, true, null, "]}"], "ok": {}}'] * 20, 350)


def write(schema: dict[str, Any], codec: TextCodec, seed: int, max_tokens: int, wanted: bytes = b"") -> str:
    """A text by a net that takes any token, or those that begin with a wanted letter where it may."""
    rng = np.random.default_rng(seed)
    state, written = Grammar.compile(schema, codec).start(), b""
    for num_left in range(max_tokens, 0, -1):
        allowed = np.flatnonzero(state.mask(num_left)).tolist()
        liked = [token_id for token_id in allowed if codec.bytes_of(token_id)[:1] in [bytes([one]) for one in wanted]]
        token_id = int(rng.choice(liked or allowed))
        state.accept(token_id)
        written += codec.bytes_of(token_id)
        if state.is_finished:
            break
    return written.decode("utf-8", errors="replace")


@pytest.mark.parametrize("max_tokens", [60, 100, 200])
@pytest.mark.parametrize("schema", [{}, PERSON], ids=["any", "person"])
def test_text_is_whole_before_the_tokens_run_out(schema: dict[str, Any], max_tokens: int, codec: TextCodec) -> None:
    for seed in range(6):
        value = json.loads(write(schema, codec, seed, max_tokens, b"abc]}"[: 3 + seed % 3]))
        assert set(schema.get("required", [])) <= set(value)


def test_a_limit_that_no_text_can_keep_only_cuts(codec: TextCodec) -> None:
    assert write(PERSON, codec, 0, 5).startswith('{"')


@pytest.mark.parametrize("kind", ["integer", "number"])
def test_numbers_do_not_run_on(kind: str, codec: TextCodec) -> None:
    text = write({"type": "array", "items": {"type": kind}, "minItems": 2, "maxItems": 2}, codec, 0, 400, b"123456789")
    assert all(len(digits) <= MAX_DIGITS for digits in re.findall("[0-9]+", text))
    json.loads(text)


def test_long_numbers_are_written_where_the_schema_asks_for_them(codec: TextCodec) -> None:
    text = write({"type": "integer", "minimum": 10**17, "maximum": 10**17 + 5}, codec, 0, 100)
    assert json.loads(text) >= 10**17


@settings(max_examples=40, deadline=None)
@given(st.recursive(st.none() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_the_end_of_json_is_never_in_a_string(value: object) -> None:
    tail = JsonTail()
    tail.push(json.dumps([value], ensure_ascii=False).encode())
    assert tail == JsonTail()


def test_digits_count_outside_of_strings_only() -> None:
    numbers, string = JsonTail(), JsonTail()
    numbers.push(b'{"1": -123')
    string.push(b'["a\\"1')
    assert (numbers.num_digits, numbers.is_string) == (3, False)
    assert (string.num_digits, string.is_string) == (0, True)
