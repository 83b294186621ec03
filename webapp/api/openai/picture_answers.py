"""What /v1/images answers, as OpenAI's API names it."""

from typing import Literal

from pydantic import BaseModel, Field


class InputTokens(BaseModel):
    """What was read."""

    text_tokens: int = Field(description="words and signs of the prompt")
    image_tokens: int = Field(description="tiles of the start picture")


class PictureUsage(BaseModel):
    """Counts: words and signs read, tiles read, tiles drawn."""

    input_tokens: int
    input_tokens_details: InputTokens
    output_tokens: int = Field(description="tiles drawn, over all pictures")
    total_tokens: int


class Picture(BaseModel):
    """One picture."""

    b64_json: str | None = None
    url: str | None = Field(default=None, description="can be fetched for an hour, without a key")
    artifact: str = Field(description="not in OpenAI's API: its id in /api/v1/artifacts")
    seed: int = Field(description="not in OpenAI's API")


class PicturesResponse(BaseModel):
    """The answer of all three addresses."""

    created: int = Field(description="seconds since 1970")
    data: list[Picture]
    background: Literal["transparent", "opaque"]
    output_format: Literal["png", "webp", "jpeg", "svg"]
    quality: Literal["low", "medium", "high"]
    size: str
    usage: PictureUsage
