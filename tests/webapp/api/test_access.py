"""Who may do what: every operation of the API against every kind of caller."""

import io
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.test import Client
from django.utils import timezone

from genworkers.codecs.image_bytes import to_png
from genworkers.contract.events import Succeeded
from tests.factories import ArtifactFactory, JobFactory, MembershipFactory
from tests.webapp.api.callers import bearer, keyed, signed_in
from webapp.accounts import services
from webapp.accounts.models import ApiKey
from webapp.api.urls import api
from webapp.gallery import uploads
from webapp.gallery.pictures import CleanPicture
from webapp.jobs import eventlog
from webapp.jobs.models import Job
from webapp.safety.policy import DEFAULT
from webapp.workspaces.models import Membership

pytestmark = pytest.mark.django_db

BODY = {"kind": "text", "prompt": "a boat"}
PNG = to_png(np.zeros((1, 1, 4), dtype=np.uint8))

# Operation: status for a stranger, then for members with the right to look, then with the right to generate.
# The stored files of these artifacts have no bytes; test_artifacts.py reads real ones.
OPERATIONS = {
    "create_job": ("POST", "/jobs?workspace=studio", 404, 403, 202),
    "list_jobs": ("GET", "/jobs?workspace=studio", 404, 200, 200),
    "get_job": ("GET", "/jobs/{job}", 404, 200, 200),
    "cancel_job": ("POST", "/jobs/{job}/cancel", 404, 403, 202),
    "follow_job": ("GET", "/jobs/{ended}/events", 404, 204, 204),
    "list_artifacts": ("GET", "/artifacts?workspace=studio", 404, 200, 200),
    "get_artifact": ("GET", "/artifacts/{artifact}", 404, 200, 200),
    "get_content": ("GET", "/artifacts/{artifact}/content", 404, 304, 304),
    "get_thumbnail": ("GET", "/artifacts/{artifact}/thumbnail", 404, 304, 304),
    "get_credentials": ("GET", "/artifacts/{artifact}/credentials", 404, 304, 304),
    "create_upload": ("POST", "/uploads?workspace=studio", 404, 403, 201),
    "get_upload": ("GET", "/uploads/{upload}", 404, 200, 200),
    "get_upload_content": ("GET", "/uploads/{upload}/content", 404, 200, 200),
    "list_nets": ("GET", "/nets", 200, 200, 200),
    "get_net": ("GET", "/nets/mosaic", 200, 200, 200),
    "get_usage": ("GET", "/usage?workspace=studio", 404, 200, 200),
    "get_me": ("GET", "/me", 200, 200, 200),
}
# Whoever asks, with or without a key, gets an answer; test_verify.py asks.
PUBLIC = {"verify"}
STRANGER, LOOKS, GENERATES = 2, 3, 4
RELEASE = {"task": "held", "outcome": "released"}
# Operations whose answer depends on the very role: method, address, body, and the status for each role.
BY_ROLE: dict[str, tuple[str, str, dict[str, Any], dict[str, int]]] = {
    "list_reviews": (
        "GET",
        "/reviews?workspace=studio",
        {},
        {"viewer": 403, "editor": 403, "reviewer": 200, "owner": 200},
    ),
    "decide_review": (
        "POST",
        "/reviews/{held}?workspace=studio",
        RELEASE,
        {"viewer": 403, "editor": 403, "reviewer": 200, "owner": 403},  # it is the owner's own
    ),
    "create_appeal": (
        "POST",
        "/artifacts/{rejected}/appeal",
        {"words": "It is a fable."},
        {"viewer": 404, "editor": 404, "reviewer": 404, "owner": 201},  # the owner asked for it
    ),
    "get_policy": (
        "GET",
        "/policy?workspace=studio",
        {},
        {"viewer": 200, "editor": 200, "reviewer": 200, "owner": 200},
    ),
    "change_policy": (
        "PUT",
        "/policy?workspace=studio",
        {"based_on": 0, "thresholds": DEFAULT.model_dump(mode="json")},
        {"viewer": 403, "editor": 403, "reviewer": 403, "owner": 200},
    ),
    "list_audit": ("GET", "/audit?workspace=studio", {}, {"viewer": 403, "editor": 403, "reviewer": 403, "owner": 200}),
}


@pytest.fixture
def studio() -> Membership:
    return MembershipFactory.create(workspace__slug="studio")


@pytest.fixture
def places(studio: Membership) -> dict[str, Any]:
    artifact = ArtifactFactory.create(owner=studio)
    for role in ("thumbnail", "sidecar"):
        artifact.files.create(role=role, sha256="e" * 64, media_type="image/webp", num_bytes=1)
    eventlog.append(artifact.job_id, 1, [Succeeded().model_dump_json()])
    job = JobFactory.create(workspace=studio.workspace, created_by=studio.user)
    upload = uploads.keep_clean(studio.workspace, studio.user, CleanPicture(PNG, 1, 1))
    held, rejected = (ArtifactFactory.create(owner=studio, status=status) for status in ("held", "rejected"))
    return {
        "job": job.id,
        "ended": artifact.job_id,
        "artifact": artifact.id,
        "upload": upload.id,
        "held": held.id,
        "rejected": rejected.id,
    }


def call(client: Client, operation: str, places: dict[str, Any]) -> Any:
    method, address = OPERATIONS[operation][:2]
    headers = {"If-None-Match": "*"} | ({"Last-Event-ID": "1"} if operation == "follow_job" else {})
    url = f"/api/v1{address.format(**places)}"
    if operation == "create_upload":
        return client.post(url, {"file": io.BytesIO(PNG)}, headers=headers)
    if method == "POST":
        return client.post(url, BODY, content_type="application/json", headers=headers)
    return client.get(url, headers=headers)


def member(studio: Membership, role: str) -> Membership:
    return MembershipFactory.create(workspace=studio.workspace, role=role)


CALLERS: dict[str, tuple[Callable[[Membership], Client], int]] = {
    "session of a stranger": (lambda studio: signed_in(MembershipFactory.create()), STRANGER),
    "key of a stranger": (lambda studio: keyed(MembershipFactory.create()), STRANGER),
    "own key for another workspace": (lambda studio: keyed(MembershipFactory.create(user=studio.user)), STRANGER),
    "session of a viewer": (lambda studio: signed_in(member(studio, "viewer")), LOOKS),
    "key of a viewer": (lambda studio: keyed(member(studio, "viewer")), LOOKS),
    "key of a reviewer": (lambda studio: keyed(member(studio, "reviewer")), LOOKS),
    "session of an editor": (lambda studio: signed_in(member(studio, "editor")), GENERATES),
    "key of an editor": (lambda studio: keyed(member(studio, "editor")), GENERATES),
    "session of the owner": (signed_in, GENERATES),
    "key of the owner": (keyed, GENERATES),
}


def test_every_operation_is_in_the_table() -> None:
    described = [operation for methods in api.get_openapi_schema()["paths"].values() for operation in methods.values()]
    assert {operation["operationId"] for operation in described} == OPERATIONS.keys() | BY_ROLE.keys() | PUBLIC


@pytest.mark.parametrize("caller", CALLERS)
def test_each_caller_gets_what_is_theirs(studio: Membership, places: dict[str, Any], caller: str) -> None:
    make, column = CALLERS[caller]
    client = make(studio)
    responses = {operation: call(client, operation, places) for operation in OPERATIONS}
    assert {operation: response.status_code for operation, response in responses.items()} == {
        operation: facts[column] for operation, facts in OPERATIONS.items()
    }
    for response in responses.values():
        if response.status_code >= 400:
            assert response["Content-Type"] == "application/problem+json"
            assert b"studio" not in response.content


def call_by_role(client: Client, operation: str, places: dict[str, Any]) -> Any:
    method, address, body, _ = BY_ROLE[operation]
    url = f"/api/v1{address.format(**places)}"
    return client.generic(method, url, json.dumps(body) if body else "", content_type="application/json")


@pytest.mark.parametrize("role", ["viewer", "editor", "reviewer", "owner", "stranger"])
@pytest.mark.parametrize("make", [keyed, signed_in])
def test_each_role_gets_what_is_its_own(
    studio: Membership, places: dict[str, Any], make: Callable[[Membership], Client], role: str
) -> None:
    member(studio, "reviewer")  # so that somebody else can decide about what is the owner's own
    if role == "stranger":
        client = make(MembershipFactory.create())
    else:
        client = make(studio if role == "owner" else member(studio, role))
    responses = {operation: call_by_role(client, operation, places) for operation in BY_ROLE}
    expected = {operation: facts[3].get(role, 404) for operation, facts in BY_ROLE.items()}
    assert {operation: response.status_code for operation, response in responses.items()} == expected
    for response in responses.values():
        if response.status_code >= 400:
            assert response["Content-Type"] == "application/problem+json"


def test_nobody_gets_in_without_a_name(places: dict[str, Any]) -> None:
    for operation in OPERATIONS.keys() | BY_ROLE.keys():
        response = (call if operation in OPERATIONS else call_by_role)(Client(), operation, places)
        assert (response.status_code, response.json()["code"]) == (401, "unauthenticated"), operation
        assert response["WWW-Authenticate"] == 'Bearer realm="Tessera"'


@pytest.mark.parametrize(("scope", "method"), [("read", "GET"), ("generate", "POST")])
def test_a_key_does_only_what_its_scope_says(
    studio: Membership, places: dict[str, Any], scope: str, method: str
) -> None:
    client = keyed(studio, scope)
    for operation, facts in OPERATIONS.items():
        response = call(client, operation, places)
        if facts[0] == method:
            assert response.status_code == facts[GENERATES], operation
        else:
            assert (response.status_code, response.json()["code"]) == (403, "scope_missing"), operation
            assert 'error="insufficient_scope"' in response["WWW-Authenticate"]
    for operation, (asked, _, _, statuses) in BY_ROLE.items():
        response = call_by_role(client, operation, places)
        may = (asked == "GET") == (method == "GET")
        alone = statuses["owner"] if operation != "decide_review" else 200  # nobody else is there to decide
        assert response.status_code == (alone if may else 403), operation


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer tsk_0_0", "Basic dTpw", "Bearer  ", "tsk_a_b", "Bearer \x00", "Bearer é", ""]
)
def test_a_wrong_header_is_refused_even_with_a_session(studio: Membership, header: str) -> None:
    response = signed_in(studio).get("/api/v1/me", headers={"Authorization": header})
    assert (response.status_code, response.json()["code"]) == (401, "unauthenticated")
    assert 'error="invalid_token"' in response["WWW-Authenticate"]


def test_a_key_stops_when_it_is_revoked_or_expired(studio: Membership) -> None:
    client = keyed(studio)
    key = ApiKey.objects.get()
    assert client.get("/api/v1/me").status_code == 200
    services.revoke_api_key(key)
    assert client.get("/api/v1/me").status_code == 401
    ApiKey.objects.update(revoked_at=None, expires_at=timezone.now() - timedelta(seconds=1))
    assert client.get("/api/v1/me").status_code == 401


def test_a_session_changes_nothing_without_its_csrf_token(studio: Membership) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(studio.user)
    refused = client.post("/api/v1/jobs", BODY, content_type="application/json")
    assert (refused.status_code, refused.json()["code"]) == (403, "csrf_failed")
    assert not Job.objects.exists()
    assert client.get("/api/v1/jobs").status_code == 200
    client.cookies["csrftoken"] = "a" * 32
    accepted = client.post("/api/v1/jobs", BODY, content_type="application/json", headers={"X-CSRFToken": "a" * 32})
    assert accepted.status_code == 202


def test_a_key_needs_no_csrf_token(studio: Membership) -> None:
    client = Client(enforce_csrf_checks=True, headers=bearer(studio))
    assert client.post("/api/v1/jobs", BODY, content_type="application/json").status_code == 202


def test_a_person_without_a_workspace_finds_none(studio: Membership) -> None:
    client = signed_in(studio)
    studio.delete()
    assert client.get("/api/v1/jobs").status_code == 404
    assert client.get("/api/v1/me").json()["workspaces"] == []


def test_me_names_the_key_and_only_its_workspace(studio: Membership) -> None:
    MembershipFactory.create(user=studio.user)
    by_key = keyed(studio, "read").get("/api/v1/me").json()
    assert by_key["user"] == {"username": studio.user.username, "email": studio.user.email}
    assert by_key["key"]["scopes"] == ["read"]
    assert by_key["workspaces"] == [{"slug": "studio", "name": studio.workspace.name, "role": "owner"}]
    by_session = signed_in(studio).get("/api/v1/me").json()
    assert by_session["key"] is None
    assert len(by_session["workspaces"]) == 2


def test_held_results_are_for_reviewers(studio: Membership) -> None:
    held = ArtifactFactory.create(owner=studio, status="held")
    address = f"/api/v1/artifacts/{held.id}"
    assert keyed(member(studio, "viewer")).get(address).status_code == 404
    assert keyed(member(studio, "editor")).get(address).status_code == 404
    assert keyed(member(studio, "reviewer")).get(address).json()["status"] == "held"
    assert keyed(studio).get("/api/v1/artifacts").json()["items"] == []
