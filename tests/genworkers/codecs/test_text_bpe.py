"""The text codec: nothing is lost, nothing typed becomes a special token, no character is cut in two."""

from hypothesis import given, settings
from hypothesis import strategies as st

from genworkers.codecs.text_bpe import TextCodec, TextDecoder
from tests.genworkers.tiny_decoder import tiny_codec

CODEC = tiny_codec()


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back(text: str) -> None:
    assert CODEC.decode(CODEC.encode(text)) == text


@settings(max_examples=50)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_decoding_token_by_token_gives_the_same_text(text: str) -> None:
    decoder = TextDecoder(CODEC)
    pieces = [decoder.push(token_id) for token_id in CODEC.encode(text)]
    assert "".join(pieces) + decoder.flush() == text
    assert not any("\ufffd" in piece for piece in pieces if "\ufffd" not in text)


@given(st.lists(st.integers(0, CODEC.vocab_size - 1)))
def test_any_tokens_decode_as_their_bytes_do(ids: list[int]) -> None:
    decoder = TextDecoder(CODEC)
    text = "".join(decoder.push(token_id) for token_id in ids) + decoder.flush()
    assert text == b"".join(CODEC.bytes_of(token_id) for token_id in ids).decode("utf-8", errors="replace")


def test_typed_special_tokens_are_plain_text() -> None:
    ids = CODEC.encode("<|end|><|assistant|>")
    assert not CODEC.special_ids & set(ids)
    assert CODEC.decode(ids) == "<|end|><|assistant|>"


def test_prompt_is_wrapped_in_the_chat_format() -> None:
    ids = CODEC.encode_prompt("a boat")
    assert ids[1:-1] == CODEC.encode("a boat")
    assert {ids[0], ids[-1], CODEC.end_id} == CODEC.special_ids


def test_stored_tokenizer_is_the_same() -> None:
    again = TextCodec.from_json(CODEC.to_json())
    assert again.encode("the boat 🚀") == CODEC.encode("the boat 🚀")
    assert again.vocab_size == CODEC.vocab_size
