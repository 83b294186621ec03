"""How conversations are written for a net, and how typed control tokens are kept apart from those of its template."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial

from tokenizers import AddedToken

from genworkers.codecs.chat_template import ChatTemplate

Turn = tuple[str, str]  # role, content
NOTHING = "(?!)"  # a pattern that is never found


@dataclass(frozen=True, slots=True)
class ChatFormat:
    """How a net that is not the house's wants a conversation written, and how it ends an answer.

    Args:
        end_ids: tokens that end an answer, at least one; the first is the tokenizer's own.
        template: a Jinja chat template; "" for a net that only continues text.
        variables: what the template may name: `bos_token`, `eos_token`...
    """

    end_ids: tuple[int, ...]
    template: str = ""
    variables: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, content: bytes) -> "ChatFormat":
        """Read what `to_json` wrote.

        Raises:
            ValueError: it is something else.
        """
        try:
            stored = json.loads(content)
            return cls(tuple(map(int, stored["end_ids"])), str(stored["template"]), dict(stored["variables"]))
        except (TypeError, KeyError, ValueError) as error:
            raise ValueError(f"is no chat format: {error}") from error

    def to_json(self) -> bytes:
        """The content of a `chat.json`."""
        return (json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n").encode()


def plain_chat(turns: Sequence[Turn]) -> str:
    """A conversation for a net without a chat template: a prompt alone as it is, else lines that it continues."""
    if len(turns) == 1:
        return turns[0][1]
    names = {"system": "", "user": "User: ", "assistant": "Assistant: "}
    return "\n\n".join([*(f"{names[role]}{content}" for role, content in turns), "Assistant:"])


class ControlTokens:
    """The tokens that only a chat template may write.

    Args:
        special: those that the tokenizer declares special.
        steering: others that the template mentions ("<think>"): typed by a user they are text, but in what the net
            itself said they are left to the template.
    """

    def __init__(self, special: Sequence[AddedToken], steering: Sequence[AddedToken]) -> None:
        self._special = _pattern_of(special)
        self._steering = _pattern_of(steering)
        self._all = _pattern_of([*special, *steering])
        self._starts = "|".join(sorted({re.escape(token.content[0]) for token in (*special, *steering)}))

    def render(self, template: ChatTemplate, turns: Sequence[Turn]) -> list[str]:
        """The rendered conversation, cut: text, control token of the template's own, text, ..., text.

        Typed control tokens are wrapped in two characters that nobody typed, which leaves templates that look for
        them intact. As a template may also cut and join text, a second rendering, whose contents cannot hold any
        control token at all, says which ones must come out; where they differ, the second one counts.

        Raises:
            ChatTemplateError: the template refuses the conversation, or does not come to an end.
        """
        known = template.source + "".join(content for _, content in turns)
        unused = (char for char in map(chr, range(0xE000, 0x110000)) if char not in known)
        opening, closing, breaker = next(unused), next(unused), next(unused)

        def wrapped(role: str, content: str) -> str:
            pattern = self._special if role == "assistant" else self._all
            return re.sub(pattern, rf"{opening}\g<0>{closing}", content)

        def broken(role: str, content: str) -> str:
            kept = self._steering if role == "assistant" else NOTHING
            apart = partial(re.sub, f"({kept})|({self._starts})")
            return breaker + apart(lambda found: found[1] or f"{breaker}{found[2]}{breaker}", content)

        texts = template.render(
            [[{"role": role, "content": way(role, content)} for role, content in turns] for way in (wrapped, broken)]
        )
        typed_or_own = re.compile(f"{opening}(?:{self._all})|(?:{self._all}){closing}|(?P<own>{self._all})")
        marks = str.maketrans("", "", opening + closing + breaker)
        first, second = (_cut(text, typed_or_own, marks) for text in texts)
        return first if first[1::2] == second[1::2] else second


def _cut(text: str, typed_or_own: re.Pattern[str], marks: dict[int, int | None]) -> list[str]:
    pieces: list[str] = []
    end = 0
    for found in typed_or_own.finditer(text):
        if found["own"] is not None:
            pieces += [text[end : found.start()].translate(marks), found["own"]]
            end = found.end()
    return [*pieces, text[end:].translate(marks)]


def _pattern_of(tokens: Sequence[AddedToken]) -> str:
    """Finds the tokens, the longest first, and the spaces that those which ask for it swallow."""
    found = sorted(tokens, key=lambda token: len(token.content), reverse=True)
    each = ((r"\s*" * token.lstrip) + re.escape(token.content) + (r"\s*" * token.rstrip) for token in found)
    return "|".join(each) or NOTHING
