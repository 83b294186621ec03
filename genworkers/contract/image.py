"""A request for pictures, and what is known about each."""

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from genworkers.contract.base import MAX_SEED, Request, Strict, without_controls

MAX_IMAGES = 8
# What a preset means: rounds in which the tiles are decided, and how closely to follow the prompt.
PRESETS = {"draft": (6, 1.5), "standard": (12, 2.0), "fine": (24, 2.5)}

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
    to_prompt: Annotated[str, AfterValidator(without_controls)] = Field(
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


class ImageRequest(Request):
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
    negative_prompt: Annotated[str, AfterValidator(without_controls)] = Field(
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
