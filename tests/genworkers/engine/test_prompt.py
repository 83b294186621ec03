"""What the net reads of a prompt: all of it, or, where that is allowed, its newest part."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genworkers.contract.text import Message, TextRequest
from genworkers.engine.errors import EngineError
from genworkers.engine.prompt import prompt_ids
from tests.genworkers.engine.reading import request
from tests.genworkers.tiny_nets import CODEC


def turns(*contents: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[n % 2], "content": content} for n, content in enumerate(contents)]


def encoded(asked: TextRequest, *history: Message) -> list[int]:
    return CODEC.encode_chat(history, asked.prompt)


def test_prompt_that_fits_is_read_as_it_is() -> None:
    asked = request("the boat", history=turns("a", "b"), is_truncatable=True)
    assert prompt_ids(CODEC, asked, 64) == encoded(asked, *asked.history)


def test_prompt_that_fills_the_context_leaves_one_token_to_write() -> None:
    asked = request("x" * 61)
    assert len(encoded(asked)) == 63
    assert len(prompt_ids(CODEC, asked, 64)) == 63
    with pytest.raises(EngineError, match="has 63 tokens and this net reads at most 62"):
        prompt_ids(CODEC, asked, 63)


def test_oldest_turns_go_first() -> None:
    asked = request("end", history=turns("q" * 20, "z" * 20, "w" * 10, "v" * 10), is_truncatable=True, max_tokens=30)
    assert prompt_ids(CODEC, asked, 64) == encoded(asked, *asked.history[2:])


def test_conversation_begins_with_a_user_and_keeps_its_system_message() -> None:
    history = [{"role": "system", "content": "Be kind."}, *turns("q" * 20, "z" * 25, "w" * 5, "v" * 5)]
    asked = request("end", history=history, is_truncatable=True, max_tokens=20)
    assert prompt_ids(CODEC, asked, 64) == encoded(asked, asked.history[0], *asked.history[3:])


def test_then_the_beginning_of_the_prompt_goes() -> None:
    asked = request("old " * 30 + "the end", history=turns("q" * 20, "z" * 20), is_truncatable=True, max_tokens=16)
    ids = prompt_ids(CODEC, asked, 64)
    assert len(ids) <= 48
    assert CODEC.decode(ids).endswith("the end")
    assert asked.prompt.endswith(CODEC.decode(ids))
    raw = request(asked.prompt, format="raw", is_truncatable=True, max_tokens=1000)
    assert len(prompt_ids(CODEC, raw, 64)) <= 48, "a quarter of the context is left for the answer"


def test_nothing_left_is_refused() -> None:
    with pytest.raises(EngineError, match="at most 2"):
        prompt_ids(CODEC, request("🚀" * 10, is_truncatable=True), 3)


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1, max_size=80), st.integers(8, 40), st.integers(1, 40))
def test_what_is_left_is_an_end_of_the_prompt_that_fits(prompt: str, context_tokens: int, max_tokens: int) -> None:
    asked = TextRequest.model_construct(
        prompt=prompt, history=[], format="raw", is_truncatable=True, max_tokens=max_tokens
    )
    try:
        ids = prompt_ids(CODEC, asked, context_tokens)
    except EngineError:
        assert len(CODEC.encode_raw(prompt)) > context_tokens // 2
        return
    assert 0 < len(ids) <= context_tokens - min(max_tokens, context_tokens // 4)
    assert prompt.endswith(CODEC.decode(ids))
