"""From a body in OpenAI's words to the contract's TextRequest, with OpenAI's defaults where they differ from ours.

What would change the meaning and cannot be served is refused by name; any other unknown field is ignored and named.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from genworkers.contract.text import MAX_TEXT_TOKENS, TextRequest
from webapp.api.openai.bodies import ChatBody, ChatMessage, CompletionBody, GenerationBody, ResponseFormat
from webapp.catalog import selectors as catalog
from webapp.errors import AppError, allowed_of, invalid_fields, invalid_request, problem

# Left out, OpenAI's API means these; the contract's own defaults are made for the studio.
DEFAULTS: Mapping[str, Any] = {"temperature": 1.0, "top_p": 1.0, "top_k": 0}
COMPLETION_MAX_TOKENS = 16

# Field to the values that ask for nothing. Any other value would change what comes back.
UNSUPPORTED: Mapping[str, tuple[Any, ...]] = {
    "audio": (),
    "best_of": (1,),
    "echo": (False,),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "modalities": (["text"],),
    "moderation": (),
    "suffix": ("",),
    "tool_calls": ([],),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "web_search_options": (),
}
# Known, and without any effect on the text: labels of the caller's own.
SILENT = frozenset({"metadata", "parallel_tool_calls", "prompt_cache_key", "safety_identifier", "store", "user"})

_SAME_NAME = (
    "temperature", "top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty",
    "logit_bias", "seed", "stop", "is_truncatable",
)  # fmt: skip


@dataclass(frozen=True)
class Call:
    """One call of /v1: the checked request, and how its answer is to look."""

    request: TextRequest
    model: str
    is_stream: bool
    has_usage_chunk: bool
    ignored: tuple[str, ...]


def chat_call(body: ChatBody) -> Call:
    """The call that a chat body means.

    Raises:
        AppError: invalid_request or unsupported_parameter, naming the field as the caller wrote it.
    """
    ignored = tuple(unknown_fields(body, ""))
    *history, last = body.messages
    if last.role != "user":
        raise wrong("messages", "value_error", "the last message must be the user's", last.role, "user")
    max_tokens = body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens
    fields = {
        "format": "chat",
        "prompt": last.content or "",
        "history": [_message(message) for message in history],
        "max_tokens": _room(body.model) if max_tokens is None else max_tokens,
        "num_logprobs": _num_logprobs(body),
        "json_schema": _json_schema(body.response_format),
    }
    names = {
        "prompt": f"messages.{len(history)}.content",
        "history": "messages",
        "max_tokens": "max_tokens" if body.max_completion_tokens is None else "max_completion_tokens",
        "num_logprobs": "top_logprobs",
        "json_schema": "response_format",
    }
    return _call(body, fields, names, ignored)


def completion_call(body: CompletionBody) -> Call:
    """The call that a legacy body means.

    Raises:
        AppError: invalid_request or unsupported_parameter, naming the field as the caller wrote it.
    """
    fields = {
        "format": "raw",
        "prompt": body.prompt,
        "max_tokens": COMPLETION_MAX_TOKENS if body.max_tokens is None else body.max_tokens,
        "num_logprobs": body.logprobs,
    }
    return _call(body, fields, {"num_logprobs": "logprobs"}, tuple(unknown_fields(body, "")))


def _call(body: GenerationBody, fields: dict[str, Any], names: dict[str, str], ignored: tuple[str, ...]) -> Call:
    net, _, adapter = body.model.partition(":")
    wanted = {name: getattr(body, name) for name in _SAME_NAME}
    wanted |= {"net": net, "adapter": body.adapter or adapter, "num_texts": body.n} | fields
    given = {name: value for name, value in wanted.items() if value is not None}
    try:
        request = TextRequest.model_validate({**DEFAULTS, **given})
    except ValidationError as error:
        problems = invalid_request(error, allowed_of(TextRequest)).problems
        names_as_sent = {"num_texts": "n", "net": "model"} | names
        raise invalid_fields([renamed(problem, names_as_sent) for problem in problems]) from error
    return Call(
        request=request,
        model=body.model,
        is_stream=bool(body.stream),
        has_usage_chunk=bool(body.stream_options and body.stream_options.include_usage),
        ignored=ignored,
    )


def renamed(problem: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The problem with its field as the caller wrote it."""
    first, dot, rest = problem["field"].partition(".")
    return problem | {"field": param(names.get(first, first) + dot + rest)}


def param(path: str) -> str:
    """A dotted path as OpenAI writes it.

    >>> param("messages.3.content")
    'messages[3].content'
    """
    return re.sub(r"\.(\d+)(?=\.|$)", r"[\1]", path)


def _message(message: ChatMessage) -> dict[str, str]:
    role: Literal["system", "user", "assistant"] = "system" if message.role == "developer" else message.role
    return {"role": role, "content": message.content or ""}


def _room(model: str) -> int:
    """As many tokens as the net's context can hold; the engine ends a text where the context does."""
    net = catalog.net(model.partition(":")[0])
    context_tokens = net.context_tokens if net else 0
    return min(context_tokens or MAX_TEXT_TOKENS, MAX_TEXT_TOKENS)


def _num_logprobs(body: ChatBody) -> int | None:
    if body.logprobs:
        return body.top_logprobs or 0
    if body.top_logprobs is not None:
        raise wrong("top_logprobs", "value_error", "this needs logprobs: true", str(body.top_logprobs), "")
    return None


def _json_schema(response_format: ResponseFormat | None) -> dict[str, Any] | None:
    if response_format is None or response_format.type == "text":
        return None
    if response_format.type == "json_object":
        return {"type": "object"}
    if response_format.json_schema is None:
        raise wrong("response_format.json_schema", "missing", "this is needed", "", "an object with name and schema")
    return response_format.json_schema.schema_ or {}


def unknown_fields(model: BaseModel, path: str, refused: Mapping[str, tuple[Any, ...]] = UNSUPPORTED) -> Iterator[str]:
    """The names of unknown fields at every depth.

    Args:
        refused: fields that cannot be served, each with the values that ask for nothing.

    Raises:
        AppError: unsupported_parameter.
    """
    for name, value in (model.model_extra or {}).items():
        if value is None or name in SILENT:
            continue
        if name not in refused:
            yield param(path + name)
        elif value not in refused[name]:
            raise unsupported(param(path + name), value)
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from unknown_fields(value, f"{path}{name}.", refused)
        elif name == "messages":
            for number, message in enumerate(value):
                yield from unknown_fields(message, f"{path}{name}.{number}.", refused)


def unsupported(field: str, value: Any) -> AppError:
    """The 400 for what OpenAI's API has and this one cannot do."""
    problems = [problem(field, "unsupported_parameter", "this cannot be done here; leave it out", value, "")]
    return AppError("unsupported_parameter", 400, f"{field} cannot be done here; leave it out.", problems=problems)


def wrong(field: str, code: str, message: str, value: str, allowed: str) -> AppError:
    """The error for one wrong field."""
    return invalid_fields([problem(field, code, message, value, allowed)])
