"""/v1/embeddings: what a body asks, and how what is wrong with it is told. No check worker runs here.

What it answers is in tests/bridge/test_openai_checks.py.
"""

from typing import Any

import pytest
from django.test import Client

from tests.factories import MembershipFactory
from tests.webapp.api.callers import keyed
from webapp.jobs import questions
from webapp.workspaces.models import Membership

pytestmark = pytest.mark.django_db

EMBEDDING: dict[str, Any] = {"model": "all-minilm-l6-v2", "input": "a boat"}


@pytest.fixture
def owner() -> Membership:
    return MembershipFactory.create()


@pytest.fixture
def api(owner: Membership) -> Client:
    return keyed(owner)


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


def test_without_a_check_worker_it_says_when_to_come_back(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "TAKE_S", 0.1)
    response = api.post("/v1/embeddings", EMBEDDING, content_type="application/json")
    assert (response.status_code, response.json()["error"]["code"]) == (503, "checks_unavailable")
    assert response["Retry-After"] == "5"


def test_who_may_only_look_may_not_ask(owner: Membership) -> None:
    viewer = MembershipFactory.create(workspace=owner.workspace, role="viewer")
    for client, status, code in [
        (Client(), 401, "invalid_api_key"),
        (keyed(owner, "read"), 403, "scope_missing"),
        (keyed(viewer), 403, "forbidden"),
    ]:
        told = refused(client, "embeddings", EMBEDDING)
        assert (told[0], told[1]["code"]) == (status, code)
