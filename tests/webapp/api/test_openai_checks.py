"""/v1/embeddings and /v1/moderations: what a body asks, and how what is wrong with it is told, without a check worker.

What it answers is in tests/bridge/test_openai_checks.py.
"""

from base64 import b64encode
from typing import Any

import pytest
from django.test import Client

from genworkers.contract.checks import MAX_TEXT_CHARS
from genworkers.contract.names import MAX_BODY_BYTES
from genworkers.contract.safety import Screening
from tests.factories import MembershipFactory
from tests.webapp.api.callers import keyed
from tests.webapp.gallery.picture_files import file_of, half_red
from webapp.api.openai import moderations
from webapp.api.openai.moderation_bodies import MAX_MODERATION_BYTES
from webapp.jobs import questions
from webapp.safety.policy import DEFAULT
from webapp.workspaces.models import Membership

pytestmark = pytest.mark.django_db

EMBEDDING: dict[str, Any] = {"model": "all-minilm-l6-v2", "input": "a boat"}
BODY_OF: dict[str, dict[str, Any]] = {"embeddings": EMBEDDING, "moderations": {"input": "a boat"}}


@pytest.fixture
def owner() -> Membership:
    return MembershipFactory.create()


@pytest.fixture
def api(owner: Membership) -> Client:
    return keyed(owner)


def part(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def data_url(data: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{b64encode(data).decode()}"


def refused(api: Client, address: str, body: Any) -> tuple[int, dict[str, Any]]:
    response = api.post(f"/v1/{address}", body, content_type="application/json")
    error: dict[str, Any] = response.json()["error"]
    return response.status_code, error


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"input": ""}, "input[0]", "at least 1"),
        ({"input": ["a", ""]}, "input[1]", "at least 1"),
        ({"input": []}, "input", "at least 1"),
        ({"input": ["a"] * 2049}, "input", "at most 2048"),
        ({"input": 7}, "input", "you sent 7"),
        ({"input": None}, "input", ""),
        ({"input": [None]}, "input[0]", ""),
        ({"input": "\ud800"}, "input[0]", ""),
        ({"dimensions": 256}, "dimensions", "you sent 256; allowed: 384"),
        ({"dimensions": "384"}, "dimensions", "you sent 384"),
        ({"encoding_format": "int8"}, "encoding_format", "you sent int8"),
        ({"model": 3}, "model", "you sent 3"),
    ],
)
def test_a_wrong_value_is_named_with_its_range(api: Client, fields: Any, param: str, words: str) -> None:
    status, error = refused(api, "embeddings", EMBEDDING | fields)
    assert (status, error["code"], error["param"]) == (400, "invalid_request", param)
    assert words in error["message"]


@pytest.mark.parametrize("tokens", [[1, 2], [[1, 2], [3]], ["a", 1]])
def test_token_ids_are_refused_by_name(api: Client, tokens: Any) -> None:
    status, error = refused(api, "embeddings", EMBEDDING | {"input": tokens})
    assert (status, error["code"], error["param"]) == (400, "unsupported_parameter", "input")
    assert "send texts" in error["message"]


def test_an_unknown_model_is_not_found(api: Client) -> None:
    for model in ("text-embedding-3-small", "mosaic"):
        status, error = refused(api, "embeddings", EMBEDDING | {"model": model})
        assert (status, error["code"]) == (404, "model_not_found")
        assert "all-minilm-l6-v2" in error["message"]


@pytest.mark.parametrize("address", ["embeddings", "moderations"])
def test_without_a_check_worker_it_says_when_to_come_back(
    api: Client, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "TAKE_S", 0.1)
    response = api.post(f"/v1/{address}", BODY_OF[address], content_type="application/json")
    assert (response.status_code, response.json()["error"]["code"]) == (503, "checks_unavailable")
    assert response["Retry-After"] == "5"


@pytest.mark.parametrize("address", ["embeddings", "moderations"])
def test_who_may_only_look_may_not_ask(owner: Membership, address: str) -> None:
    viewer = MembershipFactory.create(workspace=owner.workspace, role="viewer")
    for client, status, code in [
        (Client(), 401, "invalid_api_key"),
        (keyed(owner, "read"), 403, "scope_missing"),
        (keyed(viewer), 403, "forbidden"),
    ]:
        told = refused(client, address, BODY_OF[address])
        assert (told[0], told[1]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        (None, "invalid_request", "a text, or a list"),
        (7, "invalid_request", "you sent 7"),
        ([], "invalid_request", "1 to 2048"),
        (["a"] * 2049, "invalid_request", "1 to 2048"),
        (["a", 7], "invalid_request", "part 0 is of type None"),
        ("a" * (MAX_TEXT_CHARS + 1), "invalid_request", "40001 characters; at most 40000"),
        (["\ud800"], "invalid_request", "text 0 has an unpaired surrogate"),
        ([{"type": "text"}], "invalid_request", "part 0 has no text"),
        ([{"type": "audio"}], "invalid_request", "part 0 is of type audio"),
        ([{"type": "image_url"}], "invalid_request", "part 0 has no image_url.url"),
        ([part("data:image/png;base64,a")], "invalid_request", "the base64 of part 0 is broken"),
        ([part("data:image/png;base64,")] * 5, "invalid_request", "at most 4 pictures"),
        ([part("https://example.org/a.png")], "unsupported_parameter", "nothing is fetched here"),
        ([part("file:///etc/passwd")], "unsupported_parameter", "nothing is fetched here"),
    ],
)
def test_a_wrong_moderation_input_is_named(api: Client, given: Any, code: str, words: str) -> None:
    status, error = refused(api, "moderations", {"input": given})
    assert (status, error["code"], error["param"]) == (400, code, "input")
    assert words in error["message"]


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 400, "picture_unreadable"),
        (b"<svg/>", 400, "picture_unreadable"),
        (file_of(half_red(8, 8))[:40], 400, "picture_unreadable"),
        (
            file_of(half_red(8, 8), "GIF", save_all=True, append_images=[half_red(8, 8).rotate(90)]),
            400,
            "picture_animated",
        ),
    ],
)
def test_a_picture_that_is_none_is_named(api: Client, data: bytes, status: int, code: str) -> None:
    texts_first = [{"type": "text", "text": "see"}, part(data_url(data))]
    told, error = refused(api, "moderations", {"input": texts_first})
    assert (told, error["code"], error["param"]) == (status, code, "input[1].image_url")


def test_a_moderation_body_may_be_as_large_as_a_picture_and_no_larger(api: Client) -> None:
    body = {"input": [part(data_url(b"x" * MAX_BODY_BYTES))]}
    assert refused(api, "moderations", body)[1]["code"] == "picture_unreadable"
    status, error = refused(api, "moderations", {"input": [part(data_url(b"x" * MAX_MODERATION_BYTES))]})
    assert (status, error["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("body", ["", "{", "[]", '{"input": NaN}', b"\xff"])
def test_a_moderation_body_that_is_no_object_is_refused(api: Client, body: Any) -> None:
    status, error = refused(api, "moderations", body)
    assert status == 400
    assert error["code"] in ("body_not_json", "invalid_request")


def test_another_makers_moderation_model_is_not_found(api: Client) -> None:
    status, error = refused(api, "moderations", {"input": "a", "model": "llama-guard"})
    assert (status, error["code"]) == (404, "model_not_found")
    assert "tessera-moderation" in error["message"]


def screening(**scores: float) -> Screening:
    return Screening.model_validate({"screen": "test", "version": "1", "scores": scores})


def test_every_category_of_the_api_is_told_and_only_what_a_screen_knows_has_an_input_type() -> None:
    result = moderations.result_of([screening(hate=0.6, sexual=0.1), screening(hate=0.2, violence=0.4)], [], DEFAULT)
    assert result.categories.keys() == result.category_scores.keys() == result.category_applied_input_types.keys()
    assert len(result.categories) == 13
    assert (result.flagged, result.categories["hate"], result.categories["violence"]) == (True, True, False)
    assert (result.category_scores["hate"], result.category_scores["violence"]) == (0.6, 0.4)
    assert {name for name, types in result.category_applied_input_types.items() if types} == {
        "hate",
        "sexual",
        "violence",
    }
    assert result.tessera_categories == {}


def test_a_picture_adds_what_it_shows_to_the_text_beside_it() -> None:
    result = moderations.result_of([screening(sexual=0.2)], [screening(nudity=0.7, weapons=0.9)], DEFAULT)
    assert result.category_scores["sexual"] == 0.7
    assert result.category_applied_input_types["sexual"] == ["text", "image"]
    assert result.category_applied_input_types["violence"] == []
    assert result.tessera_categories["weapons"].model_dump() == {"flagged": True, "score": 0.9}
    assert result.flagged


def test_texts_are_asked_in_portions_that_one_question_may_hold() -> None:
    texts = ["a" * 30_000, "b" * 10_000, "c", *["d"] * 40]
    portions = list(moderations._portions(texts))
    assert [text for portion in portions for text in portion] == texts
    assert [len(portion) for portion in portions] == [2, 32, 9]
    assert list(moderations._portions([])) == [[]]
