"""Constrained text: whatever the net wants, it is JSON that fits; hostile schemas are refused by name and in time."""

import contextlib
import gc
import json
import time
import weakref
from pathlib import Path
from typing import Any

import jsonschema_rs
import numpy as np
import pytest
import torch

from genworkers.codecs.grammar import Grammar
from genworkers.codecs.json_schema import SchemaError
from genworkers.codecs.text_bpe import TextCodec, TextDecoder, train_bpe
from genworkers.sampling.logits import Choice, Row, Sampling, choose_tokens, uniform_at

NUM_PADDED = 13
MAX_TOKENS = 600

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 30},
        "age": {"type": "integer", "minimum": 0, "maximum": 130},
        "mail": {"type": "string", "format": "email"},
        "tags": {"type": "array", "items": {"enum": ["a", "b c", "日本", "🎈"]}, "minItems": 1, "maxItems": 3},
        "score": {"type": "number", "multipleOf": 0.25},
    },
    "required": ["name", "age", "tags"],
    "additionalProperties": False,
}
TREE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "word": {"type": "string", "pattern": "^[a-zé🎈]{1,6}$"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}, "maxItems": 2},
            },
            "required": ["word"],
            "additionalProperties": False,
        }
    },
    "$ref": "#/$defs/node",
}
SCHEMAS: list[dict[str, Any]] = [
    {},
    PERSON,
    TREE,
    {"type": "array", "prefixItems": [{"type": "boolean"}, {"type": "null"}], "items": {"type": "number"}},
    {"anyOf": [{"type": "integer"}, {"type": "string", "format": "date"}, {"const": {"é": [1, None]}}]},
    {"oneOf": [{"type": "string", "maxLength": 5}, {"type": "array", "items": {"type": "string", "minLength": 2}}]},
    {
        "type": "object",
        "patternProperties": {"^n[0-9]$": {"type": "integer"}},
        "additionalProperties": {"type": "null"},
    },
    {"type": "object", "properties": {"a": {"const": 'x\ny"\\'}, "b": {"type": "string", "format": "ipv4"}}},
    {"type": "string", "enum": ["ja", "nein", "vielleicht"]},
    {"allOf": [{"type": "integer", "minimum": 10}, {"maximum": 99, "multipleOf": 7}]},
]


@pytest.fixture(scope="module")
def codec() -> TextCodec:
    """Byte-level, with merges across quotes, brackets and halves of characters."""
    lines = [
        '{"name": "Zoë", "tags": ["日本", "🎈🎉"], "ok": true, "n": null}',
        "  \n\n\t naïve 日本語 42.5e-3 \\u00e9",
    ]
    return train_bpe(lines * 20, 420)


def write(grammar: Grammar, codec: TextCodec, seed: int, max_tokens: int = MAX_TOKENS) -> tuple[str, bool]:
    """A text by a net that knows nothing; after a while it would rather close what is open. And whether it is whole."""
    closing = [i for i in range(codec.vocab_size) if codec.bytes_of(i)[:1] in (b'"', b"}", b"]") or i in codec.end_ids]
    generator = torch.Generator().manual_seed(seed)
    state, decoder, text = grammar.start(), TextDecoder(codec), ""
    for position in range(max_tokens):
        logits = torch.randn(1, codec.vocab_size + NUM_PADDED, generator=generator) * 3
        logits[:, closing] += position / 10
        logits[:, codec.vocab_size :] = 50.0  # rows of the table that no token stands for
        row = Row(Sampling(), uniform_at(seed, position), mask=state.mask())
        (choice,) = choose_tokens(logits, [row])
        assert isinstance(choice, Choice)
        state.accept(choice.token_id)
        if choice.token_id in codec.end_ids:
            return text + decoder.flush(), True
        text += decoder.push(choice.token_id)
        if state.is_finished:
            assert set(np.flatnonzero(state.mask())) == codec.end_ids
    return text + decoder.flush(), False


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: json.dumps(schema)[:40])
def test_text_is_json_that_fits(schema: dict[str, Any], codec: TextCodec) -> None:
    grammar = Grammar.compile(schema, codec)
    num_whole = 0
    for seed in range(6):
        text, is_whole = write(grammar, codec, seed)
        if is_whole:
            num_whole += 1
            # 1e999 is a number in JSON, though more than a float holds.
            value = json.loads(text, parse_float=lambda number: max(-1e300, min(float(number), 1e300)))
            jsonschema_rs.validate(schema or {"type": "object"}, value, validate_formats=True)
    assert num_whole >= 4


@pytest.mark.parametrize("num_tokens", [1, 2, 5, 17])
def test_text_that_is_cut_is_the_beginning_of_one_that_fits(num_tokens: int, codec: TextCodec) -> None:
    for seed in range(10):
        text, is_whole = write(Grammar.compile(PERSON, codec), codec, seed, num_tokens)
        assert not is_whole
        assert '{"name'.startswith(text[:6])
        assert "\ufffd" not in text[:-1]  # at most the last character is cut in two


def test_no_schema_means_any_object(codec: TextCodec) -> None:
    first = {codec.bytes_of(int(i))[:1] for i in np.flatnonzero(Grammar.compile({}, codec).start().mask())}
    assert first == {b"{"}


def test_texts_of_one_grammar_do_not_disturb_each_other(codec: TextCodec) -> None:
    grammar = Grammar.compile({"enum": ["one", "two"]}, codec)
    first, second = grammar.start(), grammar.start()
    for letter in '"one':
        first.accept(codec.encode(letter)[0])
    assert second.mask()[codec.encode('"')[0]]
    assert not first.is_finished
    assert not second.is_finished


def test_a_token_that_is_not_allowed_is_an_error(codec: TextCodec) -> None:
    state = Grammar.compile({"type": "integer"}, codec).start()
    with pytest.raises(SchemaError):
        state.accept(codec.encode("x")[0])


def test_layout_of_the_text_cannot_be_changed_by_the_schema(codec: TextCodec) -> None:
    schema = {"type": "array", "items": {"type": "null"}, "x-guidance": {"item_separator": ";", "lenient": True}}
    state = Grammar.compile(schema, codec).start()
    for letter in "[null,":
        state.accept(codec.encode(letter)[0])


def test_at_most_one_space_stands_between_values(codec: TextCodec) -> None:
    state = Grammar.compile({"type": "array", "items": {"type": "null"}}, codec).start()
    for letter in "[null,":
        state.accept(codec.encode(letter)[0])
    space = codec.encode(" ")[0]
    assert state.mask()[space]
    state.accept(space)
    assert not state.mask()[space]


def nested(depth: int) -> dict[str, Any]:
    """Arrays in arrays."""
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return schema


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"type": "object", "properties": {"a": {"items": {"not": {}}}}, "required": ["a"]}, '#/properties/a.*"not"'),
    ({"type": "array", "contains": {"type": "string"}}, "contains"),
    ({"enum": []}, "nothing fits"),
    ({"type": "integer", "minimum": 5, "maximum": 2}, "5.*2"),
    ({"type": "object", "properties": {"n": {"enum": []}}, "required": ["n"]}, "'n'"),
    ({"type": "strin"}, "strin"),
    ({"minimum": "x", "type": "integer"}, "minimum"),
    ({"$ref": "#"}, "no text fits"),
    ({"$ref": "#/$defs/a"}, r"\$defs/a"),
    ({"$ref": "https://example.org/schema.json"}, "example.org.*only places in the schema"),
    ({"$ref": "file:///etc/passwd"}, "only places in the schema"),
    ({"type": "string", "pattern": "(a)\\1"}, "backreferences"),
    ({"type": "string", "pattern": "(("}, "regex"),
    ({"type": "string", "format": "zip"}, "zip"),
    ({"oneOf": [{"type": "string"}, {"type": "string", "maxLength": 3}]}, "oneOf"),
    ({"const": float("nan")}, "is not JSON"),
    ({"const": "x" * 1001}, "/const.*1001"),
    ({"type": "object", "properties": {"x" * 1001: {}}}, "#/properties.*1001"),
    (nested(65), "deeper than 64"),
    ({"type": "integer", "multipleOf": 999_983}, "multipleOf.*999983"),
    ({"allOf": [{"type": "integer", "multipleOf": step} for step in (97, 89, 83)]}, "multipleOf"),
    ({"type": "number", "multipleOf": 1e-9}, "multipleOf"),
    ({"enum": [f"word {i}" for i in range(4000)]}, "characters, at most 20000"),
    ({"allOf": [{"anyOf": [{"properties": {f"{i}{j}": {}}} for j in range(4)]} for i in range(8)]}, "#"),
    ({"allOf": [{"type": "string", "pattern": f".*a.{{{i}}}b"} for i in range(3, 12)]}, "#"),
]


@pytest.mark.parametrize(("schema", "words"), REFUSED, ids=lambda value: str(value)[:40])
def test_a_schema_that_cannot_be_followed_is_refused_by_name_and_at_once(
    schema: dict[str, Any], words: str, codec: TextCodec
) -> None:
    start = time.perf_counter()
    with pytest.raises(SchemaError, match=words):
        Grammar.compile(schema, codec)
    assert time.perf_counter() - start < 3


def test_a_schema_too_deep_to_be_written_is_refused(codec: TextCodec) -> None:
    with pytest.raises(SchemaError, match="is not JSON"):
        Grammar.compile(nested(5000), codec)


HOSTILE: list[dict[str, Any]] = [
    {"type": "string", "pattern": "^(a+)+$"},
    {"type": "string", "pattern": "(.*a.{20})"},
    {"type": "string", "pattern": "(.*(a|b|c).{200}(d|e).{300})"},
    {"type": "string", "pattern": "^((a{1,100}){1,100}){1,100}$"},
    {"type": "string", "minLength": 10**9},
    {"type": "array", "minItems": 10**6, "items": {"type": "integer"}},
    {"anyOf": [{"type": "string", "pattern": f"^.{{{i}}}a.{{{50 - i}}}"} for i in range(50)]},
    {"type": "object", "properties": {f"p{i}": {"type": "string"} for i in range(300)}},
    {"enum": [f"w{i}" for i in range(1800)]},
    {
        "$defs": {"n": {"type": "object", "properties": {"next": {"$ref": "#/$defs/n"}}, "required": ["next"]}},
        "$ref": "#/$defs/n",
    },
]


@pytest.mark.parametrize("schema", HOSTILE, ids=lambda schema: json.dumps(schema)[:40])
def test_hostile_schemas_take_bounded_time_for_every_token(schema: dict[str, Any], codec: TextCodec) -> None:
    start = time.perf_counter()
    with contextlib.suppress(SchemaError):
        write(Grammar.compile(schema, codec), codec, 0, 60)
    assert time.perf_counter() - start < 5


def test_a_tokenizer_is_prepared_once_and_forgotten_with_its_codec(tmp_path: Path) -> None:
    codec = train_bpe(["abc"], 300)
    Grammar.compile({}, codec)
    start = time.perf_counter()
    for _ in range(20):
        Grammar.compile({}, codec)
    assert (time.perf_counter() - start) / 20 < 0.05
    gone = weakref.ref(codec)
    del codec
    gc.collect()
    assert gone() is None
