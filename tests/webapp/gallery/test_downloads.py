"""The bytes over HTTP: the right ones, to the right people, under careful headers."""

import hashlib
import uuid

import pytest
from django.test import Client
from django.urls import reverse

from tests.factories import MembershipFactory
from tests.webapp.gallery.drafts import REVIEW_VERDICT, draft_of, job_of
from tests.webapp.provenance.samples import TEXT
from webapp.gallery import services
from webapp.gallery.models import Artifact
from webapp.provenance import services as provenance

pytestmark = pytest.mark.django_db

ADDRESSES = ("artifact_content", "artifact_thumbnail", "artifact_credentials")


def stored(kind: str = "text", **changes: object) -> Artifact:
    """A really signed and stored artifact."""
    prompt = "A red apple, <b>please</b>!"
    return services.store(draft_of(job_of(kind, prompt=prompt), **changes))


def client_with(artifact: Artifact, role: str = "viewer") -> Client:
    """A signed-in member of the artifact's workspace."""
    client = Client()
    client.force_login(MembershipFactory.create(workspace=artifact.workspace, role=role).user)
    return client


def address(artifact: Artifact, name: str = "artifact_content") -> str:
    """Where one of its files is."""
    return reverse(name, args=[artifact.id])


def test_a_text_comes_as_plain_text_with_a_link_to_its_credentials() -> None:
    artifact = stored("text")
    client = client_with(artifact)
    answer = client.get(address(artifact))
    assert answer.content == TEXT
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Cache-Control"] == "private, no-cache"
    assert answer["Content-Disposition"].startswith('inline; filename="a-red-apple-bpleaseb-')
    assert answer["Content-Disposition"].endswith('.txt"')
    assert answer["ETag"] == f'"{hashlib.sha256(TEXT).hexdigest()}"'
    target = f"http://testserver{address(artifact, 'artifact_credentials')}"
    assert answer["Link"] == f'<{target}>; rel="c2pa-manifest"'
    sidecar = client.get(target)
    assert sidecar["Content-Type"] == "application/c2pa"
    assert sidecar["Content-Disposition"].endswith('.c2pa"')
    assert provenance.read(TEXT, "text/plain", sidecar.content).is_ours


def test_a_picture_and_its_thumbnail_come_with_credentials_inside() -> None:
    artifact = stored("image")
    client = client_with(artifact)
    for name, media_type in (("artifact_content", "image/png"), ("artifact_thumbnail", "image/webp")):
        answer = client.get(address(artifact, name))
        assert answer["Content-Type"] == media_type
        assert provenance.read(answer.content, media_type).is_ours
    report = client.get(address(artifact, "artifact_credentials")).json()
    assert (report["state"], report["is_ours"], report["problems"]) == ("valid", True, [])
    assert report["manifest"]["active_manifest"]


def test_download_saves_under_a_name() -> None:
    artifact = stored("image")
    answer = client_with(artifact).get(address(artifact), {"download": "1"})
    assert answer["Content-Disposition"].startswith('attachment; filename="a-red-apple-')
    assert answer["Content-Disposition"].endswith(f'-{artifact.id.hex[-8:]}.png"')


def test_what_the_browser_has_is_not_sent_again() -> None:
    artifact = stored("text")
    client = client_with(artifact)
    etag = client.get(address(artifact))["ETag"]
    answer = client.get(address(artifact), headers={"If-None-Match": etag})
    assert (answer.status_code, answer.content, answer["ETag"]) == (304, b"", etag)
    assert client.get(address(artifact), headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize(
    ("asked", "status", "start", "end"),
    [
        ("bytes=0-3", 206, 0, 4),
        ("bytes=5-", 206, 5, None),
        ("bytes=-5", 206, -5, None),
        ("bytes=2-999999", 206, 2, None),
        ("bytes=-999999", 206, 0, None),
        ("bytes=3-1", 200, 0, None),
        ("bytes=0-1,4-5", 200, 0, None),
        ("bytes=-", 200, 0, None),
        ("lines=1-2", 200, 0, None),
        ("nonsense", 200, 0, None),
    ],
)
def test_one_byte_range_is_served(asked: str, status: int, start: int, end: int | None) -> None:
    artifact = stored("text")
    answer = client_with(artifact).get(address(artifact), headers={"Range": asked})
    assert answer.status_code == status
    assert answer.content == TEXT[start:end]
    assert ("Content-Range" in answer) is (status == 206)


def test_a_range_beyond_the_end_is_refused() -> None:
    artifact = stored("text")
    for asked in ("bytes=99999-", "bytes=-0"):
        answer = client_with(artifact).get(address(artifact), headers={"Range": asked})
        assert (answer.status_code, answer["Content-Range"]) == (416, f"bytes */{len(TEXT)}")


def test_a_range_of_another_version_gets_the_whole() -> None:
    artifact = stored("text")
    answer = client_with(artifact).get(address(artifact), headers={"Range": "bytes=0-3", "If-Range": '"other"'})
    assert (answer.status_code, answer.content) == (200, TEXT)


@pytest.mark.parametrize("name", ADDRESSES)
def test_strangers_get_404_for_every_file_and_range(name: str) -> None:
    artifact = stored("image")
    stranger = Client()
    stranger.force_login(MembershipFactory.create(role="owner").user)
    for client in (stranger, Client()):
        for headers in ({}, {"Range": "bytes=0-3"}, {"If-None-Match": "*"}):
            assert client.get(address(artifact, name), headers=headers).status_code == 404
    assert client_with(artifact).get(reverse(name, args=[uuid.uuid4()])).status_code == 404


@pytest.mark.parametrize("name", ADDRESSES)
@pytest.mark.parametrize(("role", "status"), [("owner", 200), ("reviewer", 200), ("editor", 404), ("viewer", 404)])
def test_what_is_held_only_a_reviewing_role_gets(name: str, role: str, status: int) -> None:
    artifact = stored("image", is_held=True, verdicts=[REVIEW_VERDICT])
    assert client_with(artifact, role).get(address(artifact, name)).status_code == status


def test_a_text_has_no_thumbnail_and_nothing_can_be_posted() -> None:
    artifact = stored("text")
    client = client_with(artifact, "owner")
    assert client.get(address(artifact, "artifact_thumbnail")).status_code == 404
    assert client.post(address(artifact)).status_code == 405
    assert client.head(address(artifact)).status_code == 200
