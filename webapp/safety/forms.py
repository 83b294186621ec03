"""The policy as a form: three numbers for each category and stage, an empty one meaning never."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from genworkers.contract.safety import Category
from webapp.errors import AppError, invalid_fields, problem
from webapp.safety.policy import (
    CATEGORIES_OF_STAGE,
    CATEGORY_WORDS,
    FIELDS,
    STAGES,
    SUPPORTED,
    ZERO_TOLERANCE,
    Change,
    Policy,
)
from webapp.safety.rules import Stage as StageName

WORDS_OF_FIELD = {"flag_at": "flag", "review_at": "review", "block_at": "block"}


@dataclass(frozen=True)
class Cell:
    """One threshold as it is shown: `name` is `thresholds.stage.category.threshold`."""

    name: str
    label: str
    value: str
    problem: str
    is_fixed: bool


@dataclass(frozen=True)
class Row:
    """The three thresholds of one category."""

    title: str
    hint: str
    cells: list[Cell]


@dataclass(frozen=True)
class Stage:
    """One stage with all its categories; open where something is wrong in it."""

    name: str
    title: str
    rows: list[Row]

    @property
    def has_problem(self) -> bool:
        """Whether any of its numbers is refused."""
        return any(cell.problem for row in self.rows for cell in row.cells)


TITLE_OF_STAGE: dict[StageName, str] = {"prompt": "Prompts", "input": "Given pictures", "output": "Results"}
HINTS: dict[Category, str] = {
    ZERO_TOLERANCE: "Always blocked and never kept. May be tightened, not loosened.",
    SUPPORTED: "Never blocked. Whoever writes of it sees a supportive note.",
}


def stages_of(policy: Policy) -> list[Stage]:
    """The form of a policy."""
    values = {
        f"thresholds.{stage}.{category}.{name}": _shown(getattr(policy.of(stage)[category], name))
        for stage in STAGES
        for category in CATEGORIES_OF_STAGE[stage]
        for name in FIELDS
    }
    return _stages(values, {})


def problems_of(error: AppError) -> dict[str, str]:
    """What is wrong with each field, and what is allowed."""
    return {
        one["field"]: one["message"] + (f" (allowed: {one['allowed']})" if one["allowed"] else "")
        for one in error.problems
    }


def typed_stages(posted: Mapping[str, str], error: AppError) -> list[Stage]:
    """The form as it was typed, with what is wrong beside each number."""
    return _stages(posted, problems_of(error))


def _stages(values: Mapping[str, str], problems: Mapping[str, str]) -> list[Stage]:
    def cell(stage: StageName, category: Category, name: str) -> Cell:
        full = f"thresholds.{stage}.{category}.{name}"
        fixed = {(ZERO_TOLERANCE, "review_at"), (SUPPORTED, "block_at")}
        is_fixed = (category, name) in fixed
        label = f"{TITLE_OF_STAGE[stage]}, {CATEGORY_WORDS[category]}: {WORDS_OF_FIELD[name]} from"
        return Cell(full, label, values.get(full, ""), problems.get(full, ""), is_fixed)

    return [
        Stage(
            stage,
            TITLE_OF_STAGE[stage],
            [
                Row(CATEGORY_WORDS[category], HINTS.get(category, ""), [cell(stage, category, name) for name in FIELDS])
                for category in CATEGORIES_OF_STAGE[stage]
            ],
        )
        for stage in STAGES
    ]


def parse(posted: Mapping[str, str]) -> Policy:
    """The policy that was typed. What it may be is checked by `policy.check`.

    Raises:
        AppError: invalid_request, for what is no number from 0 to 1.
    """
    problems: list[dict[str, Any]] = []
    stages: dict[str, dict[str, dict[str, float | None]]] = {}
    for stage in STAGES:
        stages[stage] = {}
        for category in CATEGORIES_OF_STAGE[stage]:
            numbers: dict[str, float | None] = {}
            for name in FIELDS:
                field = f"thresholds.{stage}.{category}.{name}"
                try:
                    numbers[name] = _number(posted.get(field, ""))
                except ValueError as error:
                    allowed = "0 to 1, or empty for never"
                    problems.append(problem(field, "value_error", str(error), posted[field], allowed))
            stages[stage][category] = numbers
    if problems:
        raise invalid_fields(problems)
    return Policy.model_validate(stages)


def _number(text: str) -> float | None:
    text = text.strip().replace(",", ".")
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        raise ValueError("write a number, such as 0.8") from None
    if not 0.0 <= number <= 1.0 or math.isnan(number):
        raise ValueError("a score is never outside of 0 to 1")
    return number


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def words_of_change(change: Change) -> str:
    """Which threshold a change is about, as a person says it."""
    return f"{TITLE_OF_STAGE[change.stage]}, {CATEGORY_WORDS[change.category]}, {WORDS_OF_FIELD[change.field]}"
