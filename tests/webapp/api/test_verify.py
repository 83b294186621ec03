"""POST /api/v1/verify: asked by anybody, some times a minute, about anything."""

import io
from typing import Any

import pytest
from django.core.cache import caches
from django.test import Client
from pytest_django import Settings

from tests.webapp.gallery.drafts import draft_of, job_of
from tests.webapp.provenance.samples import PNG, TEXT, facts_of
from webapp.gallery import services as gallery
from webapp.gallery import storage
from webapp.gallery.models import Artifact
from webapp.provenance import services

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
ADDRESS = "/api/v1/verify"


@pytest.fixture(autouse=True)
def nobody_asked_before(redis_client: object) -> None:
    caches["rates"].clear()


def ask(**fields: Any) -> Any:
    return Client().post(ADDRESS, {name: file_of(value) for name, value in fields.items()})


def file_of(value: Any) -> Any:
    return io.BytesIO(value) if isinstance(value, bytes) else value


def test_a_file_of_ours_is_told_without_a_word_about_people() -> None:
    artifact = gallery.store(draft_of(job_of("image")))
    with storage.open_blob(artifact.files.get(role="original").sha256) as file:
        answer = ask(file=file.read())
    body = answer.json()
    assert (answer.status_code, body["answer"], body["media_type"]) == (200, "ours", "image/png")
    assert body["credentials"]["is_ours"]
    assert not body["credentials"]["is_publicly_trusted"]
    assert body["credentials"]["source_type"].endswith("/trainedAlgorithmicMedia")
    assert body["registry"]["by"] == "bytes"
    assert body["registry"]["id"] == artifact.id.urn
    assert body["mark"]["false_positive_frac"] == 1e-6
    for secret in (artifact.prompt, artifact.created_by.username, artifact.created_by.email, artifact.workspace.slug):
        assert secret not in answer.content.decode()


def test_a_text_and_its_sidecar() -> None:
    signed = services.sign(TEXT, "text/plain", facts=facts_of())
    assert signed.sidecar is not None
    body = ask(file=TEXT, credentials=signed.sidecar).json()
    assert (body["answer"], body["credentials"]["is_ours"]) == ("ours", True)
    body = ask(text="Words that nobody here has written, about a tram and its driver.").json()
    assert (body["answer"], body["mark"]["state"]) == ("too_short", "too_short")
    assert body["registry"]["by"] is None
    assert not Artifact.objects.exists()


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({}, 422, "file_missing"),
        ({"file": PNG, "text": "both"}, 422, "file_missing"),
        ({"file": b""}, 422, "file_missing"),
        ({"file": PNG, "credentials": b""}, 422, "file_missing"),
        ({"text": "x" * 600_000}, 413, "body_too_large"),
        ({"file": b"x" * 20_000_001}, 413, "file_too_large"),
    ],
)
def test_what_cannot_be_looked_at_is_a_problem_by_name(fields: dict[str, Any], status: int, code: str) -> None:
    answer = ask(**fields)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer["Content-Type"] == "application/problem+json"


def test_an_address_that_asks_too_often_is_told_when_to_come_back(settings: Settings) -> None:
    settings.VERIFY_RATE = "2/m"
    assert [ask(text="one two three").status_code for _ in range(3)] == [200, 200, 429]
    refused = ask(text="again")
    assert refused.json()["code"] == "too_many_requests"
    assert 1 <= int(refused["Retry-After"]) <= 60
    other = Client(REMOTE_ADDR="10.1.2.3").post(ADDRESS, {"text": "one two three"})
    assert other.status_code == 200
    spoofed = Client(headers={"X-Forwarded-For": "10.9.9.9"}).post(ADDRESS, {"text": "one two three"})
    assert spoofed.status_code == 429
