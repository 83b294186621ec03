"""A policy: what follows from scores, what it may be, and what it amounts to when the defaults have moved on."""

from typing import Any

import pytest
from pydantic import ValidationError

from genworkers.contract.safety import TEXT_CATEGORIES, Category, Screening
from tests.steady_policy import STEADY
from webapp.errors import AppError
from webapp.safety import policy
from webapp.safety.policy import Policy
from webapp.safety.rules import Stage
from webapp.safety.services import refusal_of

pytestmark = pytest.mark.usefixtures("steady_policy")


def changed(**thresholds: dict[str, Any]) -> Policy:
    """The default with other thresholds: `changed(prompt={"hate": {"block_at": 0.5}})`."""
    data = STEADY.model_dump()
    for stage, categories in thresholds.items():
        for category, fields in categories.items():
            data[stage][category] |= fields
    return Policy.model_validate(data)


def scored(**scores: float) -> Screening:
    """What a net said; `sexual_minors` stands for `sexual/minors`."""
    names: dict[str, Category] = {name.replace("/", "_").replace("-", "__"): name for name in TEXT_CATEGORIES}
    return Screening(screen="text net", version="1/ab", scores={names[name]: score for name, score in scores.items()})


@pytest.mark.parametrize(
    ("score", "action"),
    [
        (0.0, "allow"),
        (0.4999, "allow"),
        (0.5, "flag"),
        (0.8, "review"),
        (0.9499, "review"),
        (0.95, "block"),
        (1, "block"),
    ],
)
def test_a_score_reaches_the_severest_threshold_at_or_below_it(score: float, action: str) -> None:
    assert policy.judge(scored(hate=score), "prompt", STEADY, number=3).action == action


def test_a_threshold_that_is_left_out_never_fires() -> None:
    only_flagged = changed(prompt={"hate": {"review_at": None, "block_at": None}})
    assert policy.judge(scored(hate=1.0), "prompt", only_flagged, number=1).action == "flag"


def test_the_severest_category_wins_and_each_that_fired_is_named_in_that_order() -> None:
    result = policy.judge(scored(hate=0.55, harassment=0.85, violence=0.7, sexual=0.1), "output", STEADY, number=2)
    assert (result.action, result.matched) == ("review", ["harassment", "violence", "hate"])
    assert result.scores == {"hate": 0.55, "harassment": 0.85, "violence": 0.7, "sexual": 0.1}
    assert (result.screen, result.version, result.policy_number) == ("text net", "1/ab", 2)


def test_what_concerns_minors_is_blocked_early_and_never_held() -> None:
    for score in (0.2, 0.5, 1.0):
        assert policy.judge(scored(sexual_minors=score), "prompt", STEADY, number=0).action == "block"
    assert policy.judge(scored(sexual_minors=0.19), "prompt", STEADY, number=0).action == "allow"


def test_nothing_may_be_kept_where_minors_block_and_only_there() -> None:
    flagging = changed(prompt={"sexual/minors": {"flag_at": 0.1}})
    flagged = policy.judge(scored(hate=0.97, sexual_minors=0.15), "prompt", flagging, number=1)
    assert (flagged.action, flagged.matched, flagged.may_be_kept) == ("block", ["hate", "sexual/minors"], True)
    assert "refuses the prompt: hate." in refusal_of(flagged)
    blocked = policy.judge(scored(hate=0.97, sexual_minors=0.3), "prompt", flagging, number=1)
    assert (blocked.matched, blocked.may_be_kept) == (["hate", "sexual/minors"], False)
    assert "taken for sexual content with minors" in refusal_of(blocked)


def test_self_harm_is_never_blocked() -> None:
    for stage in ("prompt", "output"):
        assert policy.judge(scored(self__harm=1.0), stage, STEADY, number=0).action == "review"


def test_categories_that_a_stage_does_not_know_have_no_say() -> None:
    result = policy.judge(scored(hate=1.0), "input", STEADY, number=0)
    assert (result.action, result.matched) == ("allow", [])


def test_the_default_is_a_policy_that_may_be_put_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    policy.check(STEADY)
    monkeypatch.undo()
    policy.check(policy.DEFAULT)
    assert policy.DEFAULT is not STEADY


@pytest.mark.parametrize(
    ("thresholds", "field", "value", "allowed"),
    [
        ({"prompt": {"hate": {"review_at": 0.3}}}, "thresholds.prompt.hate.review_at", "0.3", "0.5 to 1"),
        (
            {"output": {"hate": {"review_at": None, "block_at": 0.4}}},
            "thresholds.output.hate.block_at",
            "0.4",
            "0.5 to 1",
        ),
        (
            {"prompt": {"sexual/minors": {"block_at": 0.21}}},
            "thresholds.prompt.sexual/minors.block_at",
            "0.21",
            "0 to 0.2",
        ),
        (
            {"output": {"sexual/minors": {"block_at": None}}},
            "thresholds.output.sexual/minors.block_at",
            "null",
            "0 to 0.2",
        ),
        ({"prompt": {"sexual/minors": {"review_at": 0.1}}}, "thresholds.prompt.sexual/minors.review_at", "0.1", "null"),
        ({"prompt": {"self-harm": {"block_at": 0.99}}}, "thresholds.prompt.self-harm.block_at", "0.99", "null"),
        ({"prompt": {"self-harm": {"flag_at": None}}}, "thresholds.prompt.self-harm.flag_at", "null", "0 to 1"),
    ],
)
def test_a_wrong_policy_names_field_value_and_range(
    thresholds: dict[str, Any], field: str, value: str, allowed: str
) -> None:
    with pytest.raises(AppError) as caught:
        policy.check(changed(**thresholds))
    assert caught.value.code == "invalid_request"
    found = [(problem["field"], problem["value"], problem["allowed"]) for problem in caught.value.problems]
    assert found == [(field, value, allowed)]


def test_minors_may_be_tightened() -> None:
    tight = changed(prompt={"sexual/minors": {"block_at": 0.05}})
    policy.check(tight)
    assert policy.judge(scored(sexual_minors=0.06), "prompt", tight, number=1).action == "block"


def test_a_policy_that_leaves_a_category_out_is_refused() -> None:
    data = STEADY.model_dump()
    del data["input"]["nudity"]
    with pytest.raises(AppError, match="names every category") as caught:
        policy.check(Policy.model_validate(data))
    assert caught.value.problems[0]["field"] == "thresholds.input.nudity"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("prompt", "weapons"), {}),
        (("prompt", "hat"), {}),
        (("training",), {}),
        (("prompt", "hate"), {"block_at": 1.01}),
        (("prompt", "hate"), {"block_at": -0.01}),
        (("prompt", "hate"), {"block_at": float("nan")}),
        (("prompt", "hate"), {"block_at": "0.5"}),
        (("prompt", "hate"), {"ban_at": 0.5}),
        (("prompt", "hate"), 0.5),
    ],
)
def test_an_unknown_stage_category_field_or_number_is_no_policy(path: tuple[str, ...], value: object) -> None:
    data: dict[str, Any] = STEADY.model_dump()
    place = data
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    with pytest.raises(ValidationError):
        Policy.model_validate(data)


def test_a_stored_policy_gets_new_categories_and_keeps_what_may_not_be_loosened() -> None:
    stored = changed(prompt={"hate": {"block_at": 0.97}}).model_dump()
    del stored["output"]["illicit"]
    stored["prompt"]["sexual/minors"] = {"flag_at": None, "review_at": 0.1, "block_at": 0.6}
    now = policy.in_force(stored)
    policy.check(now)
    assert now.prompt["hate"].block_at == 0.97
    assert now.output["illicit"] == STEADY.output["illicit"]
    assert now.prompt["sexual/minors"] == STEADY.prompt["sexual/minors"]
    for own, today in ((0.05, 0.05), (0.0, 0.0), (None, 0.2)):
        stored["prompt"]["sexual/minors"]["block_at"] = own
        assert policy.in_force(stored).prompt["sexual/minors"].block_at == today


def test_changes_are_listed_with_their_direction() -> None:
    after = changed(prompt={"hate": {"block_at": 0.9}}, output={"weapons": {"flag_at": None, "review_at": 0.7}})
    found = [(one.stage, one.category, one.field, one.is_tighter) for one in policy.changes(STEADY, after)]
    stage: Stage = "prompt"
    assert found == [
        (stage, "hate", "block_at", True),
        ("output", "weapons", "flag_at", False),
        ("output", "weapons", "review_at", True),
    ]
    assert policy.changes(after, after) == []
