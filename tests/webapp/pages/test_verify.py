"""The verify page: for everybody, with and without JavaScript."""

import io

import pytest
from django.core.cache import caches
from django.test import Client

from tests.factories import MembershipFactory
from tests.webapp.api.callers import signed_in
from tests.webapp.gallery.drafts import draft_of, job_of
from tests.webapp.provenance.samples import TEXT
from webapp.gallery import services as gallery
from webapp.gallery import storage

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def nobody_asked_before(redis_client: object) -> None:
    caches["rates"].clear()


def test_everybody_may_see_the_form() -> None:
    for client in (Client(), signed_in(MembershipFactory.create())):
        html = client.get("/verify/").content.decode()
        assert "Was this made here?" in html
        assert "data-prompt-form" not in html


@pytest.mark.slow
def test_a_file_is_told_about_on_a_whole_page_and_in_a_fragment() -> None:
    artifact = gallery.store(draft_of(job_of("image")))
    with storage.open_blob(artifact.files.get(role="original").sha256) as file:
        data = file.read()
    whole = Client().post("/verify/", {"file": io.BytesIO(data)}).content.decode()
    part = Client(headers={"HX-Request": "true"}).post("/verify/", {"file": io.BytesIO(data)}).content.decode()
    for html in (whole, part):
        assert "Made by this studio, unchanged" in html
        assert "not on a public trust list" in html
        assert artifact.id.urn in html
        assert artifact.prompt not in html
        assert artifact.created_by.username not in html
    assert "<!doctype html>" in whole
    assert "<!doctype html>" not in part


@pytest.mark.slow
def test_line_ends_of_a_pasted_text_are_those_of_the_file() -> None:
    artifact = gallery.store(draft_of(job_of("text")))
    pasted = TEXT.decode().replace("\n", "\r\n")
    html = Client().post("/verify/", {"text": pasted}).content.decode()
    assert "Made by this studio, unchanged" in html
    assert artifact.id.urn in html


def test_nothing_both_and_an_empty_file_are_said() -> None:
    for fields in ({}, {"text": "  "}, {"text": "a", "file": io.BytesIO(b"b")}):
        answer = Client().post("/verify/", fields)
        assert answer.status_code == 422
        assert "Give one thing to look at" in answer.content.decode()
    empty = Client().post("/verify/", {"file": io.BytesIO(b"")})
    assert "1 to 20,000,000" in empty.content.decode()


def test_the_root_certificate_is_public() -> None:
    answer = Client().get("/.well-known/tessera/root.pem")
    assert answer.status_code == 200
    assert answer.content.startswith(b"-----BEGIN CERTIFICATE-----")
    assert b"PRIVATE" not in answer.content
