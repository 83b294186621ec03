"""Bad input: a problem with code, field, value and range, and nothing left behind."""

import json
from typing import Any

import pytest
from django.apps import apps
from django.db import OperationalError
from django.test import Client, RequestFactory

from genworkers.contract.names import MAX_BODY_BYTES
from tests.factories import MembershipFactory
from tests.webapp.api.callers import keyed
from webapp.api import urls
from webapp.workspaces.models import Membership

pytestmark = pytest.mark.django_db

TEXT = {"kind": "text", "prompt": "a boat"}
IMAGE = {"kind": "image", "prompt": "a boat"}


@pytest.fixture
def owner() -> Membership:
    return MembershipFactory.create()


@pytest.fixture
def api(owner: Membership) -> Client:
    return keyed(owner)


def post(api: Client, body: str | bytes, content_type: str = "application/json") -> Any:
    return api.generic("POST", "/api/v1/jobs", body, content_type=content_type)


def all_rows() -> dict[str, int]:
    return {model.__name__: model._default_manager.count() for model in apps.get_models()}


def assert_problem(response: Any, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = json.loads(response.content)
    assert set(problem) == {"type", "title", "status", "detail", "code", "problems"}
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["type"] == f"urn:tessera:problem:{code}"
    assert problem["title"]
    assert problem["detail"]
    assert "Traceback" not in response.content.decode()
    return problem


@pytest.mark.parametrize(
    ("body", "field", "code", "allowed"),
    [
        ({}, "kind", "union_tag_not_found", "text or image"),
        ({"kind": "film", "prompt": "x"}, "kind", "union_tag_invalid", "text or image"),
        ({"kind": ["text"], "prompt": "x"}, "kind", "union_tag_invalid", "text or image"),
        ({"kind": "text"}, "prompt", "missing", "1 to 32000 characters"),
        (TEXT | {"prompt": ""}, "prompt", "string_too_short", "1 to 32000 characters"),
        (TEXT | {"prompt": " \n "}, "prompt", "value_error", "1 to 32000 characters"),
        (TEXT | {"prompt": "\u200b\u200b"}, "prompt", "value_error", "1 to 32000 characters"),
        (TEXT | {"prompt": "a\x00b"}, "prompt", "value_error", "1 to 32000 characters"),
        (TEXT | {"prompt": "a\ud800b"}, "prompt", "string_unicode", "1 to 32000 characters"),
        (TEXT | {"prompt": "x" * 32_001}, "prompt", "string_too_long", "1 to 32000 characters"),
        (IMAGE | {"prompt": "x" * 501}, "prompt", "string_too_long", "1 to 500 characters"),
        (TEXT | {"prompt": 17}, "prompt", "string_type", "1 to 32000 characters"),
        (TEXT | {"prompt": None}, "prompt", "string_type", "1 to 32000 characters"),
        (TEXT | {"seed": 2**63}, "seed", "less_than_equal", "0 to 9223372036854775807"),
        (TEXT | {"seed": -1}, "seed", "greater_than_equal", "0 to 9223372036854775807"),
        (TEXT | {"seed": "7"}, "seed", "int_type", "0 to 9223372036854775807"),
        (TEXT | {"seed": 1e300}, "seed", "int_type", "0 to 9223372036854775807"),
        (TEXT | {"max_tokens": 0}, "max_tokens", "greater_than_equal", "1 to 8192 tokens"),
        (TEXT | {"max_tokens": 1.5}, "max_tokens", "int_type", "1 to 8192 tokens"),
        (TEXT | {"max_tokens": True}, "max_tokens", "int_type", "1 to 8192 tokens"),
        (TEXT | {"temperature": 2.1}, "temperature", "less_than_equal", "0 to 2"),
        (TEXT | {"temperature": "hot"}, "temperature", "float_type", "0 to 2"),
        (TEXT | {"top_p": 0}, "top_p", "greater_than", "more than 0, at most 1"),
        (TEXT | {"stop": "end"}, "stop", "list_type", "at most 8 texts of 1 to 100 characters"),
        (TEXT | {"stop": ["x"] * 9}, "stop", "too_long", "at most 8 texts of 1 to 100 characters"),
        (TEXT | {"stop": ["ok", ""]}, "stop.1", "string_too_short", "at most 8 texts of 1 to 100 characters"),
        (TEXT | {"stop": ["\x00"]}, "stop.0", "value_error", "at most 8 texts of 1 to 100 characters"),
        (TEXT | {"seed": 10**999}, "seed", "less_than_equal", "0 to 9223372036854775807"),
        (TEXT | {"num_images": 2}, "num_images", "unknown_field", "one of prompt, seed, kind, history"),
        (IMAGE | {"size_px": 513}, "size_px", "literal_error", "512 or 1024 px"),
        (IMAGE | {"num_images": 9}, "num_images", "less_than_equal", "1 to 8"),
        (IMAGE | {"style": "baroque"}, "style", "style_unknown", "one of flat"),
        (IMAGE | {"net": "nowhere"}, "net", "net_unknown", "one of mosaic"),
        (IMAGE | {"net": "llama-tessera-text"}, "net", "net_unknown", "one of mosaic"),
        ([], "body", "model_attributes_type", "one JSON object"),
        ("text", "body", "model_attributes_type", "one JSON object"),
        (None, "body", "model_attributes_type", "one JSON object"),
    ],
)
def test_a_wrong_value_is_named_with_its_range(api: Client, body: Any, field: str, code: str, allowed: str) -> None:
    before = all_rows()
    problem = assert_problem(post(api, json.dumps(body)), 422, code if code.endswith("_unknown") else "invalid_request")
    assert len(problem["problems"]) == 1
    found = problem["problems"][0]
    assert set(found) == {"field", "code", "message", "value", "allowed"}
    assert (found["field"], found["code"]) == (field, code)
    assert found["allowed"].startswith(allowed)
    assert found["message"]
    assert len(found["value"]) < 150
    assert all_rows() == before


@pytest.mark.parametrize(
    ("sent", "shown"),
    [("null", "null"), ("true", "true"), ('["é", null]', '["é", null]'), ('{"a": 1.5}', '{"a": 1.5}'), ('"7"', "7")],
)
def test_a_wrong_value_is_shown_as_it_was_sent(api: Client, sent: str, shown: str) -> None:
    response = post(api, f'{{"kind": "text", "prompt": "x", "max_tokens": {sent}}}')
    assert assert_problem(response, 422, "invalid_request")["problems"][0]["value"] == shown


@pytest.mark.parametrize("depth", [50, 200, 400, 700, 800, 850, 900, 950])
def test_a_deep_value_is_refused_like_any_other(api: Client, depth: int) -> None:
    response = post(api, f'{{"kind": "text", "prompt": "x", "seed": {"[" * depth}{"]" * depth}}}')
    assert response.status_code in (400, 422), response.content


@pytest.mark.parametrize("sign", ["", "-"])
def test_an_endless_number_is_refused_in_plain_words(api: Client, sign: str) -> None:
    before = all_rows()
    response = post(api, f'{{"kind": "text", "prompt": "x", "seed": {sign}{"9" * 5000}}}')
    problem = assert_problem(response, 422, "invalid_request")
    assert problem["problems"][0]["code"] == "number_too_long"
    assert problem["problems"][0]["allowed"] == "numbers of at most 1000 digits"
    assert "5000 digits" in problem["detail"]
    assert all_rows() == before


def test_every_wrong_field_is_named_at_once(api: Client) -> None:
    body = TEXT | {"seed": -1, "max_tokens": 0, "wings": 2}
    response = api.post("/api/v1/jobs?workspace=%20", body, content_type="application/json")
    fields = [found["field"] for found in assert_problem(response, 422, "invalid_request")["problems"]]
    assert sorted(fields) == ["max_tokens", "seed", "wings", "workspace"]


def test_a_thousand_wrong_fields_get_a_short_answer(api: Client) -> None:
    response = post(api, json.dumps(TEXT | {f"x{n}": n for n in range(1000)}))
    assert len(assert_problem(response, 422, "invalid_request")["problems"]) == 20


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"prompt=x",
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b"{'kind': 'text'}",
        b'{"kind": "text", "prompt": "x", "temperature": NaN}',
        b'{"kind": "text", "prompt": "x", "top_p": -Infinity}',
        b"[" * 60_000,
    ],
)
def test_a_body_that_is_not_json_is_refused(api: Client, body: bytes) -> None:
    before = all_rows()
    assert_problem(post(api, body), 400, "body_not_json")
    assert all_rows() == before


def test_an_empty_body_is_refused(api: Client) -> None:
    found = assert_problem(post(api, b""), 422, "invalid_request")["problems"][0]
    assert (found["field"], found["code"]) == ("body", "missing")


@pytest.mark.parametrize("num_bytes", [MAX_BODY_BYTES + 1, 1_000_000])
def test_a_body_that_is_too_large_is_refused(api: Client, num_bytes: int) -> None:
    before = all_rows()
    body = json.dumps(TEXT | {"prompt": ""})
    problem = assert_problem(post(api, body.replace('""', f'"{"x" * (num_bytes - len(body))}"')), 413, "body_too_large")
    assert str(MAX_BODY_BYTES) in problem["detail"]
    assert all_rows() == before


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain", "application/json"])
def test_json_is_read_whatever_it_is_called(api: Client, content_type: str) -> None:
    assert post(api, json.dumps(TEXT), content_type).status_code == 202


def test_a_form_is_not_json(api: Client) -> None:
    response = api.post("/api/v1/jobs", {"kind": "text", "prompt": "x"})
    assert_problem(response, 400, "body_not_json")


@pytest.mark.parametrize("address", ["/api/v1/", "/api/v1/films", "/api/v1/jobs/x", "/api/v2/jobs", "/api/v1/nets/x"])
def test_an_unknown_address_is_a_problem(api: Client, address: str) -> None:
    assert_problem(api.get(address), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "address"),
    [("PUT", "/api/v1/jobs"), ("DELETE", "/api/v1/nets"), ("GET", "/api/v1/jobs/{id}/cancel"), ("POST", "/api/v1/me")],
)
def test_a_wrong_method_is_a_problem(api: Client, method: str, address: str) -> None:
    response = api.generic(method, address.format(id="00000000-0000-7000-8000-000000000000"))
    assert_problem(response, 405, "method_not_allowed")
    assert response["Allow"]


def test_a_foreign_host_is_a_problem(api: Client) -> None:
    assert_problem(api.get("/api/v1/me", headers={"Host": "evil.example"}), 400, "bad_request")


def test_what_breaks_is_a_problem_without_a_trace(owner: Membership, settings: Any) -> None:
    api = keyed(owner)
    api.raise_request_exception = False
    settings.NETS_DIR = 17  # a broken installation
    problem = assert_problem(api.get("/api/v1/nets"), 500, "internal_error")
    assert "17" not in problem["detail"]


def test_a_database_that_is_away_is_a_503() -> None:
    response = urls.api.on_exception(RequestFactory().get("/api/v1/me"), OperationalError("database is locked"))
    assert_problem(response, 503, "unavailable")
    assert response["Retry-After"]


def test_every_answer_carries_the_version(api: Client) -> None:
    for address in ("/api/v1/me", "/api/v1/nothing", "/api/v1/openapi.json"):
        response = api.get(address)
        assert response["Tessera-Version"] == "1.0"
        assert response["Cache-Control"] == "no-store"
    assert "Tessera-Version" not in api.get("/livez")
