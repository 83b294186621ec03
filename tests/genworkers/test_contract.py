"""What the contract takes as a prompt and as a stop string, whatever the script."""

from typing import Any

import pytest
from pydantic import ValidationError

from genworkers.contract.image import ImageRequest, Walk
from genworkers.contract.text import MAX_SCHEMA_CHARS, Message, TextRequest, token_bytes, token_text


@pytest.mark.parametrize(
    "prompt",
    [
        "a boat",
        "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd",  # right to left
        "\u202bA",  # one visible character behind a direction mark
        "\U0001f6a3",  # an emoji
        "\U0001fae8",  # an emoji that Unicode 14 does not know
        "\U0001f1e9\U0001f1ea",  # a flag
        "\U0001f469\u200d\U0001f680",  # joined
        "1\ufe0f\u20e3",  # a keycap
        "e\u0301",
        "\ue000",  # private use
        "?",
    ],
)
def test_a_prompt_with_one_visible_character_is_taken_as_it_is(prompt: str) -> None:
    assert TextRequest(prompt=prompt).prompt == prompt
    assert ImageRequest(prompt=prompt).prompt == prompt


@pytest.mark.parametrize(
    "prompt",
    [
        " \n\t",
        "\u200b\u200b",
        "\u202e",
        "\u2060",
        "\u0301",
        "\ufe0f",
        "\u00a0",
        "\u2028",
        "\u3164",
        "\u00ad",
        "\U000e0041",
    ],
)
def test_a_prompt_that_nobody_can_see_is_refused(prompt: str) -> None:
    for model in (TextRequest, ImageRequest):
        with pytest.raises(ValidationError, match="write at least one visible character"):
            model(prompt=prompt)


@pytest.mark.parametrize("text", ["a\x00", "\x1b[0m a", "a\x7f", "a\x85"])
def test_control_characters_are_refused_in_prompts_and_stop_strings(text: str) -> None:
    with pytest.raises(ValidationError, match="remove the control character") as refused:
        TextRequest(prompt=text, stop=["fine", text])
    assert [problem["loc"] for problem in refused.value.errors()] == [("prompt",), ("stop", 1)]


def test_a_stop_string_may_be_white_space() -> None:
    stop = ["\n\n", "\t", " ", "\u2028"]
    assert TextRequest(prompt="a boat", stop=stop).stop == stop


def test_a_schema_is_kept_as_it_is_and_belongs_to_what_was_typed() -> None:
    schema = {"type": "object", "properties": {"name": {"enum": ["Zoë", "\U0001f6a3"]}}}
    request = TextRequest(prompt="a boat", json_schema=schema, history=[Message(role="user", content="hello")])
    assert request.json_schema == schema
    assert request.typed_text.startswith("hello\na boat\n{")
    assert "Zoë" in request.typed_text
    assert TextRequest(prompt="a boat").typed_text == "a boat"


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"a\x00": 1}, "U\\+0000"),
        ({"a": ["\ud800"]}, "U\\+0000"),
        ({"a": "x" * MAX_SCHEMA_CHARS}, "shorten the schema from 20009"),
    ],
)
def test_a_schema_that_cannot_be_kept_is_refused(schema: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        TextRequest(prompt="a boat", json_schema=schema)


def test_a_schema_without_end_is_refused() -> None:
    schema: dict[str, object] = {}
    for _ in range(900):
        schema = {"items": schema}
    with pytest.raises(ValidationError, match="at most 64 levels"):
        TextRequest(prompt="a boat", json_schema=schema)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b" caf", " caf"),
        ("é🎈".encode(), "é🎈"),
        (b"", ""),
        (b"\xf0\x9f", "bytes:\\xf0\\x9f"),
        (b"a\xc3", "bytes:\\x61\\xc3"),
    ],
)
def test_a_token_is_shown_as_text_and_its_bytes_are_found_again(raw: bytes, text: str) -> None:
    assert token_text(raw) == text
    assert token_bytes(text) == raw


@pytest.mark.parametrize(
    "ends", [{}, {"to_prompt": " "}, {"to_prompt": "a cat", "end_point": [0.5, 0.5]}, {"end_point": [0.5]}]
)
def test_a_walk_between_two_places_has_one_end(ends: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Walk.model_validate({"route": "between"} | ends)


def test_a_walk_along_a_direction_names_it() -> None:
    with pytest.raises(ValidationError, match="needs its name"):
        Walk(route="direction")
    assert Walk(route="direction", direction="redder").distance == 2.0


def test_a_picture_begins_in_one_place() -> None:
    with pytest.raises(ValidationError, match="draft_seed and map_point"):
        ImageRequest(prompt="a cat", draft_seed=1, map_point=[0.1, 0.2])


def test_a_walk_is_one_animation() -> None:
    with pytest.raises(ValidationError, match="num_images must be 1, got 2"):
        ImageRequest(prompt="a cat", num_images=2, walk=Walk(route="random"))


def test_all_that_was_typed_is_screened() -> None:
    request = ImageRequest(prompt="a cat", negative_prompt="no dog", walk=Walk(route="between", to_prompt="a fox"))
    assert request.typed_text == "a cat\nno dog\na fox"
