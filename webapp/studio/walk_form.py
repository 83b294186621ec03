"""The form of the page Drift: what it shows, what was typed, what that means as a request and what is wrong with it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from genworkers.contract.image import ImageRequest, Walk
from genworkers.contract.manifests import NetManifest
from webapp.errors import AppError, allowed_of, invalid_fields, invalid_request
from webapp.studio import parameters
from webapp.studio.parameters import COLOUR, PICKED, FieldError, written
from webapp.studio.prompt_bar import WORDS_OF_CODE

WORDS, PICTURE, MAP = "words", "picture", "map"
PERCENT = "0 to 100"
SOME_PICTURE = "a picture"
# What the contract calls differently from this form.
FIELD_OF_PROBLEM = {
    "prompt": "from_prompt",
    "start_image": "from_picture",
    "map_point": "from_right",
    "map_point.0": "from_right",
    "map_point.1": "from_down",
    "walk.end_image": "to_picture",
    "walk.end_point": "to_right",
    "walk.end_point.0": "to_right",
    "walk.end_point.1": "to_down",
}
OF_END = ("prompt", "picture", "right", "down")
OF_WALK = ("direction", "distance", "num_frames", "fps", "file_format")
OF_PICTURE = ("style", "seed", "background")
DEFAULTS = {
    "route": "between",
    "from": WORDS,
    "from_right": "50",
    "from_down": "50",
    "to": WORDS,
    "to_right": "75",
    "to_down": "25",
    "is_loop": "on",
} | {
    name: written(model.model_fields[name].get_default())
    for model, names in ((Walk, OF_WALK), (ImageRequest, OF_PICTURE))
    for name in names
}


@dataclass(frozen=True)
class Field:
    """One field as the page needs it; title, description and range are the contract's."""

    name: str
    value: str
    title: str = ""
    description: str = ""
    allowed: str = ""
    error: FieldError | None = None


@dataclass(frozen=True)
class End:
    """One end of a walk: where it lies (`source`: words, picture or map) and the fields of all three."""

    which: str
    source: str
    prompt: Field
    picture: Field
    right: Field
    down: Field


@dataclass(frozen=True)
class WalkForm:
    """Everything that was typed, by the form's own names, and what is wrong with it."""

    net: NetManifest
    values: Mapping[str, str]
    errors: Mapping[str, FieldError] = field(default_factory=dict)
    error: AppError | None = None

    @property
    def fields(self) -> dict[str, Field]:
        """The fields that stand apart from the two ends, by name."""
        made = {}
        for model, names, allowed in (
            (Walk, OF_WALK, allowed_of(Walk)),
            (ImageRequest, OF_PICTURE, parameters.allowed_of("image")),
        ):
            for name in names:
                info = model.model_fields[name]
                made[name] = self._field(name, info.title or name, info.description or "", allowed[name])
        return made

    @property
    def start(self) -> End:
        """Where it begins."""
        return self._end("from")

    @property
    def goal(self) -> End:
        """Where a walk between two places ends."""
        return self._end("to")

    @property
    def is_loop(self) -> bool:
        """Whether it comes back."""
        return bool(self.values.get("is_loop"))

    @property
    def picked(self) -> str:
        """The colour of the background, or of one to come."""
        background = self.values["background"]
        return background if background.startswith("#") else self.values.get("background" + PICKED, "#ffffff")

    @property
    def chosen_pictures(self) -> list[str]:
        """Ids of the pictures that stand at the ends, as far as they are ids."""
        return [end.picture.value for end in (self.start, self.goal) if _is_id(end.picture.value)]

    @property
    def labels(self) -> list[list[str]]:
        """What the tiles of the map show, row by row; empty where the checkpoint does not say."""
        labels = self.net.config.get("map_labels", [])
        return labels if isinstance(labels, list) else []

    @property
    def labels_json(self) -> str:
        """The same for the page's script."""
        return json.dumps(self.labels, ensure_ascii=False)

    def _field(self, name: str, title: str = "", description: str = "", allowed: str = "") -> Field:
        return Field(name, self.values.get(name, ""), title, description, allowed, self.errors.get(name))

    def _end(self, which: str) -> End:
        return End(which, self.values[which], *(self._field(f"{which}_{name}") for name in OF_END))

    def request(self, prompt_of: Callable[[str], str]) -> ImageRequest:
        """What was asked for: a walk, or the picture at the point of the map.

        Args:
            prompt_of: from the id of a picture to what it was asked for with, for the title of what begins with it.

        Raises:
            AppError: invalid_request, with the contract's names of fields.
        """
        wish: dict[str, Any] = {"net": self.net.name, "style": self.values["style"], "background": self._background()}
        if self.values["seed"].strip():
            wish["seed"] = self.values["seed"].strip()
        is_picture = self.values.get("do") == "picture"
        wish |= self._beginning(MAP if is_picture else self.start.source, prompt_of)
        if not is_picture:
            wish["walk"] = self._walk()
        missing = self._missing(is_picture)
        if missing:
            raise invalid_fields(missing)
        allowed = parameters.allowed_of("image") | {f"walk.{name}": words for name, words in allowed_of(Walk).items()}
        try:
            return ImageRequest.model_validate(wish, strict=False)
        except ValidationError as error:
            raise invalid_request(error, allowed) from error

    def _background(self) -> str:
        return self.picked if self.values["background"] == COLOUR else self.values["background"]

    def _beginning(self, source: str, prompt_of: Callable[[str], str]) -> dict[str, Any]:
        start = self.start
        if source == PICTURE:
            title = prompt_of(start.picture.value) or SOME_PICTURE
            return {"prompt": title[:500], "start_image": start.picture.value.strip()}
        if source == MAP:
            return {"prompt": self._title_of_point(start), "map_point": _point(start)}
        return {"prompt": start.prompt.value}

    def _title_of_point(self, end: End) -> str:
        """What lies at a point, by the label of its tile, or where it is."""
        right, down = _point(end)
        side = len(self.labels)
        if side and isinstance(right, float) and isinstance(down, float) and 0 <= right <= 1 and 0 <= down <= 1:
            row = self.labels[min(int(down * side), side - 1)]
            label = row[min(int(right * len(row)), len(row) - 1)] if row else ""
            if label:
                return f"near {label}"[:500]
        return f"the map at {end.right.value[:8]}, {end.down.value[:8]}"

    def _walk(self) -> dict[str, Any]:
        walk: dict[str, Any] = {"route": self.values["route"], "is_loop": self.is_loop}
        walk |= {name: self.values[name].strip() for name in OF_WALK if self.values[name].strip()}
        if self.values["route"] != "direction":
            walk.pop("direction", None)
            walk.pop("distance", None)
        if self.values["route"] == "between":
            goal = self.goal
            ends = {PICTURE: ("end_image", goal.picture.value.strip()), MAP: ("end_point", _point(goal))}
            name, value = ends.get(goal.source, ("to_prompt", goal.prompt.value))
            walk[name] = value
        return walk

    def _missing(self, is_picture: bool) -> list[dict[str, Any]]:
        """The fields that their choice needs and that are empty; the contract cannot know of the choice."""
        needed = {}
        if not is_picture and self.start.source == PICTURE:
            needed["start_image"] = self.start.picture
        if not is_picture and self.values["route"] == "between":
            goal = self.goal
            needed |= {PICTURE: {"walk.end_image": goal.picture}, WORDS: {"walk.to_prompt": goal.prompt}}.get(
                goal.source, {}
            )
        return [
            {"field": name, "code": "missing", "message": "this is needed", "value": "", "allowed": ""}
            for name, field in needed.items()
            if not field.value.strip()
        ]

    def refused(self, error: AppError) -> "WalkForm":
        """The same form with each problem at its field."""
        errors: dict[str, FieldError] = {}
        for problem in error.problems:
            told = str(problem["field"])
            name = FIELD_OF_PROBLEM.get(told, told.replace("walk.to_", "to_").removeprefix("walk."))
            errors.setdefault(name, self._field_error(name, problem))
        known = {*OF_WALK, *OF_PICTURE, *(f"{which}_{name}" for which in ("from", "to") for name in OF_END)}
        strange = "; ".join(problem.text for name, problem in errors.items() if name not in known)
        is_said = bool(errors) and not strange
        shown = None if is_said else AppError(error.code, error.http_status, strange or error.message)
        return replace(self, errors=errors, error=shown)

    def _field_error(self, name: str, problem: Mapping[str, Any]) -> FieldError:
        """What is wrong in a sentence, with what was typed and the allowed range."""
        code, allowed = str(problem["code"]), str(problem["allowed"])
        value = str(problem["value"])
        if name.endswith(("_right", "_down")):
            value, allowed = self.values.get(name, ""), PERCENT
        words = WORDS_OF_CODE.get(code)
        if name.endswith("_picture") and code == "missing":
            words, value, allowed = "Choose a picture", "", ""
        if words is None:
            message = str(problem["message"])
            words, value = message[:1].upper() + message[1:].removesuffix("."), ""
        text = f"{words}: you gave {value}" if value else words
        return FieldError(f"{text}; allowed: {allowed}." if allowed else f"{text}.", code)


def typed(net: NetManifest, posted: Mapping[str, str]) -> WalkForm:
    """What a form said; a box that is not ticked is not posted."""
    is_loop = posted.get("is_loop", "")
    return WalkForm(net, DEFAULTS | _first_direction(net) | dict(posted) | {"is_loop": is_loop})


def restored(net: NetManifest, request: Mapping[str, Any], *, start: str = "") -> WalkForm:
    """The form as the last request of the person left it; `start` is the id of a picture to begin with instead."""
    values = DEFAULTS | _first_direction(net)
    walk = request.get("walk") or {}
    values |= {name: written(request[name]) for name in ("style", "background") if request.get(name)}
    values |= {name: written(walk[name]) for name in (*OF_WALK, "route") if walk.get(name) not in (None, "")}
    if walk:
        values["is_loop"] = "on" if walk.get("is_loop") else ""
    values |= _end_values("from", request.get("prompt"), start or request.get("start_image"), request.get("map_point"))
    values |= _end_values("to", walk.get("to_prompt"), walk.get("end_image"), walk.get("end_point"))
    return WalkForm(net, values)


def _end_values(which: str, prompt: str | None, picture: str | None, point: list[float] | None) -> dict[str, str]:
    if picture:
        return {which: PICTURE, f"{which}_picture": picture}
    if point:
        right, down = (f"{100 * share:.4g}" for share in point)
        return {which: MAP, f"{which}_right": right, f"{which}_down": down}
    return {which: WORDS, f"{which}_prompt": prompt} if prompt else {}


def _first_direction(net: NetManifest) -> dict[str, str]:
    return {"direction": next(iter(net.directions), "")}


def _point(end: End) -> list[float | str]:
    """Shares of the map, or what was typed where that is no number: the contract's check refuses it."""
    point: list[float | str] = []
    for text in (end.right.value, end.down.value):
        try:
            point.append(float(text.replace(",", ".")) / 100)
        except ValueError:
            point.append(text)
    return point


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
