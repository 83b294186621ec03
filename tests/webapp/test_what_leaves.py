"""Whatever leaves as bytes is signed by this studio and on record: every address is asked, and none is left out."""

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import URLResolver, get_resolver
from pytest_django import Settings

from tests.factories import MembershipFactory
from tests.webapp.api.callers import keyed, signed_in
from tests.webapp.gallery.drafts import draft_of, job_of
from webapp.api.openai import picture_links
from webapp.env import BASE_DIR
from webapp.gallery import conversions, selectors, services, uploads
from webapp.gallery.models import Artifact, ArtifactFile
from webapp.provenance import services as provenance
from webapp.workspaces.models import Membership

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

# What is no output: pages, data and events about outputs, and what a person gave or a certificate is.
WORDS = ("text/html", "application/json", "text/event-stream", "application/problem+json")
NOT_MADE_HERE = {"upload_content", "get_upload_content", "root_certificate", "audit_download"}
# Made by a net, but not for anybody: signed, without an artifact.
OF_A_NET = {"drift_atlas"}


@pytest.fixture
def owner() -> Membership:
    found: Membership = MembershipFactory.create()
    return found


@pytest.fixture
def places(owner: Membership) -> dict[str, list[str]]:
    """What stands for each parameter of an address: everything that this member could put there."""
    made = [
        services.store(draft_of(job_of(kind, workspace=owner.workspace, created_by=owner.user)))
        for kind in ("image", "text")
    ]
    upload = uploads.keep(owner.workspace, owner.user, base64.b64decode(PNG_1PX))
    picture = made[0]
    return {
        "slug": [owner.workspace.slug],
        "net": ["drift"],
        "name": ["drift"],
        "model_id": ["mosaic"],
        "job_id": [str(artifact.job_id) for artifact in made],
        "artifact_id": [str(artifact.id) for artifact in made],
        "upload_id": [str(upload.id)],
        "token": [picture_links.link_to(picture.id, name).rpartition("/")[2] for name in ("png", "webp", "jpeg")],
        "key_id": ["00000000-0000-0000-0000-000000000000"],
        "rest": ["nowhere"],
        "key": ["x"],
        "uidb36": ["1"],
        "decision_id": ["00000000-0000-0000-0000-000000000000"],
    }


PNG_1PX = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def routes(resolver: Any = None, prefix: str = "/") -> Iterator[tuple[str, str]]:
    """The name and the pattern of every address of the site."""
    for entry in (resolver or get_resolver()).url_patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from routes(entry, route)
        elif "^" not in route:  # allauth's own, by regular expression: pages
            yield entry.name or route, route


def addresses(route: str, places: dict[str, list[str]]) -> Iterator[str]:
    """The route with each of the things that its parameter can be; and in every format where it has formats."""
    start, found, rest = route.partition("<")
    if not found:
        yield route
        return
    parameter, _, end = rest.partition(">")
    for value in places[parameter.rpartition(":")[2]]:
        for formats in ("", "?format=webp", "?format=jpeg", "?format=svg") if end == "/content" else ("",):
            yield f"{start}{value}{end}{formats}"


def test_every_address_that_gives_bytes_gives_signed_and_recorded_ones(
    owner: Membership, places: dict[str, list[str]], settings: Settings
) -> None:
    settings.NETS_DIR = BASE_DIR / "genworkers" / "weights"
    checked: set[str] = set()
    clients = [signed_in(owner), keyed(owner)]
    for name, route in routes():
        for address in addresses(route, places):
            for client in clients:
                response = client.get(address)
                media_type = response.headers.get("Content-Type", "").partition(";")[0]
                if response.status_code != 200 or media_type in WORDS or name in NOT_MADE_HERE:
                    continue
                check(response.getvalue(), media_type, address, is_of_a_net=name in OF_A_NET)
                checked.add(name)
    assert (
        checked
        == {
            "artifact_content",
            "artifact_thumbnail",
            "artifact_credentials",
            "get_content",
            "get_thumbnail",
            "get_credentials",
            "get_linked_picture",
        }
        | OF_A_NET
    )


def check(data: bytes, media_type: str, address: str, *, is_of_a_net: bool) -> None:
    """These bytes are signed by us, and the record of their artifact says how they were screened and marked."""
    sha256 = hashlib.sha256(data).hexdigest()
    if is_of_a_net:
        report = provenance.read(data, media_type)
        assert (report.state, report.is_ours) == ("valid", True), address
        return
    file = ArtifactFile.objects.select_related("artifact__mark", "artifact__fingerprint").get(sha256=sha256)
    if file.role == "sidecar":
        return
    sidecar = None
    if media_type == "text/plain":
        with selectors.open_file(file.artifact, "sidecar") as opened:
            sidecar = opened.read()
    report = provenance.read(data, media_type, sidecar)
    assert (report.state, report.is_ours, report.problems) == ("valid", True, []), address
    assert file.credential.manifest_label == report.manifest_label, address
    assert file.artifact.mark.scheme, address
    assert file.artifact.fingerprint.value, address
    assert {verdict.stage for verdict in file.artifact.verdicts.all()} >= {"prompt", "output"}, address


def test_every_kind_of_stored_file_was_asked_for(owner: Membership, places: dict[str, list[str]]) -> None:
    picture = Artifact.objects.get(id=places["artifact_id"][0])
    for name in ("webp", "jpeg", "svg"):
        conversions.in_format(picture, name)
    roles = set(ArtifactFile.objects.values_list("role", flat=True))
    assert roles == set(ArtifactFile.Role.values)
