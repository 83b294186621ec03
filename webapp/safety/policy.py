"""What follows from a score: a workspace's thresholds for each category and stage, and what they may be. No database.

A category is allowed below all of its thresholds, and flagged, sent to review or blocked from the one on that its
score reaches. Two categories are not the workspace's alone to decide: see `check`.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from genworkers.contract.base import Strict
from genworkers.contract.safety import (
    PICTURE_CATEGORIES,
    TEXT_CATEGORIES,
    Category,
    PictureCategory,
    Probability,
    Screening,
    TextCategory,
)
from webapp.errors import invalid_fields, problem
from webapp.safety.models import Action
from webapp.safety.rules import SEVERITY, ScreenResult, Stage

STAGES: tuple[Stage, ...] = get_args(Stage)
CATEGORIES_OF_STAGE: dict[Stage, tuple[Category, ...]] = {
    "prompt": TEXT_CATEGORIES,
    "input": PICTURE_CATEGORIES,
    "output": TEXT_CATEGORIES + PICTURE_CATEGORIES,
}
FIELDS = ("flag_at", "review_at", "block_at")
ACTION_OF_FIELD = {"flag_at": Action.FLAG, "review_at": Action.REVIEW, "block_at": Action.BLOCK}

# Blocked and never kept, whatever a workspace wishes.
ZERO_TOLERANCE: Category = "sexual/minors"
# Whoever writes of it needs help, not a wall.
SUPPORTED: Category = "self-harm"

CATEGORY_WORDS: dict[Category, str] = {
    "sexual": "sexual content",
    "hate": "hate",
    "violence": "violence",
    "harassment": "harassment",
    "self-harm": "self-harm",
    "sexual/minors": "sexual content with minors",
    "hate/threatening": "hate with threats",
    "violence/graphic": "graphic violence",
    "illicit": "illicit acts",
    "weapons": "weapons",
    "gestures": "gestures",
    "alcohol-tobacco": "alcohol and tobacco",
    "gambling": "gambling",
    "death": "death",
    "medical": "medical matters",
    "religion": "religious symbols",
    "nations": "national symbols",
    "nudity": "nudity",
}
STAGE_WORDS: dict[Stage, str] = {"prompt": "the prompt", "input": "a given picture", "output": "the result"}
SUPPORT_NOTE = (
    "If you are going through something hard, you do not have to carry it alone. Talking to somebody you trust or to a "
    "helpline can help: findahelpline.com lists free and confidential ones by country. If you are in danger now, call "
    "the emergency number of the place where you are."
)


class Thresholds(Strict):
    """From which score on a category is flagged, sent to review, blocked; null: never."""

    flag_at: Probability | None = None
    review_at: Probability | None = None
    block_at: Probability | None = None

    def action(self, score: float) -> str:
        """The severest action whose threshold this score reaches."""
        reached = [name for name in FIELDS if (value := getattr(self, name)) is not None and score >= value]
        return ACTION_OF_FIELD[reached[-1]].value if reached else Action.ALLOW.value


class Policy(Strict):
    """The thresholds of every category: for prompts, for given pictures, and for what the nets make."""

    prompt: dict[TextCategory, Thresholds]
    input: dict[PictureCategory, Thresholds]
    output: dict[Category, Thresholds]

    def of(self, stage: Stage) -> Mapping[Category, Thresholds]:
        """The thresholds of one stage."""
        thresholds: Mapping[Category, Thresholds] = getattr(self, stage)
        return thresholds


def _thresholds(flag_at: float | None, review_at: float | None, block_at: float | None) -> Thresholds:
    return Thresholds(flag_at=flag_at, review_at=review_at, block_at=block_at)


# From the precision and recall on the card of the text screen, and so that of the stories that the house's text net
# learned from no prompt of 400 is flagged, and of 200 texts none is blocked and five are held.
_TEXT: dict[Category, Thresholds] = {
    "sexual": _thresholds(0.25, 0.5, 0.95),
    "hate": _thresholds(0.35, 0.5, 0.95),
    "violence": _thresholds(0.45, 0.8, None),
    "harassment": _thresholds(0.4, 0.7, 0.95),
    "self-harm": _thresholds(0.2, 0.5, None),
    "sexual/minors": _thresholds(None, None, 0.25),
    "hate/threatening": _thresholds(0.25, 0.55, 0.95),
    "violence/graphic": _thresholds(0.25, 0.5, 0.85),
    "illicit": _thresholds(0.25, 0.5, 0.9),
}
# Where one of 200 harmless stickers is flagged, and one of 1,000 held; death higher, for game characters look like it.
# No screen knows nations or nudity so far.
_PICTURE: dict[Category, Thresholds] = {
    "weapons": _thresholds(0.82, None, None),
    "gestures": _thresholds(0.15, 0.5, None),
    "alcohol-tobacco": _thresholds(0.41, None, None),
    "gambling": _thresholds(0.2, None, None),
    "death": _thresholds(0.4, None, None),
    "medical": _thresholds(0.31, None, None),
    "religion": _thresholds(0.15, None, None),
    "nations": _thresholds(0.5, None, None),
    "nudity": _thresholds(0.5, 0.8, None),
}
DEFAULT = Policy.model_validate({"prompt": _TEXT, "input": _PICTURE, "output": _TEXT | _PICTURE})


@dataclass(frozen=True)
class Change:
    """One threshold that differs between two policies."""

    stage: Stage
    category: Category
    field: str
    before: float | None
    after: float | None

    @property
    def is_tighter(self) -> bool:
        """Whether more is caught than before."""
        return self.before is None or (self.after is not None and self.after < self.before)


def judge(screening: Screening, stage: Stage, policy: Policy, *, number: int) -> ScreenResult:
    """The verdict of a policy on the scores of one net; the severest category wins.

    Args:
        number: of the policy's version, kept with the verdict.

    Returns:
        A result whose `matched` holds the categories that fired, severest first.
    """
    thresholds = policy.of(stage)
    scores = {category: score for category, score in screening.scores.items() if category in thresholds}
    actions = {category: thresholds[category].action(score) for category, score in scores.items()}
    fired = [category for category, action in actions.items() if action != Action.ALLOW]
    fired.sort(key=lambda category: (-SEVERITY[actions[category]], -scores[category]))
    return ScreenResult(
        action=actions[fired[0]] if fired else Action.ALLOW.value,
        screen=screening.screen,
        version=screening.version,
        stage=stage,
        matched=list(fired),
        scores={str(category): score for category, score in screening.scores.items()},
        policy_number=number,
        may_be_kept=actions.get(ZERO_TOLERANCE) != Action.BLOCK,
    )


def in_force(stored: Mapping[str, Any]) -> Policy:
    """The policy that a stored one amounts to today.

    Categories that are newer than it get the default, and what may not be loosened is at least as tight as the
    default, also where the default became tighter since.
    """
    stages: dict[str, dict[str, Any]] = {}
    for stage in STAGES:
        kept = {name: stored[stage][name] for name in CATEGORIES_OF_STAGE[stage] if name in stored.get(stage, {})}
        stages[stage] = DEFAULT.model_dump()[stage] | kept
        own = stages[stage].get(ZERO_TOLERANCE)
        if own is not None:
            floor, block_at = _floor(stage), own["block_at"]
            block_at = floor if block_at is None else min(floor, block_at)
            stages[stage][ZERO_TOLERANCE] = own | {"block_at": block_at, "review_at": None}
    return Policy.model_validate(stages)


def _floor(stage: Stage) -> float:
    block_at = DEFAULT.of(stage)[ZERO_TOLERANCE].block_at
    if block_at is None:
        raise ValueError(f"the default policy must block {ZERO_TOLERANCE} at the stage {stage}")
    return block_at


def changes(before: Policy, after: Policy) -> list[Change]:
    """Every threshold that differs, in the order of stages and categories."""
    return [
        Change(stage, category, name, old, new)
        for stage in STAGES
        for category in CATEGORIES_OF_STAGE[stage]
        for name in FIELDS
        if (old := getattr(before.of(stage)[category], name)) != (new := getattr(after.of(stage)[category], name))
    ]


def check(policy: Policy) -> None:
    """Refuse a policy that is incomplete, out of order, or loosens what may not be loosened.

    Raises:
        AppError: invalid_request, naming each field as `thresholds.stage.category.threshold`.
    """
    problems = list(_problems(policy))
    if problems:
        raise invalid_fields(problems)


def _problems(policy: Policy) -> Iterator[dict[str, Any]]:
    for stage in STAGES:
        for category in CATEGORIES_OF_STAGE[stage]:
            field = f"thresholds.{stage}.{category}"
            own = policy.of(stage).get(category)
            if own is None:
                yield problem(field, "missing", "this is needed: a policy names every category", "", "three thresholds")
                continue
            yield from _out_of_order(field, own)
            if category == ZERO_TOLERANCE:
                yield from _loosened(field, own, _floor(stage))
            if category == SUPPORTED:
                yield from _walled(field, own, stage)


def _out_of_order(field: str, own: Thresholds) -> Iterator[dict[str, Any]]:
    given = [(name, value) for name in FIELDS if (value := getattr(own, name)) is not None]
    for (lower, low), (upper, high) in itertools.pairwise(given):
        if low > high:
            message = f"{upper} lies below {lower}: the severer the action, the higher its threshold"
            yield problem(f"{field}.{upper}", "threshold_out_of_order", message, high, f"{low:g} to 1")


def _loosened(field: str, own: Thresholds, floor: float) -> Iterator[dict[str, Any]]:
    if own.block_at is None or own.block_at > floor:
        message = "this may be tightened, but not loosened"
        yield problem(f"{field}.block_at", "threshold_too_loose", message, own.block_at, f"0 to {floor:g}")
    if own.review_at is not None:
        message = "nothing of this is kept, so nobody reviews it; lower block_at instead"
        yield problem(f"{field}.review_at", "threshold_not_allowed", message, own.review_at, "null")


def _walled(field: str, own: Thresholds, stage: Stage) -> Iterator[dict[str, Any]]:
    if own.block_at is not None:
        message = "whoever writes of it is not shut out: hold it for review instead"
        yield problem(f"{field}.block_at", "threshold_not_allowed", message, own.block_at, "null")
    if stage == "prompt" and own.flag_at is None:
        message = "from here on the person sees a supportive note, so it is needed"
        yield problem(f"{field}.flag_at", "threshold_too_loose", message, own.flag_at, "0 to 1")


def in_words(categories: list[str]) -> str:
    """Category names as a person says them; a name that is no longer known stays as it is."""
    words = {str(category): words for category, words in CATEGORY_WORDS.items()}
    return ", ".join(words.get(name, name) for name in categories)
