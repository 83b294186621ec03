"""What the site and the workers agree on: names, requests, events, manifests, limits. Nothing else.

Pydantic models only. The API schema, the studio's form fields and the worker's checks all come from
here; a limit is written once. Both worlds import this module; it imports neither.
"""

import json
import re
import unicodedata
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    field_validator,
    model_validator,
)

VERSION = "0.1.0"

TEXT_QUEUE = "text"
IMAGE_QUEUE = "image"
SITE_QUEUE = "site"
GENERATE_TASK_OF_KIND = {"text": "genworkers.generate_text", "image": "genworkers.generate_image"}
QUEUE_OF_KIND = {"text": TEXT_QUEUE, "image": IMAGE_QUEUE}

Kind: TypeAlias = Literal["text", "image"]
KINDS: tuple[Kind, ...] = ("text", "image")

MAX_SEED = 2**63 - 1
MAX_PROMPT_CHARS = 32_000
MAX_MESSAGES = 100
MAX_BODY_BYTES = 524_288
MAX_STOP_STRINGS = 8
MAX_TEXTS = 8
MAX_TEXT_TOKENS = 8192
MAX_LOGPROBS = 20
PART_OF_CHARACTER = "bytes:"
MAX_LOGIT_BIASES = 300
MAX_SCHEMA_CHARS = 20_000
MAX_SCHEMA_DEPTH = 64
MAX_IMAGES = 8
# What a preset means: rounds in which the tiles are decided, and how closely to follow the prompt.
PRESETS = {"draft": (6, 1.5), "standard": (12, 2.0), "fine": (24, 2.5)}
# What the nets of a family can be asked for beside a prompt, a style, a seed and a number of pictures.
ABILITIES_OF_FAMILY: dict[str, frozenset[str]] = {
    "mosaic": frozenset({"steps", "negative_prompt", "style_mix", "start_image", "mask", "explain"}),
    "spark": frozenset({"style_mix", "draft"}),
    "drift": frozenset({"style_mix", "start_image", "map_point", "walk"}),
}
# Not shown among the parameters of the studio's form: asked for through the API, or by a page of its own.
API_ONLY_FIELDS = frozenset(
    {"history", "format", "is_truncatable", "logit_bias", "num_logprobs"}
    | {"start_image", "mask", "draft_seed", "is_draft", "map_point", "walk"}
)


class Strict(BaseModel):
    """A closed model: unknown fields and values of a neighbouring type are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


# Unicode categories without ink: separators, controls, formats, surrogates, marks. Unassigned code points are not
# among them: to this Python, an emoji of a newer Unicode is one.
_UNSEEN_CATEGORIES = frozenset({"Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Mn", "Mc", "Me"})
_BLANK_LETTERS = "\u115f\u1160\u2800\u3164\uffa0"  # fillers of Hangul and the empty Braille cell


def _is_visible(char: str) -> bool:
    return unicodedata.category(char) not in _UNSEEN_CATEGORIES and char not in _BLANK_LETTERS


def _without_controls(text: str) -> str:
    for position, char in enumerate(text):
        if unicodedata.category(char) == "Cc" and char not in "\n\r\t":
            raise ValueError(f"remove the control character U+{ord(char):04X} at position {position}")
    return text


def _clean_prompt(prompt: str) -> str:
    if not any(_is_visible(char) for char in prompt):
        raise ValueError("write at least one visible character")
    return _without_controls(prompt)


def _check_json(value: object, depth: int = 0) -> None:
    """Refuse what a database cannot hold: U+0000, half a surrogate pair, nesting without end."""
    if depth > MAX_SCHEMA_DEPTH:
        raise ValueError(f"nest at most {MAX_SCHEMA_DEPTH} levels deep")
    if isinstance(value, str) and any(char == "\0" or "\ud800" <= char <= "\udfff" for char in value):
        raise ValueError("remove the characters U+0000 and U+D800 to U+DFFF: no text holds them")
    children = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        _check_json(child, depth + 1)


class _Request(Strict):
    prompt: str
    seed: int | None = Field(
        default=None,
        ge=0,
        le=MAX_SEED,
        title="Seed",
        description="The same seed and parameters give the same result. Empty picks one for you.",
    )

    @field_validator("prompt")
    @classmethod
    def _prompt_is_printable(cls, prompt: str) -> str:
        return _clean_prompt(prompt)


LogitBias: TypeAlias = Annotated[float, Field(ge=-100.0, le=100.0, allow_inf_nan=False)]


class Message(Strict):
    """One turn of a conversation before the prompt."""

    role: Literal["system", "user", "assistant"]
    content: Annotated[str, StringConstraints(max_length=MAX_PROMPT_CHARS), AfterValidator(_without_controls)]


class TextRequest(_Request):
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
    stop: list[Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(_without_controls)]] = (
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


InputId: TypeAlias = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"),
]
Share: TypeAlias = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]


class Walk(Strict):
    """A way through the latent space of a drift net, drawn as one animation."""

    route: Literal["between", "random", "direction"] = Field(
        default="between",
        title="Route",
        description="between two places, at random from the first, or from it along a direction.",
    )
    to_prompt: Annotated[str, AfterValidator(_without_controls)] = Field(
        default="", max_length=500, title="To", description="Where a walk between two places ends, in words."
    )
    end_image: InputId | None = Field(
        default=None, title="To picture", description="Where it ends, as an upload or a picture of this workspace."
    )
    end_point: Annotated[list[Share], Field(min_length=2, max_length=2)] | None = Field(
        default=None, title="To place", description="Where it ends on the map: right and down, each 0 to 1."
    )
    direction: str = Field(default="", max_length=50, title="Direction", description="One of the net's directions.")
    distance: float = Field(
        default=2.0,
        ge=-5.0,
        le=5.0,
        allow_inf_nan=False,
        title="Distance",
        description="How far to go along the direction, in standard deviations; below 0 is the other way.",
    )
    num_frames: int = Field(default=32, ge=2, le=120, title="Frames", description="How many pictures it has.")
    fps: int = Field(default=12, ge=1, le=30, title="Speed", description="Pictures a second.")
    file_format: Literal["webp", "gif", "mp4"] = Field(default="webp", title="File", description="Kind of file.")
    is_loop: bool = Field(default=True, title="There and back", description="Return to the start, so that it can loop.")

    @model_validator(mode="after")
    def _has_an_end(self) -> Self:
        ends = [bool(self.to_prompt.strip()), self.end_image is not None, self.end_point is not None]
        if self.route == "between" and sum(ends) != 1:
            raise ValueError("a walk between two places needs one end: to_prompt, end_image or end_point")
        if self.route == "direction" and not self.direction:
            raise ValueError("a walk along a direction needs its name in direction")
        return self


class ImageRequest(_Request):
    """Checked parameters of one image job."""

    kind: Literal["image"] = "image"
    prompt: str = Field(
        min_length=1, max_length=500, title="Prompt", description="What to draw.", examples=["a red apple"]
    )
    net: str = Field(default="mosaic", min_length=1, max_length=100, title="Net")
    style: str = Field(
        default="", max_length=50, title="Style", description="The look of the picture; empty takes the net's first."
    )
    style_mix: str = Field(
        default="", max_length=50, title="Second style", description="Mixed into the first; empty mixes none."
    )
    style_mix_frac: float = Field(
        default=0.5,
        ge=0.0,
        le=1.0,
        allow_inf_nan=False,
        title="Share of the second style",
        description="0 is all the first style, 1 all the second.",
    )
    negative_prompt: Annotated[str, AfterValidator(_without_controls)] = Field(
        default="", max_length=500, title="Without", description="What the picture should not show."
    )
    num_images: int = Field(default=1, ge=1, le=MAX_IMAGES, title="Pictures", description="How many pictures to draw.")
    preset: Literal["draft", "standard", "fine"] = Field(
        default="standard", title="Care", description="How much work to put in: sets steps and guidance."
    )
    num_steps: int | None = Field(
        default=None,
        ge=4,
        le=32,
        title="Steps",
        description="Rounds in which the tiles are decided; more is slower and often finer. Empty: as the preset says.",
        json_schema_extra={"unit": "steps"},
    )
    guidance: float | None = Field(
        default=None,
        ge=0.0,
        le=10.0,
        allow_inf_nan=False,
        title="Guidance",
        description="How closely to follow the prompt; 1 is plain, 2 to 3 is usual. Empty: as the preset says.",
    )
    size_px: Literal[512, 1024] = Field(
        default=512,
        title="Size",
        description="Width and height of the file.",
        json_schema_extra={"unit": "px"},
    )
    background: Annotated[str, StringConstraints(pattern=r"^(transparent|#[0-9a-fA-F]{6})$")] = Field(
        default="transparent", title="Background", description="transparent, or a colour like #ffcc00."
    )
    start_image: InputId | None = Field(
        default=None,
        title="Start picture",
        description="Id of an upload, or of a picture of this workspace, to begin with.",
    )
    strength: float = Field(
        default=0.6,
        ge=0.0,
        le=1.0,
        allow_inf_nan=False,
        title="Strength",
        description="Share of the start picture (or of the masked part) that is drawn anew: 0 keeps it, 1 ignores it.",
    )
    mask: InputId | None = Field(
        default=None,
        title="Mask",
        description="Id of an upload of the start picture's size: what is white or transparent is drawn anew.",
    )
    draft_seed: int | None = Field(
        default=None,
        ge=0,
        le=MAX_SEED,
        title="Draft",
        description="Begin with the draft that this prompt and seed give.",
    )
    is_draft: bool = Field(
        default=False, title="Draft only", description="Show the pictures to whoever watches and keep nothing."
    )
    map_point: Annotated[list[Share], Field(min_length=2, max_length=2)] | None = Field(
        default=None, title="Place on the map", description="Right and down, each 0 to 1, on the map of a drift net."
    )
    walk: Walk | None = Field(default=None, title="Walk", description="Draw a walk, as one animation.")

    @model_validator(mode="after")
    def _inputs_fit_together(self) -> Self:
        if self.mask is not None and self.start_image is None:
            raise ValueError("a mask needs the start_image that it lies on")
        starts = {"start_image": self.start_image, "draft_seed": self.draft_seed, "map_point": self.map_point}
        given = [name for name, value in starts.items() if value is not None]
        if len(given) > 1:
            raise ValueError(f"begin in one place, not with {' and '.join(given)}")
        if self.walk is not None and self.num_images != 1:
            raise ValueError(f"a walk is one animation: num_images must be 1, got {self.num_images}")
        return self

    @property
    def steps(self) -> int:
        """Rounds in which the tiles are decided."""
        return PRESETS[self.preset][0] if self.num_steps is None else self.num_steps

    @property
    def guidance_weight(self) -> float:
        """How closely to follow the prompt."""
        return PRESETS[self.preset][1] if self.guidance is None else self.guidance

    @property
    def typed_text(self) -> str:
        """All that its author wrote."""
        to_prompt = "" if self.walk is None else self.walk.to_prompt
        return "\n".join([self.prompt, self.negative_prompt, to_prompt]).rstrip()


GenerationRequest: TypeAlias = Annotated[TextRequest | ImageRequest, Field(discriminator="kind")]
GENERATION_REQUEST: TypeAdapter[TextRequest | ImageRequest] = TypeAdapter(GenerationRequest)


class Queued(Strict):
    """The job waits for a worker; `attempt` counts the runs before."""

    kind: Literal["queued"] = "queued"
    attempt: int = 0
    reason: str = ""


class Started(Strict):
    """A worker holds the job. Whatever an earlier attempt showed is void."""

    kind: Literal["started"] = "started"
    attempt: int
    num_steps: int
    seed: int


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


class TokenLogprob(Strict):
    """One written token: its `token_text`, its log-probability in nats, and the likeliest tokens in its place."""

    token: str
    logprob: float
    top: list[tuple[str, float]] = Field(default_factory=list)


class TextPiece(Strict):
    """The next words of one text of the job, in order; each text's last piece has a `finish_reason`.

    `num_tokens` counts from the start of this attempt.
    """

    kind: Literal["text"] = "text"
    index: int = 0
    text: str
    num_tokens: int
    num_prompt_tokens: int = 0
    finish_reason: str = ""
    logprobs: list[TokenLogprob] = Field(default_factory=list)


class Preview(Strict):
    """One picture after one step, small, as a data URL; undecided tiles are transparent."""

    kind: Literal["preview"] = "preview"
    index: int
    step: int
    num_steps: int
    num_decided: int
    num_tiles: int
    image: str


class Stored(Strict):
    """An artifact is in the gallery."""

    kind: Literal["stored"] = "stored"
    artifact_id: str
    index: int


class Succeeded(Strict):
    """The job ended and everything it made is in the gallery."""

    kind: Literal["succeeded"] = "succeeded"


class Failed(Strict):
    """The job ended without a result; `message` says why and what to do."""

    kind: Literal["failed"] = "failed"
    code: str
    message: str


class Cancelled(Strict):
    """Somebody with the right to do so stopped the job."""

    kind: Literal["cancelled"] = "cancelled"


class Expired(Strict):
    """The deadline passed before the job was done."""

    kind: Literal["expired"] = "expired"


class Blocked(Strict):
    """A rule of the workspace refused the prompt or the result; nothing was kept."""

    kind: Literal["blocked"] = "blocked"
    message: str


class Held(Strict):
    """The result waits for a reviewer; it is stored but not shown."""

    kind: Literal["held"] = "held"
    message: str


JobEvent: TypeAlias = Annotated[
    Queued | Started | TextPiece | Preview | Stored | Succeeded | Failed | Cancelled | Expired | Blocked | Held,
    Field(discriminator="kind"),
]
JOB_EVENT: TypeAdapter[JobEvent] = TypeAdapter(JobEvent)
FINAL_EVENT_KINDS = frozenset({"succeeded", "failed", "cancelled", "expired", "blocked", "held"})


class Explanation(Strict):
    """Which words drew which tiles of one picture.

    `maps` holds, in base64, one uint8 for each word and tile, row by row: 255 where a word had most to say.
    """

    words: list[str]
    grid: int
    maps: str


class Unlikeness(Strict):
    """How unlike what a drift net has learned one picture is: the share of held-out pictures that are more like it."""

    net: str
    percentile_frac: float


class PictureFacts(Strict):
    """What is known about one picture beside its request."""

    explanation: Explanation | None = None
    unlikeness: Unlikeness | None = None


class NetManifest(BaseModel):
    """What stands in `manifest.json` beside the weights: enough to list a net without loading it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    kind: Kind
    family: str
    title: str
    notice: str = ""
    num_parameters: int
    sha256: str
    config: dict[str, Any]
    files: dict[str, dict[str, Any]]
    styles: dict[str, str] = Field(default_factory=dict)
    directions: dict[str, str] = Field(default_factory=dict)
    context_tokens: int = 0
    licences: list[str] = Field(default_factory=list)
    source: dict[str, Any] = Field(default_factory=dict)

    @property
    def abilities(self) -> frozenset[str]:
        """What its family can be asked for: see ABILITIES_OF_FAMILY."""
        return ABILITIES_OF_FAMILY.get(self.family, frozenset())


class AdapterManifest(BaseModel):
    """What stands in `adapter.json` beside a LoRA adapter; `base_sha256` is that of the net it was trained on."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    title: str = ""
    base: str
    base_sha256: str
    rank: int = Field(ge=1)
    alpha: float = Field(gt=0.0, allow_inf_nan=False)
    targets: list[str]
    sha256: str
