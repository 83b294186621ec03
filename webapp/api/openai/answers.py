"""What /v1 answers, as OpenAI's API names it: whole answers and the chunks of a stream, of both kinds."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, Field

from genworkers.contract.events import TokenLogprob
from genworkers.contract.text import token_bytes
from webapp.api.openai.transcript import Delta

UNLIKELY = -9999.0  # OpenAI's word for minus infinity, which JSON does not have


class Usage(BaseModel):
    """Tokens read and written, over all choices."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class TopLogprob(BaseModel):
    """A likely token at one place."""

    token: str
    logprob: float
    bytes: list[int] | None


class ChatTokenLogprob(TopLogprob):
    """A written token, and the likeliest in its place."""

    top_logprobs: list[TopLogprob]


class ChatLogprobs(BaseModel):
    """Log-probabilities of a message."""

    content: list[ChatTokenLogprob]
    refusal: None = None


class ChatAnswer(BaseModel):
    """What was written."""

    role: Literal["assistant"] = "assistant"
    content: str | None = Field(description="null when a rule of the workspace withholds it")
    refusal: str | None = Field(description="why nothing is shown")


class ChatChoice(BaseModel):
    """One text."""

    index: int
    message: ChatAnswer
    logprobs: ChatLogprobs | None
    finish_reason: Literal["stop", "length", "content_filter"]


class Answer(BaseModel):
    """What every answer says of itself."""

    id: str
    object: str
    created: int = Field(description="seconds since 1970")
    model: str
    system_fingerprint: str = Field(description="the SHA-256 of the net's checkpoint")
    usage: Usage


class ChatCompletion(Answer):
    """The answer of /v1/chat/completions."""

    choices: list[ChatChoice]


class CompletionLogprobs(BaseModel):
    """Log-probabilities, each list with one entry per token."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]] | None
    text_offset: list[int] = Field(description="where each token starts in the text, in characters")


class CompletionChoice(BaseModel):
    """One text."""

    index: int
    text: str
    logprobs: CompletionLogprobs | None
    finish_reason: Literal["stop", "length", "content_filter"]
    refusal: str | None = Field(description="not in OpenAI's API: why nothing is shown")


class Completion(Answer):
    """The answer of /v1/completions."""

    choices: list[CompletionChoice]


@dataclass
class WholeText:
    """One text, put together from its deltas."""

    index: int
    text: str = ""
    logprobs: list[TokenLogprob] = field(default_factory=list)
    finish_reason: str = "stop"
    refusal: str | None = None

    def add(self, delta: Delta) -> None:
        """Append what is new."""
        self.text += delta.text
        self.logprobs += delta.logprobs
        self.finish_reason = delta.finish_reason or self.finish_reason
        self.refusal = delta.refusal or self.refusal


class ChatForm:
    """The shapes of /v1/chat/completions."""

    id_prefix = "chatcmpl-"
    object = "chat.completion"
    chunk_object = "chat.completion.chunk"

    def choice(self, whole: WholeText, *, has_logprobs: bool) -> dict[str, Any]:
        """One choice of a whole answer."""
        content = None if whole.refusal else whole.text
        return {
            "index": whole.index,
            "message": {"role": "assistant", "content": content, "refusal": whole.refusal},
            "logprobs": self._logprobs(whole.logprobs) if has_logprobs else None,
            "finish_reason": whole.finish_reason,
        }

    def opening(self, index: int) -> dict[str, Any] | None:
        """What a stream says of a choice before its first word."""
        delta = {"role": "assistant", "content": "", "refusal": None}
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}

    def piece(self, delta: Delta) -> dict[str, Any]:
        """One choice of a chunk."""
        new: dict[str, Any] = {} if delta.finish_reason else {"content": delta.text}
        if delta.refusal:
            new["refusal"] = delta.refusal
        return {
            "index": delta.index,
            "delta": new,
            "logprobs": self._logprobs(delta.logprobs) if delta.logprobs else None,
            "finish_reason": delta.finish_reason or None,
        }

    def _logprobs(self, entries: Iterable[TokenLogprob]) -> dict[str, Any]:
        content = [
            _entry(entry.token, entry.logprob) | {"top_logprobs": [_entry(*likely) for likely in entry.top]}
            for entry in entries
        ]
        return {"content": content, "refusal": None}


class CompletionForm:
    """The shapes of /v1/completions."""

    id_prefix = "cmpl-"
    object = "text_completion"
    chunk_object = "text_completion"

    def choice(self, whole: WholeText, *, has_logprobs: bool) -> dict[str, Any]:
        """One choice of a whole answer."""
        return {
            "index": whole.index,
            "text": "" if whole.refusal else whole.text,
            "logprobs": self._logprobs(whole.logprobs, 0) if has_logprobs else None,
            "finish_reason": whole.finish_reason,
            "refusal": whole.refusal,
        }

    def opening(self, index: int) -> dict[str, Any] | None:
        """Nothing: a text has no role."""
        return None

    def piece(self, delta: Delta) -> dict[str, Any]:
        """One choice of a chunk."""
        refusal = {"refusal": delta.refusal} if delta.refusal else {}
        return {
            "index": delta.index,
            "text": delta.text,
            "logprobs": self._logprobs(delta.logprobs, delta.token_offset) if delta.logprobs else None,
            "finish_reason": delta.finish_reason or None,
            **refusal,
        }

    def _logprobs(self, entries: Iterable[TokenLogprob], offset: int) -> dict[str, Any]:
        found: dict[str, list[Any]] = {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
        for entry in entries:
            found["tokens"].append(entry.token)
            found["token_logprobs"].append(_bounded(entry.logprob))
            found["top_logprobs"].append({token: _bounded(logprob) for token, logprob in entry.top})
            found["text_offset"].append(offset)
            offset += len(entry.token)
        return found


Form = ChatForm | CompletionForm


def _bounded(logprob: float) -> float:
    return max(logprob, UNLIKELY)


def _entry(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": _bounded(logprob), "bytes": list(token_bytes(token))}
