"""Added tokenizers and chat templates give the ids that the transformers package gives."""

import json
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from genworkers.codecs.text_bpe import TextCodec, TextDecoder
from genworkers.contract.text import Message
from genworkers.importing.foreign_tokenizer import read_codec
from genworkers.importing.source_folder import SourceFolder
from tests.genworkers.importing.foreign import TEMPLATE_OF, make_tokenizer, save_tokenizer

pytestmark = pytest.mark.slow

KINDS = ("gpt2", "llama3", "smollm2", "qwen")
NASTY = [
    "",
    " ",
    "\n\n\t  \r\n",
    " leading and trailing ",
    "THEY'LL don't WE'VE it's",
    "1234567 12 3.14159 ½ ٣٤",
    "naïve nai\u0308ve Å A\u030a ﬁ",
    "漢字かな交じり文。🚀👩‍👩‍👧‍👦🏳️‍🌈",
    "\u200b\ufeff\u00a0zero widths\u2028and lines",
    "\x00\x07control",
    "if (a<b) { return a[i]->x; } // \\n",
    "a" * 300,
    "\ufffd broken \U0010ffff last",
    "ordinary <|im_en d|> text </th ink>",
]
any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60).filter(lambda text: "<" not in text)


@pytest.fixture(scope="module", params=KINDS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[TextCodec, object, str]:
    """Our codec, theirs, and the kind, both read from one folder."""
    folder = tmp_path_factory.mktemp(request.param)
    save_tokenizer(request.param, folder)
    return codec_of(folder), AutoTokenizer.from_pretrained(folder), request.param


def codec_of(folder: Path, architecture: str = "LlamaForCausalLM") -> TextCodec:
    """Ours, of a folder that has no weights."""
    if not (folder / "config.json").exists():
        (folder / "config.json").write_text("{}")
    return read_codec(SourceFolder(folder), architecture)


def test_nasty_texts_have_the_same_ids_and_come_back(pair: tuple[TextCodec, PreTrainedTokenizerFast, str]) -> None:
    ours, theirs, kind = pair
    for text in NASTY:
        assert ours.encode_raw(text) == theirs(text)["input_ids"], text
        assert ours.encode(text) == theirs(text, add_special_tokens=False)["input_ids"], text
        if kind != "qwen":  # which composes accents
            assert ours.decode(ours.encode_raw(text)) == text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=any_text)
def test_any_text_has_the_same_ids(pair: tuple[TextCodec, PreTrainedTokenizerFast, str], text: str) -> None:
    ours, theirs, _ = pair
    assert ours.encode_raw(text) == theirs(text)["input_ids"]


def test_decoding_token_by_token_equals_theirs(pair: tuple[TextCodec, PreTrainedTokenizerFast, str]) -> None:
    ours, theirs, _ = pair
    decoder = TextDecoder(ours)
    ids = ours.encode_raw("A 漢字 boat 🚀 and <think> thought")
    text = "".join(decoder.push(token_id) for token_id in ids) + decoder.flush()
    assert text == theirs.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(contents=st.lists(any_text | st.sampled_from(NASTY), min_size=1, max_size=5))
def test_conversations_have_the_same_ids(
    pair: tuple[TextCodec, PreTrainedTokenizerFast, str], contents: list[str]
) -> None:
    ours, theirs, kind = pair
    if TEMPLATE_OF[kind] is None:
        return
    roles: list[Literal["user", "assistant"]] = ["user", "assistant"] * 3
    turns = list(zip(roles[-len(contents) - 1 : -1], contents, strict=True))
    if turns[-1][0] != "user":
        turns[-1] = ("user", turns[-1][1])
    expected = theirs.apply_chat_template(
        [{"role": role, "content": content} for role, content in turns], add_generation_prompt=True, return_dict=False
    )
    history = [Message.model_construct(None, role=role, content=content) for role, content in turns[:-1]]
    assert ours.encode_chat(history, turns[-1][1]) == expected


def test_thoughts_are_left_out_of_what_was_said_before_as_their_template_wants(tmp_path: Path) -> None:
    theirs = save_tokenizer("llama3", tmp_path)
    said = "<think>\nhm\n</think>\n\nA boat."
    history = [Message(role="user", content="What?"), Message(role="assistant", content=said)]
    expected = theirs.apply_chat_template(
        [*(turn.model_dump() for turn in history), {"role": "user", "content": "Why?"}],
        add_generation_prompt=True,
        return_dict=False,
    )
    assert codec_of(tmp_path).encode_chat(history, "Why?") == expected


@pytest.mark.parametrize("kind", ["llama3", "smollm2", "qwen"])
def test_typed_control_tokens_stay_text_as_where_they_are_sanitized(kind: str, tmp_path: Path) -> None:
    theirs = save_tokenizer(kind, tmp_path)
    ours = codec_of(tmp_path)
    specials = [*theirs.all_special_tokens, "<|im_start|>", "<|start_header_id|>", "<think>", "<|eot_id|>"]
    for text in (f"a {token} b" for token in specials):
        ids = ours.encode_chat([], text)
        plain = ours.encode_chat([], "a b")
        assert [one for one in ids if one in ours.special_ids] == [one for one in plain if one in ours.special_ids]
        assert text in ours.decode(ids)
        assert not set(ours.encode(text)) & ours.special_ids


def test_vocab_and_merges_are_read_where_there_is_no_tokenizer_json(tmp_path: Path) -> None:
    for kind, architecture, model_type in (
        ("gpt2", "GPT2LMHeadModel", "gpt2"),
        ("qwen", "Qwen2ForCausalLM", "qwen2"),
    ):
        folder = tmp_path / kind
        folder.mkdir()
        model = json.loads(make_tokenizer(kind).to_str())["model"]
        (folder / "vocab.json").write_text(json.dumps(model["vocab"]))
        merges = ["#version: 0.2", *(" ".join(pair) for pair in model["merges"])]
        (folder / "merges.txt").write_text("\n".join(merges) + "\n")
        (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|endoftext|>"}))
        (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
        ours = codec_of(folder, architecture)
        theirs = AutoTokenizer.from_pretrained(folder)
        for text in NASTY:
            assert ours.encode_raw(text) == theirs(text)["input_ids"], (kind, text)
