"""The verify page: for everybody, with and without JavaScript."""

import io
import re
import uuid
from pathlib import Path

import c2pa
import pytest
from django.core.cache import caches
from django.test import Client
from playwright.sync_api import Page, expect
from pytest_django import Settings

from tests.factories import MembershipFactory
from tests.webapp.api.callers import signed_in
from tests.webapp.gallery.drafts import draft_of, job_of
from tests.webapp.provenance.samples import PNG, STORY, facts_of
from webapp.gallery import services as gallery
from webapp.gallery import storage
from webapp.provenance import authority, services
from webapp.provenance.manifest import DISCLOSURE_LABEL
from webapp.provenance.services import MarkFacts

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
    job, artifact_id = job_of("text"), uuid.uuid4()
    text = f"{STORY}\n\n{STORY}\n"
    mark = MarkFacts("text.1", "0123456789ab")
    signed = services.sign(text.encode(), "text/plain", facts=facts_of(artifact_id, job.id, mark))
    artifact = gallery.store(draft_of(job, artifact_id=artifact_id, original=signed, mark=mark))
    pasted = text.replace("\n", "\r\n")
    html = Client().post("/verify/", {"text": pasted}).content.decode()
    assert "Made by this studio, unchanged" in html
    assert artifact.id.urn in html


def signed_by_a_stranger_at(told: str, folder: Path) -> bytes:
    """A picture with whole credentials of another authority that claim this signing time."""
    theirs = authority.load(folder / "another")
    signer = c2pa.C2paSignerInfo(theirs.algorithm, theirs.chain_pem.encode(), theirs.signer_key_pem.encode(), None)
    claims = {"label": DISCLOSURE_LABEL, "data": {"signed": told}, "created": True}
    definition = {"claim_generator_info": [{"name": "x", "version": "1"}], "assertions": [claims]}
    target = io.BytesIO()
    context = c2pa.Context.from_dict({"verify": {"verify_after_sign": False}}, signer=c2pa.Signer.from_info(signer))
    with c2pa.Builder(definition, context=context) as builder:
        builder.set_intent(c2pa.C2paBuilderIntent.CREATE, c2pa.C2paDigitalSourceType.DIGITAL_CAPTURE)
        builder.sign("image/png", io.BytesIO(PNG), target)
    return target.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("2026-03-01T12:00:00+02:00", "1 March 2026, 10:00 UTC"),
        ("2026-03-01T12:00:00", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-14:00", None),
        ("yesterday", None),
    ],
)
def test_a_strangers_signing_time_is_shown_only_where_it_is_one(told: str, shown: str | None, tmp_path: Path) -> None:
    answer = Client().post("/verify/", {"file": io.BytesIO(signed_by_a_stranger_at(told, tmp_path))})
    html = answer.content.decode()
    assert answer.status_code == 200
    assert "Signed by somebody else, unchanged" in html
    assert ("<dt>Signed</dt>" in html) == (shown is not None)
    assert shown is None or shown in html


@pytest.mark.slow
def test_what_a_stranger_claims_does_not_stand_under_our_record(tmp_path: Path) -> None:
    artifact = gallery.store(draft_of(job_of("image")))
    with storage.open_blob(artifact.files.get(role="original").sha256) as file:
        ours = lists_of(file.read())
    assert ours["What our record says"] == ["Made", "By", "Record"]
    assert ours["What its credentials claim"] == ["Made of", "Signed"]
    theirs = lists_of(signed_by_a_stranger_at("2026-03-01T12:00:00+02:00", tmp_path))
    assert theirs == {"What its credentials claim": ["Made of", "Signed"], "What was looked at": ["File", "SHA-256"]}


def lists_of(data: bytes) -> dict[str, list[str]]:
    """What the page lists of a file, under each heading."""
    html = Client().post("/verify/", {"file": io.BytesIO(data)}).content.decode()
    parts = re.findall(r"<summary>(What [^<]+)</summary>(.*?)</details>", html, re.DOTALL)
    return {heading: re.findall(r"<dt>([^<]+)</dt>", listed) for heading, listed in parts}


@pytest.mark.slow
@pytest.mark.browser
def test_a_refusal_is_shown_and_the_next_question_can_be_asked(page: Page, settings: Settings) -> None:
    settings.VERIFY_RATE = "1/m"
    page.set_viewport_size({"width": 390, "height": 640})
    page.goto("/verify/")
    button = page.get_by_role("button", name="Look at it")
    page.fill("#id_text", "Words of my own.")
    button.click()
    expect(page.locator("#verdict")).to_contain_text("Too short to tell")
    button.click()
    expect(page.locator("#notice")).to_contain_text("This address has asked too often")
    expect(page.locator("#notice .notice")).to_be_in_viewport()
    expect(button).to_be_enabled()
    page.route("**/verify/", lambda route: route.abort())
    button.click()
    expect(page.locator("#notice")).to_contain_text("The studio did not answer")
    expect(button).to_be_enabled()
    page.unroute("**/verify/")
    settings.VERIFY_RATE = "30/m"
    button.click()
    expect(page.locator("#notice")).to_be_empty()
    expect(button).to_be_enabled()


@pytest.mark.slow
@pytest.mark.browser
def test_credentials_go_with_what_they_were_given_with(page: Page, tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt", "a.c2pa"):
        (tmp_path / name).write_text(name)
    page.goto("/verify/")
    credentials = page.locator("#id_credentials")
    page.click("text=Its credentials came in a file of their own")
    credentials.set_input_files(tmp_path / "a.c2pa")  # also before what they belong to
    page.set_input_files("#id_file", tmp_path / "a.txt")
    expect(credentials).to_have_value(re.compile("a.c2pa"))
    page.set_input_files("#id_file", tmp_path / "b.txt")
    expect(credentials).to_have_value("")
    credentials.set_input_files(tmp_path / "a.c2pa")
    page.fill("#id_text", "Words of my own.")
    expect(page.locator("[data-file-name]")).to_have_text("Choose a file")
    expect(credentials).to_have_value("")
    credentials.set_input_files(tmp_path / "a.c2pa")
    page.fill("#id_text", "Other words.")
    expect(credentials).to_have_value("")


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
