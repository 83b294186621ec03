"""From a body of /v1/images in OpenAI's words to the contract's ImageRequest; what cannot be served is refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from genworkers.contract.image import ImageRequest
from webapp.api.openai.picture_bodies import EditForm, ImageBody, PictureBody, VariationForm
from webapp.api.openai.translation import renamed, unknown_fields, wrong
from webapp.errors import allowed_of, invalid_fields, invalid_request

PRESET_OF = {"low": "draft", "high": "fine", "hd": "fine"}
QUALITY_OF: Mapping[str, Literal["low", "medium", "high"]] = {"draft": "low", "standard": "medium", "fine": "high"}
OPAQUE = "#ffffff"
VARIATION_STRENGTH = 0.5
# Guidance 0 leads away from the words as far as the net can: the picture alone says what comes.
WORDLESS = {"prompt": "a picture", "guidance": 0.0}

# Field to the values that ask for nothing. Any other value would change what comes back.
UNSUPPORTED: Mapping[str, tuple[Any, ...]] = {
    "complexity": (),
    "frame_count": (),
    "frame_duration_ms": (),
    "input_fidelity": ("low",),
    "markup": (),
    "moderation": ("auto",),
    "output_compression": (100, "100"),
    "svg": (),
}
_NAME_AS_SENT = {"num_images": "n", "net": "model", "size_px": "size", "preset": "quality"}
_SAME_NAME = ("seed", "style", "negative_prompt", "num_steps", "guidance", "background")


@dataclass(frozen=True)
class PictureCall:
    """One call of /v1/images: the checked request, and how its answer is to look."""

    request: ImageRequest
    event_prefix: Literal["image_generation", "image_edit"]
    output_format: Literal["png", "webp", "jpeg", "svg"]
    has_urls: bool
    is_stream: bool
    num_partials: int
    ignored: tuple[str, ...]

    @property
    def quality(self) -> Literal["low", "medium", "high"]:
        """The preset in OpenAI's words."""
        return QUALITY_OF[self.request.preset]


def generation_call(body: ImageBody) -> PictureCall:
    """The call that a body of /v1/images/generations means.

    Raises:
        AppError: invalid_request or unsupported_parameter, naming the field as the caller wrote it.
    """
    return _call(body, {"prompt": body.prompt}, "image_generation")


def edit_call(form: EditForm, *, start_image: str, mask: str | None, ignored: tuple[str, ...]) -> PictureCall:
    """The call that a form of /v1/images/edits means.

    Args:
        start_image: the id of the upload to begin with.
        mask: the id of the upload that says what to draw anew.
        ignored: files without effect.

    Raises:
        AppError: invalid_request or unsupported_parameter, naming the field as the caller wrote it.
    """
    strength = form.strength if form.strength is not None or mask is None else 1.0
    fields = {"prompt": form.prompt, "start_image": start_image, "mask": mask, "strength": strength}
    return _call(form, fields, "image_edit", ignored)


def variation_call(form: VariationForm, *, start_image: str, known: Mapping[str, Any]) -> PictureCall:
    """The call that a form of /v1/images/variations means.

    Args:
        start_image: the id of the upload or the artifact to vary.
        known: prompt, net and style that the picture was made with, if it was made here; else empty.

    Raises:
        AppError: invalid_request or unsupported_parameter, naming the field as the caller wrote it.
    """
    if form.prompt:
        words: Mapping[str, Any] = {"prompt": form.prompt}
    elif known and form.model not in (None, known.get("net")):
        words = {"prompt": known["prompt"]}  # another net may not have that style
    else:
        words = known or WORDLESS
    strength = VARIATION_STRENGTH if form.strength is None else form.strength
    fields = {**words, "start_image": start_image, "strength": strength}
    return _call(form, fields, "image_edit")


def _call(
    body: PictureBody,
    fields: Mapping[str, Any],
    event_prefix: Literal["image_generation", "image_edit"],
    ignored: tuple[str, ...] = (),
) -> PictureCall:
    output_format = body.output_format or "png"
    is_stream = bool(getattr(body, "stream", None))
    _check_fits(body, output_format, is_stream=is_stream)
    ignored += tuple(unknown_fields(body, "", UNSUPPORTED))
    wanted = {name: getattr(body, name) for name in _SAME_NAME}
    wanted |= {"net": body.model, "num_images": body.n, "preset": PRESET_OF.get(body.quality or "", "standard")}
    wanted |= {"size_px": 1024 if body.size == "1024x1024" else 512}
    wanted |= {"background": _background(body.background)}
    given = {name: value for source in (fields, wanted) for name, value in source.items() if value is not None}
    try:
        request = ImageRequest.model_validate(given)
    except ValidationError as error:
        problems = invalid_request(error, allowed_of(ImageRequest)).problems
        raise invalid_fields([renamed(problem, _NAME_AS_SENT) for problem in problems]) from error
    return PictureCall(
        request=request,
        event_prefix=event_prefix,
        output_format=output_format,
        has_urls=body.response_format == "url",
        is_stream=is_stream,
        num_partials=getattr(body, "partial_images", None) or 0,
        ignored=ignored,
    )


def _background(asked: str | None) -> str:
    return OPAQUE if asked in (None, "opaque", "auto") else str(asked)


def _check_fits(body: PictureBody, output_format: str, *, is_stream: bool) -> None:
    if output_format == "jpeg" and body.background == "transparent":
        raise wrong("output_format", "value_error", "JPEG has no transparency", "jpeg", "png, webp or svg")
    if not is_stream:
        return
    if output_format == "svg":
        raise wrong("output_format", "value_error", "a stream cannot carry SVG", "svg", "png, webp or jpeg")
    if body.response_format == "url":
        raise wrong("response_format", "value_error", "a stream carries the pictures themselves", "url", "b64_json")
