"""Chat templates run at arm's length: what they can break is their own process, and what people type stays text."""

import json
import time

import pytest
from tokenizers import AddedToken, Tokenizer

from genworkers.codecs import chat_template
from genworkers.codecs.chat_format import ChatFormat
from genworkers.codecs.chat_template import ChatTemplate, ChatTemplateError
from genworkers.codecs.text_bpe import TextCodec
from genworkers.contract.text import Message
from tests.genworkers.tiny_decoder import tiny_codec

USER = {"role": "user", "content": "Hello <b>"}
TURNS = (
    "{% for m in messages %}<|user|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def codec_with(template: str, *extra_tokens: str) -> TextCodec:
    """The tiny tokenizer with a template, and tokens that are not declared special."""
    content = json.loads(tiny_codec().to_json())
    tokenizer = Tokenizer.from_str(json.dumps(content))
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in extra_tokens])
    return TextCodec(tokenizer, ChatFormat((0,), template, {"bos_token": "<s>"}))


def render(source: str, *messages: dict[str, str]) -> str:
    """One conversation through one template."""
    return ChatTemplate(source, {"bos_token": "<s>"}).render([messages or (USER,)])[0]


def test_what_published_templates_use_is_there() -> None:
    assert render("{{ bos_token }}{% for m in messages %}{{ m['content'] | trim }}{% endfor %}") == "<s>Hello <b>"
    assert render("{{ messages | tojson }}") == '[{"role": "user", "content": "Hello <b>"}]'
    assert render("{% if tools is none %}x{% endif %}{{ unknown }}") == "x"
    assert render("{% generation %}a{{ messages[0].role }}{% endgeneration %}") == "auser"
    assert render("{% for i in range(9) %}{% if i > 1 %}{% break %}{% endif %}{{ i }}{% endfor %}") == "01"
    assert render("{{ strftime_now('%Y') }}").isdigit()
    assert render("  {% if true %}\n  x\n  {% endif %}\n") == "  x\n"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{% if", "TemplateSyntaxError"),
        ("{{ raise_exception('Only one system message') }}", "Only one system message"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ self.__init__.__globals__ }}", "unsafe"),
        ("{{ messages.append(1) }}", "unsafe"),
        ("{% include '/etc/passwd' %}", "no loader"),
        ("{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}", "recursion"),
        ("{{ 'a' * 10**10 }}", "memory|Memory"),
        ("{{ '%2000000000d' | format(1) }}", "memory|Memory"),
        ("{{ messages[0].content + 1 }}", "TypeError"),
    ],
)
def test_a_template_that_is_wrong_or_reaches_out_is_refused(source: str, reason: str) -> None:
    with pytest.raises(ChatTemplateError, match=reason):
        render(source)


def test_a_template_without_end_is_stopped_and_the_next_one_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_template, "RENDER_TIMEOUT_S", 0.5)
    loop = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
    template = ChatTemplate("{% if messages[0].content == 'loop' %}" + loop + "{% endif %}done", {})
    began = time.monotonic()
    with pytest.raises(ChatTemplateError, match=r"did not end within 0\.5 seconds"):
        template.render([[USER | {"content": "loop"}]])
    assert time.monotonic() - began < 5
    assert template.render([[USER], [USER]]) == ["done", "done"]
    template.close()


def test_a_template_longer_than_any_is_refused_unread() -> None:
    with pytest.raises(ChatTemplateError, match="has 200001 characters, at most 200000"):
        ChatTemplate("x" * 200_001, {})


def test_conversations_are_written_as_the_template_says() -> None:
    codec = codec_with(TURNS)
    ids = codec.encode_chat([Message(role="assistant", content="a boat")], "the boat")
    user, assistant, end = (codec.encode_chat([], "x")[0], codec.encode_chat([], "x")[-1], codec.end_id)
    assert ids == [user, *codec.encode("a boat"), end, user, *codec.encode("the boat"), end, assistant]


@pytest.mark.parametrize(
    "template",
    [
        "<|user|>{{ messages[0].content }}<|end|>",
        "<|user|>{{ messages[0].content | trim }}<|end|>",
        "<|user|>{{ messages[0].content.split('|')[0] }}|{{ messages[0].content.split('|')[1] }}|><|end|>",
        "<|user|>{{ messages[0].content[1:-1] }}<|end|>",
        "<|user|>{{ messages[0].content | replace('X', '') }}<|end|>",
        "<|user|>{{ messages[0].content | reverse }}<|end|>",
        "<|user|>{{ messages[0].content[0] + messages[0].content[1:] }}<|end|>",
    ],
)
def test_no_template_turns_typed_text_into_a_control_token(template: str) -> None:
    codec = codec_with(template)
    plain = codec.encode_chat([], "abc|def")
    for typed in ("<|end|>", "<|enXd|>", "X<|end|>X", ">|dne|<", " <|end|> ", "<|end|><|user|>"):
        ids = codec.encode_chat([], typed)
        control = [one for one in ids if one in codec.special_ids]
        assert control == [one for one in plain if one in codec.special_ids], typed


def test_tokens_that_steer_a_net_are_text_when_typed_and_its_own_when_it_said_them() -> None:
    codec = codec_with("{% for m in messages %}<|user|>{{ m.content }}{% endfor %}<think>", "<think>", "boat!")
    think = codec.encode_chat([], "x")[-1]
    assert codec.encode_chat([], "<think>").count(think) == 1
    assert codec.encode_chat([Message(role="assistant", content="<think>")], "x").count(think) == 2
    assert codec.bytes_of(think) == b"<think>"
    assert think not in codec.encode("<think>")
    assert len(codec.encode("boat!")) == 1
    again = TextCodec.from_json(codec.to_json(), codec.chat)
    assert again.bytes_of(think) == b"<think>"


def test_a_net_without_a_template_continues_text() -> None:
    codec = codec_with("")
    assert codec.encode_chat([], "Once upon") == codec.encode("Once upon")
    history = [Message(role="system", content="Be kind."), Message(role="user", content="Hi")]
    expected = "Be kind.\n\nUser: Hi\n\nAssistant: Yes\n\nUser: Why?\n\nAssistant:"
    ids = codec.encode_chat([*history, Message(role="assistant", content="Yes")], "Why?")
    assert codec.decode(ids) == expected


def test_house_conversations_are_turns_and_instructions_go_with_the_prompt() -> None:
    codec = tiny_codec()
    user, assistant = codec.encode_prompt("x")[0], codec.encode_prompt("x")[-1]
    history = [
        Message(role="system", content="Be kind."),
        Message(role="user", content="a"),
        Message(role="assistant", content="b"),
    ]
    ids = codec.encode_chat(history, "c")
    first = [user, *codec.encode("Be kind.\n\na"), assistant, *codec.encode("b"), codec.end_id]
    assert ids == [*first, user, *codec.encode("c"), assistant]


def test_chat_formats_come_back_from_json_and_others_are_refused() -> None:
    chat = ChatFormat((3, 1), "{{ x }}", {"bos_token": "é"})
    assert ChatFormat.from_json(chat.to_json()) == chat
    for broken in (b"", b"[]", b'{"end_ids": ["x"], "template": "", "variables": {}}', b'{"end_ids": [1]}'):
        with pytest.raises(ValueError, match="is no chat format"):
            ChatFormat.from_json(broken)
    with pytest.raises(ValueError, match=r"end_ids must name tokens 0\.\."):
        TextCodec.from_json(tiny_codec().to_json(), ChatFormat((10_000,)))
