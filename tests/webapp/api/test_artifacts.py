"""/api/v1/artifacts and /nets: every fact, and the bytes as they were signed."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from tests.factories import ArtifactFactory, JobFactory, MembershipFactory
from tests.webapp.api.callers import keyed
from tests.webapp.gallery.drafts import draft_of
from tests.webapp.provenance.samples import TEXT
from webapp.gallery import services
from webapp.gallery.models import Artifact
from webapp.workspaces.models import Membership

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner() -> Membership:
    return MembershipFactory.create(workspace__slug="studio")


@pytest.fixture
def api(owner: Membership) -> Client:
    return keyed(owner, "read")


def stored(owner: Membership, kind: str) -> Artifact:
    """A really signed and stored artifact."""
    job = JobFactory.create(
        kind=kind, status="running", workspace=owner.workspace, created_by=owner.user, prompt="A red apple"
    )
    return services.store(draft_of(job))


def items(api: Client, query: str = "") -> list[Any]:
    response = api.get(f"/api/v1/artifacts{query}")
    assert response.status_code == 200, response.content
    found: list[Any] = response.json()["items"]
    return found


def test_an_artifact_tells_everything_that_is_known(api: Client, owner: Membership) -> None:
    artifact = stored(owner, "image")
    body = api.get(f"/api/v1/artifacts/{artifact.id}").json()
    assert body["request"] == artifact.request
    assert (body["seed"], body["net"], body["checkpoint_sha256"]) == (2**63 - 1, "mosaic", "c" * 64)
    assert (body["versions"], body["timings"]) == ({"torch": "2.13.0"}, {"engine_s": 1.5})
    assert (body["width_px"], body["height_px"], body["num_tokens"]) == (512, 512, None)
    assert (body["created_by"], body["workspace"]) == (owner.user.username, "studio")
    assert body["mark"] == {"scheme": "none", "key_id": "", "payload": "", "note": "made by a test"}
    assert {verdict["stage"] for verdict in body["verdicts"]} >= {"output"}
    assert {verdict["action"] for verdict in body["verdicts"]} == {"allow"}
    original, thumbnail = sorted(body["files"], key=lambda file: str(file["role"]))
    assert (original["role"], original["media_type"], thumbnail["role"]) == ("original", "image/png", "thumbnail")
    assert original["credentials"]["is_embedded"]
    assert len(original["credentials"]["certificate_sha256"]) == 64
    assert body["urls"]["self"].endswith(f"/api/v1/artifacts/{artifact.id}")


def test_its_list_entry_is_the_short_form(api: Client, owner: Membership) -> None:
    artifact = stored(owner, "text")
    whole = api.get(f"/api/v1/artifacts/{artifact.id}").json()
    (entry,) = items(api)
    assert entry == {name: whole[name] for name in entry}
    assert {"request", "files", "mark", "verdicts", "versions", "timings"}.isdisjoint(entry)
    assert entry["urls"]["thumbnail"] is None
    assert entry["excerpt"] == TEXT.decode()


def test_every_address_of_an_artifact_answers(api: Client, owner: Membership) -> None:
    urls = api.get(f"/api/v1/artifacts/{stored(owner, 'image').id}").json()["urls"]
    for name in ("self", "content", "thumbnail", "credentials", "job"):
        assert api.get(urls[name]).status_code == 200, name


@pytest.mark.parametrize("kind", ["text", "image"])
def test_the_bytes_are_the_signed_ones(api: Client, owner: Membership, kind: str) -> None:
    artifact = stored(owner, kind)
    body = api.get(f"/api/v1/artifacts/{artifact.id}").json()
    original = next(file for file in body["files"] if file["role"] == "original")
    response = api.get(f"/api/v1/artifacts/{artifact.id}/content")
    assert hashlib.sha256(response.content).hexdigest() == original["sha256"]
    assert len(response.content) == original["num_bytes"]
    assert response["ETag"] == f'"{original["sha256"]}"'
    assert response["Cache-Control"] == "private, no-cache"
    again = api.get(f"/api/v1/artifacts/{artifact.id}/content", headers={"If-None-Match": response["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_range_outside_the_file_is_a_problem(api: Client, owner: Membership) -> None:
    address = f"/api/v1/artifacts/{stored(owner, 'text').id}/content"
    assert api.get(address, headers={"Range": "bytes=0-3"}).content == TEXT[:4]
    outside = api.get(address, headers={"Range": "bytes=9000-"})
    assert (outside.status_code, outside.json()["code"]) == (416, "range_not_satisfiable")
    assert outside["Content-Range"] == f"bytes */{len(TEXT)}"


def test_a_text_names_its_sidecar_by_an_address_that_the_key_can_use(api: Client, owner: Membership) -> None:
    artifact = stored(owner, "text")
    link = api.get(f"/api/v1/artifacts/{artifact.id}/content")["Link"]
    address = link.split(">")[0].removeprefix("<")
    assert address.endswith(f"/api/v1/artifacts/{artifact.id}/credentials")
    sidecar = api.get(address)
    assert sidecar["Content-Type"] == "application/c2pa"
    assert api.get(f"/api/v1/artifacts/{artifact.id}/thumbnail").status_code == 404


def test_a_picture_reports_on_its_own_credentials(api: Client, owner: Membership) -> None:
    report = api.get(f"/api/v1/artifacts/{stored(owner, 'image').id}/credentials").json()
    assert (report["state"], report["is_ours"], report["problems"]) == ("valid", True, [])


def test_the_gallery_is_filtered_and_searched(api: Client, owner: Membership) -> None:
    apple = ArtifactFactory.create(owner=owner, job__kind="image", job__prompt="a red apple")
    boat = ArtifactFactory.create(owner=owner, job__prompt="A brave little boat")
    ArtifactFactory.create(owner=owner, status="held")
    ArtifactFactory.create()
    assert [item["id"] for item in items(api)] == [str(boat.id), str(apple.id)]
    assert [item["id"] for item in items(api, "?kind=image")] == [str(apple.id)]
    assert [item["id"] for item in items(api, "?q=BOAT+brave")] == [str(boat.id)]
    assert [item["id"] for item in items(api, f"?job={apple.job_id}")] == [str(apple.id)]
    assert items(api, "?q=50%25") == []
    assert items(api, "?q=%00") == items(api)


def test_the_gallery_comes_in_pages(api: Client, owner: Membership) -> None:
    made = [str(ArtifactFactory.create(owner=owner, job__kind="image").id) for _ in range(3)]
    first = api.get("/api/v1/artifacts?limit=2&kind=image").json()
    assert [item["id"] for item in first["items"]] == [made[2], made[1]]
    second = api.get(first["next"]).json()
    assert ([item["id"] for item in second["items"]], second["next"]) == ([made[0]], None)


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("?kind=film", 422, "invalid_request"),
        (f"?q={'x' * 201}", 422, "invalid_request"),
        ("?job=x", 422, "invalid_request"),
        ("?job=00000000-0000-7000-8000-000000000000", 404, "not_found"),
        ("?workspace=elsewhere", 404, "not_found"),
        ("/00000000-0000-7000-8000-000000000000", 404, "not_found"),
        ("/x/content", 404, "not_found"),
    ],
)
def test_a_wrong_question_is_named(api: Client, query: str, status: int, code: str) -> None:
    response = api.get(f"/api/v1/artifacts{query}")
    assert (response.status_code, response.json()["code"]) == (status, code)


def test_nets_are_listed_and_told(api: Client) -> None:
    names = [(net["name"], net["kind"]) for net in api.get("/api/v1/nets").json()["items"]]
    assert names == [("llama-tessera-text", "text"), ("mosaic", "image")]
    net = api.get("/api/v1/nets/llama-tessera-text").json()
    assert (net["notice"], net["sha256"]) == ("Built with Llama", "c" * 64)
    assert api.get("/api/v1/nets/nowhere").status_code == 404


def test_a_studio_without_nets_lists_none(api: Client, settings: Any, tmp_path: Path) -> None:
    settings.NETS_DIR = tmp_path
    assert api.get("/api/v1/nets").json() == {"items": []}
