"""What a caller of /v1 may send, as OpenAI's API names it. What it means to us is in `translation.py`.

Only shapes are checked here; every range comes from the contract's TextRequest. Unknown fields are let through,
so that the answer can name them.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError


class OpenBody(BaseModel):
    """A model that takes unknown fields, but no value of a neighbouring type."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)


def _one_text(content: Any) -> Any:
    """A text as it is; text parts, joined by line breaks."""
    if not isinstance(content, list):
        return content
    return "\n".join(_text_of_part(number, part) for number, part in enumerate(content))


def _text_of_part(number: int, part: Any) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind != "text":
        raise PydanticCustomError(
            "unsupported_parameter",
            "part {number} is of type {kind}; only parts of type text can be read here",
            {"number": number, "kind": str(kind)},
        )
    if not isinstance(part.get("text"), str):
        raise PydanticCustomError("string_type", "part {number} has no text", {"number": number})
    return str(part["text"])


def _one_prompt(prompt: Any) -> Any:
    """The prompt itself, or the only one of a list."""
    if not isinstance(prompt, list):
        return prompt
    if len(prompt) == 1 and isinstance(prompt[0], str):
        return prompt[0]
    raise PydanticCustomError(
        "unsupported_parameter", "send one text; several prompts or token ids cannot be read here"
    )


def _as_list(stop: Any) -> Any:
    return [stop] if isinstance(stop, str) else stop


_TEXT_OR_PARTS = {
    "anyOf": [
        {"type": "string"},
        {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"type": {"const": "text"}, "text": {"type": "string"}},
                "required": ["type", "text"],
            },
        },
        {"type": "null"},
    ]
}
_TEXT_OR_ONE_IN_A_LIST = {
    "anyOf": [
        {"type": "string"},
        {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 1},
    ]
}
_TEXT_OR_LIST = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}, {"type": "null"}]}


class ChatMessage(OpenBody):
    """One turn of the conversation; developer means system."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[str | None, BeforeValidator(_one_text), WithJsonSchema(_TEXT_OR_PARTS)] = None


class StreamOptions(OpenBody):
    """How a stream ends."""

    include_usage: bool | None = Field(default=None, description="send the token counts in a last chunk")
    include_obfuscation: bool | None = Field(default=None, description="taken, without effect")


class JsonSchemaFormat(OpenBody):
    """A JSON schema with its name; it is always followed strictly."""

    name: str | None = None
    description: str | None = None
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")
    strict: bool | None = None


class ResponseFormat(OpenBody):
    """The form of the answer: free text, any JSON object, or JSON that fits a schema."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaFormat | None = None


class GenerationBody(OpenBody):
    """What both kinds of completion can ask for; null means that it is left out."""

    model: str = Field(description="a name from /v1/models; NET:ADAPTER asks for a fine-tuning of the net")
    max_tokens: int | None = None
    temperature: float | None = Field(default=None, description="1 when left out")
    top_p: float | None = Field(default=None, description="1 when left out")
    n: int | None = None
    seed: int | None = None
    stop: Annotated[list[str] | None, BeforeValidator(_as_list), WithJsonSchema(_TEXT_OR_LIST)] = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    top_k: int | None = Field(default=None, description="not in OpenAI's API: only the k likeliest tokens; 0 is all")
    min_p: float | None = Field(default=None, description="not in OpenAI's API")
    repetition_penalty: float | None = Field(default=None, description="not in OpenAI's API")
    adapter: str | None = Field(default=None, description="not in OpenAI's API: like model NET:ADAPTER")
    is_truncatable: bool | None = Field(
        default=None, description="not in OpenAI's API: read only the newest part of a prompt that is too long"
    )


class ChatBody(GenerationBody):
    """The body of /v1/chat/completions."""

    messages: list[ChatMessage] = Field(min_length=1, description="the last one is the user's")
    max_completion_tokens: int | None = Field(
        default=None, description="the newer name of max_tokens; left out, as much as the net's context allows"
    )
    logprobs: bool | None = None
    top_logprobs: int | None = None
    response_format: ResponseFormat | None = None


class CompletionBody(GenerationBody):
    """The body of /v1/completions: the net continues the prompt as it stands."""

    prompt: Annotated[str, BeforeValidator(_one_prompt), WithJsonSchema(_TEXT_OR_ONE_IN_A_LIST)]
    max_tokens: int | None = Field(default=None, description="16 when left out")
    logprobs: int | None = None
