"""A request for text, and how its tokens are told."""

import json
import re
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field, StringConstraints, field_validator

from genworkers.contract.base import Request, Strict, without_controls

MAX_PROMPT_CHARS = 32_000
MAX_MESSAGES = 100
MAX_STOP_STRINGS = 8
MAX_TEXTS = 8
MAX_TEXT_TOKENS = 8192
MAX_LOGPROBS = 20
PART_OF_CHARACTER = "bytes:"
MAX_LOGIT_BIASES = 300
MAX_SCHEMA_CHARS = 20_000
MAX_SCHEMA_DEPTH = 64


def _check_json(value: object, depth: int = 0) -> None:
    """Refuse what a database cannot hold: U+0000, half a surrogate pair, nesting without end."""
    if depth > MAX_SCHEMA_DEPTH:
        raise ValueError(f"nest at most {MAX_SCHEMA_DEPTH} levels deep")
    if isinstance(value, str) and any(char == "\0" or "\ud800" <= char <= "\udfff" for char in value):
        raise ValueError("remove the characters U+0000 and U+D800 to U+DFFF: no text holds them")
    children = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        _check_json(child, depth + 1)


LogitBias: TypeAlias = Annotated[float, Field(ge=-100.0, le=100.0, allow_inf_nan=False)]


class Message(Strict):
    """One turn of a conversation before the prompt."""

    role: Literal["system", "user", "assistant"]
    content: Annotated[str, StringConstraints(max_length=MAX_PROMPT_CHARS), AfterValidator(without_controls)]


class TextRequest(Request):
    """Checked parameters of one text job."""

    kind: Literal["text"] = "text"
    prompt: str = Field(
        min_length=1,
        max_length=MAX_PROMPT_CHARS,
        title="Prompt",
        description="What to write. The house net holds 768 tokens, prompt and answer together: about 3,000 characters "
        "of plain English, fewer of anything else.",
        examples=["Write a story about a brave little boat."],
    )
    history: list[Message] = Field(
        default_factory=list,
        max_length=MAX_MESSAGES,
        title="Conversation",
        description="What was said before the prompt, oldest first.",
    )
    format: Literal["chat", "raw"] = Field(
        default="chat",
        title="Format",
        description="chat answers the prompt; raw continues it as it stands, without the net's chat format.",
    )
    is_truncatable: bool = Field(
        default=False,
        title="Shorten a long prompt",
        description="Read only the newest part of a prompt that is too long for the net, instead of refusing it.",
    )
    net: str = Field(default="llama-tessera-text", min_length=1, max_length=100, title="Net")
    max_tokens: int = Field(
        default=512,
        ge=1,
        le=MAX_TEXT_TOKENS,
        title="Length",
        description="The most tokens to write; a token is about four letters.",
        json_schema_extra={"unit": "tokens"},
    )
    num_texts: int = Field(default=1, ge=1, le=MAX_TEXTS, title="Texts", description="How many texts to write.")
    adapter: str = Field(
        default="",
        max_length=100,
        title="Adapter",
        description="A fine-tuning (LoRA) of the net by its name; empty uses the net as it is.",
    )
    temperature: float = Field(
        default=0.8,
        ge=0.0,
        le=2.0,
        allow_inf_nan=False,
        title="Temperature",
        description="Low is predictable, high is surprising; 0 always takes the likeliest token.",
    )
    top_k: int = Field(
        default=50,
        ge=0,
        le=1000,
        title="Top k",
        description="Draw only from the k likeliest tokens; 0 considers all.",
        json_schema_extra={"unit": "tokens"},
    )
    top_p: float = Field(
        default=0.95,
        gt=0.0,
        le=1.0,
        allow_inf_nan=False,
        title="Top p",
        description="Draw only from the likeliest tokens that together hold this share of probability.",
    )
    min_p: float = Field(
        default=0.0,
        ge=0.0,
        le=1.0,
        allow_inf_nan=False,
        title="Min p",
        description="Draw only from tokens at least this share as likely as the likeliest; 0 considers all.",
    )
    repetition_penalty: float = Field(
        default=1.0,
        ge=0.1,
        le=10.0,
        allow_inf_nan=False,
        title="Repetition penalty",
        description="Above 1 makes tokens that occurred in the prompt or the text less likely; 1 changes nothing.",
    )
    presence_penalty: float = Field(
        default=0.0,
        ge=-2.0,
        le=2.0,
        allow_inf_nan=False,
        title="Presence penalty",
        description="Taken off the logit of every token that the text holds already.",
    )
    frequency_penalty: float = Field(
        default=0.0,
        ge=-2.0,
        le=2.0,
        allow_inf_nan=False,
        title="Frequency penalty",
        description="Taken off the logit of a token once for every time that the text holds it.",
    )
    logit_bias: dict[Annotated[str, StringConstraints(pattern=r"^[0-9]{1,7}$")], LogitBias] = Field(
        default_factory=dict,
        max_length=MAX_LOGIT_BIASES,
        title="Logit bias",
        description="Token id to what is added to its logit, -100 to 100.",
    )
    num_logprobs: int | None = Field(
        default=None,
        ge=0,
        le=MAX_LOGPROBS,
        title="Log-probabilities",
        description="Report each token's log-probability and those of so many likeliest tokens; empty reports none.",
    )
    json_schema: dict[str, Any] | None = Field(
        default=None,
        title="JSON schema",
        description="The text is JSON that fits this schema; {} allows any JSON. Empty leaves it free.",
    )
    stop: list[Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(without_controls)]] = (
        Field(
            default_factory=list,
            max_length=MAX_STOP_STRINGS,
            title="Stop at",
            description="End before any of these strings; one per line.",
        )
    )

    @field_validator("json_schema")
    @classmethod
    def _schema_can_be_kept(cls, schema: dict[str, Any] | None) -> dict[str, Any] | None:
        _check_json(schema)
        num_chars = len(json.dumps(schema))
        if num_chars > MAX_SCHEMA_CHARS:
            raise ValueError(f"shorten the schema from {num_chars} to at most {MAX_SCHEMA_CHARS} characters")
        return schema

    @property
    def typed_text(self) -> str:
        """All that its author wrote: the conversation, the prompt and the schema. This is what a screen reads."""
        schema = "" if self.json_schema is None else json.dumps(self.json_schema, ensure_ascii=False)
        return "\n".join([*(message.content for message in self.history), self.prompt, schema]).rstrip()


def token_text(raw: bytes) -> str:
    """A token as it is shown: its text, or `bytes:\\xf0\\x9f` where it ends or begins within a character."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return PART_OF_CHARACTER + "".join(f"\\x{byte:02x}" for byte in raw)


def token_bytes(text: str) -> bytes:
    """The bytes of a token that `token_text` has shown."""
    if re.fullmatch(PART_OF_CHARACTER + r"(\\x[0-9a-f]{2})+", text):
        return bytes.fromhex(text.removeprefix(PART_OF_CHARACTER).replace("\\x", ""))
    return text.encode("utf-8")
