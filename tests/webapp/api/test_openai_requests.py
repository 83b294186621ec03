"""/v1: what a body in OpenAI's words asks of a job, and how what is wrong with it is told. No worker is needed."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from genworkers.contract.names import MAX_BODY_BYTES
from genworkers.contract.text import TextRequest
from tests.factories import MembershipFactory
from tests.webapp.api.callers import keyed
from webapp.api.openai.bodies import ChatBody, CompletionBody
from webapp.api.openai.generation import ignored_header
from webapp.api.openai.translation import chat_call, completion_call
from webapp.jobs.models import Job
from webapp.workspaces.models import Membership

pytestmark = pytest.mark.django_db

NET = "llama-tessera-text"
CHAT: dict[str, Any] = {"model": NET, "messages": [{"role": "user", "content": "a boat"}]}
RAW: dict[str, Any] = {"model": NET, "prompt": "Once"}


@pytest.fixture
def owner() -> Membership:
    return MembershipFactory.create()


@pytest.fixture
def api(owner: Membership) -> Client:
    return keyed(owner)


def chat(**fields: Any) -> TextRequest:
    return chat_call(ChatBody.model_validate(CHAT | fields)).request


def raw(**fields: Any) -> TextRequest:
    return completion_call(CompletionBody.model_validate(RAW | fields)).request


def refused(api: Client, address: str, body: Any, **headers: str) -> tuple[int, dict[str, Any]]:
    response = api.post(f"/v1/{address}", body, content_type="application/json", headers=headers)
    assert response["Content-Type"] == "application/json"
    assert not Job.objects.exists()
    error: dict[str, Any] = response.json()["error"]
    return response.status_code, error


def test_what_is_left_out_means_what_it_means_to_openai() -> None:
    request = chat()
    assert (request.temperature, request.top_p, request.top_k, request.num_texts) == (1.0, 1.0, 0, 1)
    assert (request.max_tokens, request.seed, request.num_logprobs, request.json_schema) == (8192, None, None, None)
    assert (raw().max_tokens, raw().format, raw().temperature) == (16, "raw", 1.0)


def test_null_is_as_if_left_out() -> None:
    names = [name for name in ChatBody.model_fields if name not in CHAT]
    assert chat(**dict.fromkeys(names)) == chat()


def test_the_messages_become_history_and_prompt() -> None:
    parts = [{"type": "text", "text": "a boat"}, {"type": "text", "text": "at sea"}]
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi."},
        {"role": "user", "content": parts},
    ]
    request = chat(messages=messages)
    assert [(message.role, message.content) for message in request.history] == [
        ("system", "Be brief."),
        ("user", "Hello"),
        ("assistant", "Hi."),
    ]
    assert request.prompt == "a boat\nat sea"


def test_every_parameter_arrives() -> None:
    same = {
        "temperature": 0, "top_p": 0.5, "top_k": 3, "min_p": 0.1, "repetition_penalty": 1.5, "presence_penalty": -2,
        "frequency_penalty": 2, "logit_bias": {"17": -100}, "seed": 2**63 - 1, "stop": ["a", "b"],
        "is_truncatable": True,
    }  # fmt: skip
    for request in (chat(**same, n=8, max_completion_tokens=5), raw(**same, n=8, max_tokens=5)):
        assert {name: getattr(request, name) for name in same} == same
        assert (request.num_texts, request.max_tokens) == (8, 5)
    assert chat(stop="a").stop == ["a"]
    assert (chat(logprobs=True).num_logprobs, chat(logprobs=True, top_logprobs=3).num_logprobs) == (0, 3)
    assert raw(logprobs=0).num_logprobs == 0
    assert raw(prompt=["Once"]).prompt == "Once"


def test_a_model_can_name_an_adapter() -> None:
    assert (chat(model="net:pirate").net, chat(model="net:pirate").adapter) == ("net", "pirate")
    assert chat(adapter="pirate").adapter == "pirate"


def test_the_response_format_becomes_a_schema() -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    named = {"type": "json_schema", "json_schema": {"name": "person", "strict": True, "schema": schema}}
    assert chat(response_format=named).json_schema == schema
    assert chat(response_format={"type": "json_object"}).json_schema == {"type": "object"}
    assert chat(response_format={"type": "text"}).json_schema is None


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"temperature": 3}, "temperature", "(you sent 3.0; allowed: 0 to 2)"),
        ({"top_p": 0}, "top_p", "(you sent 0.0; allowed: more than 0, at most 1)"),
        ({"n": 9}, "n", "(you sent 9; allowed: 1 to 8)"),
        ({"n": "2"}, "n", "you sent 2"),
        ({"max_tokens": 0}, "max_tokens", "allowed: 1 to 8192 tokens"),
        ({"max_completion_tokens": 9000}, "max_completion_tokens", "you sent 9000"),
        ({"seed": -1}, "seed", "you sent -1"),
        ({"stop": ["x"] * 1000}, "stop", "at most 8"),
        ({"stop": ""}, "stop[0]", "1 to 100 characters"),
        ({"logit_bias": {"ab": 1}}, "logit_bias.ab.[key]", ""),
        ({"logit_bias": {"17": 101}}, "logit_bias[17]", "you sent 101.0"),
        ({"top_logprobs": 3}, "top_logprobs", "needs logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "allowed: 0 to 20"),
        ({"messages": []}, "messages", ""),
        ({"messages": [{"role": "assistant", "content": "Hi"}]}, "messages", "the last message must be the user's"),
        ({"messages": [{"role": "user", "content": " "}]}, "messages[0].content", "at least one visible character"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role", "you sent tool"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content", "you sent 7"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "this is needed"),
        ({"stream": "yes"}, "stream", "you sent yes"),
    ],
)
def test_a_wrong_value_is_named_with_its_range(api: Client, fields: Any, field: str, words: str) -> None:
    status, error = refused(api, "chat/completions", CHAT | fields)
    assert (status, error["type"], error["code"], error["param"]) == (
        400,
        "invalid_request_error",
        "invalid_request",
        field,
    )
    assert field in error["message"]
    assert words in error["message"]
    assert error["problems"][0]["field"] == field


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"audio": {"voice": "x"}}, "audio"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"messages": [{"role": "assistant", "tool_calls": [{}]}, CHAT["messages"][0]]}, "messages[0].tool_calls"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content"),
    ],
)
def test_what_cannot_be_served_is_refused_by_name(api: Client, fields: Any, field: str) -> None:
    status, error = refused(api, "chat/completions", CHAT | fields)
    assert (status, error["code"], error["param"]) == (400, "unsupported_parameter", field)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"suffix": "end"}, "suffix"),
        ({"echo": True}, "echo"),
        ({"best_of": 2}, "best_of"),
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": [1, 2]}, "prompt"),
    ],
)
def test_what_cannot_be_served_of_the_older_call_is_refused_by_name(api: Client, fields: Any, field: str) -> None:
    status, error = refused(api, "completions", RAW | fields)
    assert (status, error["code"], error["param"]) == (400, "unsupported_parameter", field)


def test_what_asks_for_nothing_is_taken() -> None:
    nothing = {"tools": [], "tool_choice": "none", "modalities": ["text"], "audio": None, "best_of": 1, "echo": False}
    labels = {"user": "u", "metadata": {"a": "b"}, "store": True, "safety_identifier": "x"}
    assert chat_call(ChatBody.model_validate(CHAT | nothing | labels)).ignored == ()


def test_unknown_fields_are_named_at_every_depth() -> None:
    message = CHAT["messages"][0] | {"name": "Ann", "mood": None}
    fields = {"messages": [message], "foo": 1, "reasoning_effort": "low", "stream_options": {"bar": 2}}
    call = chat_call(ChatBody.model_validate(CHAT | fields))
    assert call.ignored == ("foo", "reasoning_effort", "stream_options.bar", "messages[0].name")
    assert ignored_header(call.ignored) == {
        "X-Tessera-Ignored": "foo, reasoning_effort, stream_options.bar, messages[0].name"
    }


@pytest.mark.parametrize("name", ["é", "a\r\nSet-Cookie: x", "x" * 9999, "\ud800"])
def test_odd_names_make_a_plain_header(name: str) -> None:
    value = ignored_header((name,))["X-Tessera-Ignored"]
    assert value.isascii()
    assert value.isprintable()
    assert len(value) <= 500


def test_an_unknown_model_is_not_found(api: Client) -> None:
    for model in ("gpt-4o", "mosaic"):
        status, error = refused(api, "chat/completions", CHAT | {"model": model})
        assert (status, error["code"], error["param"]) == (404, "model_not_found", "model")
        assert NET in error["message"]


@pytest.mark.parametrize("body", ["", "{", '{"model": NaN}', "[]", "7"])
def test_a_body_that_is_no_object_is_refused(api: Client, body: str) -> None:
    status, error = refused(api, "completions", body)
    assert status == 400
    assert error["code"] in ("body_not_json", "invalid_request")


def test_a_body_that_is_too_large_is_refused(api: Client) -> None:
    status, error = refused(api, "completions", RAW | {"user": "x" * MAX_BODY_BYTES})
    assert (status, error["code"]) == (413, "body_too_large")


def test_a_full_queue_says_when_to_come_back(api: Client, settings: Any) -> None:
    settings.MAX_QUEUED_JOBS = 0
    response = api.post("/v1/chat/completions", CHAT, content_type="application/json")
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["code"]) == (429, "rate_limit_error", "queue_full")
    assert response["Retry-After"]


def test_callers_without_a_key_or_its_scope_are_told_so(owner: Membership) -> None:
    for client, status, code in [
        (Client(), 401, "invalid_api_key"),
        (Client(headers={"Authorization": "Bearer sk-wrong"}), 401, "invalid_api_key"),
        (keyed(owner, "read"), 403, "scope_missing"),
    ]:
        told = refused(client, "chat/completions", CHAT)
        assert (told[0], told[1]["code"]) == (status, code)
    assert Client().get("/v1/models").status_code == 401


def test_the_nets_are_the_models(api: Client) -> None:
    listed = api.get("/v1/models").json()
    assert listed["object"] == "list"
    told = [(model["id"], model["object"], model["kind"]) for model in listed["data"]]
    assert told == [
        (NET, "model", "text"),
        ("mosaic", "model", "image"),
        ("all-minilm-l6-v2", "model", "embedding"),
        ("tessera-moderation", "model", "moderation"),
    ]
    assert api.get(f"/v1/models/{NET}").json() == listed["data"][0]
    for name in ("gpt-4o", "a/b"):
        unknown = api.get(f"/v1/models/{name}")
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")


def test_an_adapter_is_a_model_of_its_own(api: Client, settings: Any, tmp_path: Path) -> None:
    settings.ADAPTERS_DIR = tmp_path
    folder = tmp_path / NET / "pirate"
    folder.mkdir(parents=True)
    shas = {"base_sha256": "c" * 64, "sha256": "a" * 64}
    facts = {"name": "pirate", "base": NET, "rank": 4, "alpha": 8.0, "targets": ["q"]}
    (folder / "adapter.json").write_text(json.dumps(facts | shas))
    pirate = api.get(f"/v1/models/{NET}:pirate").json()
    assert (pirate["id"], pirate["system_fingerprint"]) == (f"{NET}:pirate", "c" * 64 + ":" + "a" * 64)
    assert pirate["created"] > 1_700_000_000
    assert len(api.get("/v1/models").json()["data"]) == 5


@pytest.mark.parametrize(("method", "address", "status"), [("GET", "/v1/nowhere", 404), ("PUT", "/v1/models", 405)])
def test_a_wrong_address_is_told_in_the_envelope(api: Client, method: str, address: str, status: int) -> None:
    response = api.generic(method, address)
    assert response.status_code == status
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_the_description_lists_every_address_and_its_errors(client: Client) -> None:
    description = client.get("/v1/openapi.json").json()
    assert description["paths"].keys() == {
        "/v1/models", "/v1/models/{model_id}", "/v1/chat/completions", "/v1/completions",
        "/v1/images/generations", "/v1/images/edits", "/v1/images/variations", "/v1/images/files/{token}",
        "/v1/embeddings", "/v1/moderations",
    }  # fmt: skip
    for methods in description["paths"].values():
        for operation in methods.values():
            assert operation["summary"]
            assert operation["description"]
            assert {"200", "401", "403", "404", "503"} <= operation["responses"].keys()
    assert client.get("/v1/docs").status_code == 200
