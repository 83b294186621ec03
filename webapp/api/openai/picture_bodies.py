"""What a caller of /v1/images may send, as OpenAI's API names it. What it means to us is in `picture_translation.py`.

As in `bodies.py` only shapes are checked here; ranges come from the contract's ImageRequest.
"""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from webapp.api.openai.bodies import OpenBody

Background = Annotated[str, StringConstraints(pattern=r"^(transparent|opaque|auto|#[0-9a-fA-F]{6})$")]


class PictureBody(OpenBody):
    """What all three addresses take; null means that it is left out."""

    model: str | None = Field(default=None, description="an image net from /v1/models; `mosaic` when left out")
    n: int | None = Field(default=None, description="how many pictures, 1 to 8")
    size: Literal["auto", "512x512", "1024x1024"] | None = Field(default=None, description="auto is 512x512")
    response_format: Literal["b64_json", "url"] | None = Field(
        default=None, description="b64_json when left out; a url can be fetched for an hour, without a key"
    )
    output_format: Literal["png", "webp", "jpeg", "svg"] | None = Field(
        default=None, description="png when left out; svg is the picture traced in few colours"
    )
    background: Background | None = Field(
        default=None, description="transparent, opaque or auto, which are white, or (not in OpenAI's API) #rrggbb"
    )
    quality: Literal["auto", "low", "medium", "high", "standard", "hd"] | None = Field(
        default=None, description="how much care: low, medium (also auto and standard) or high (also hd)"
    )
    seed: int | None = Field(default=None, description="not in OpenAI's API: the same seed gives the same pictures")
    style: str | None = Field(default=None, description="one of the net's styles; its first when left out")
    negative_prompt: str | None = Field(default=None, description="not in OpenAI's API")
    num_steps: int | None = Field(default=None, description="not in OpenAI's API: instead of what quality means")
    guidance: float | None = Field(default=None, description="not in OpenAI's API: instead of what quality means")


class _Streamed(PictureBody):
    prompt: str
    stream: bool | None = None
    partial_images: int | None = Field(
        default=None, ge=0, le=3, description="with stream: how many previews of each picture to send at most"
    )


class ImageBody(_Streamed):
    """The body of /v1/images/generations."""


class EditForm(_Streamed):
    """The fields of /v1/images/edits beside its files."""

    model_config = ConfigDict(strict=False)  # a form holds texts alone

    strength: float | None = Field(
        default=None, description="not in OpenAI's API: how much is drawn anew, 0 to 1; 1 with a mask, else 0.6"
    )


class VariationForm(PictureBody):
    """The fields of /v1/images/variations beside its file."""

    model_config = ConfigDict(strict=False)

    prompt: str | None = Field(
        default=None,
        description="not in OpenAI's API; when left out, a picture made in this workspace brings its own, and any "
        "other one is varied without",
    )
    strength: float | None = Field(default=None, description="not in OpenAI's API: 0.5 when left out")
