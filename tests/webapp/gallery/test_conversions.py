"""Other formats of a picture: right, signed with the original as parent, made once, and refused where impossible."""

import concurrent.futures
import io
import json

import pytest
from django.db import connection
from PIL import Image

from tests.factories import MembershipFactory
from tests.webapp.api.callers import keyed, signed_in
from tests.webapp.gallery.drafts import draft_of, job_of
from tests.webapp.provenance.samples import MARK, PICTURE, encoded, facts_of
from webapp import processes
from webapp.errors import AppError
from webapp.gallery import conversions, selectors, services
from webapp.gallery.models import Artifact, ArtifactFile
from webapp.gallery.picture_tracer import traced
from webapp.provenance import manifest
from webapp.provenance import services as provenance
from webapp.workspaces.models import Membership

pytestmark = pytest.mark.django_db(transaction=True)
FORMATS = {"webp": "image/webp", "jpeg": "image/jpeg", "svg": "image/svg+xml"}


@pytest.fixture
def member() -> Membership:
    found: Membership = MembershipFactory.create()
    return found


def kept(member: Membership, kind: str = "image") -> Artifact:
    artifact = services.store(draft_of(job_of(kind, workspace=member.workspace, created_by=member.user)))
    found = selectors.artifact_for_viewer(member.user, artifact.id)
    assert found is not None
    return found


def bytes_of(file: ArtifactFile) -> bytes:
    with selectors.open_bytes(file) as opened:
        data: bytes = opened.read()
    return data


@pytest.mark.parametrize("name", FORMATS)
def test_a_conversion_carries_credentials_that_name_the_original_as_parent(member: Membership, name: str) -> None:
    artifact = kept(member)
    file = conversions.in_format(artifact, name)
    report = provenance.read(bytes_of(file), FORMATS[name])
    assert (file.media_type, report.state, report.is_ours, report.problems) == (FORMATS[name], "valid", True, [])
    original = selectors.file_of(artifact, "original")
    assert original is not None
    active = report.manifest["manifests"][report.manifest_label]
    assert active["ingredients"][0]["active_manifest"] == original.credential.manifest_label
    assert active["ingredients"][0]["relationship"] == "parentOf"
    told = json.dumps(active["assertions"])
    assert "c2pa.transcoded" in told
    assert "c2pa.resized" not in told
    assert file.credential.manifest_label == report.manifest_label


@pytest.mark.slow
def test_it_is_made_once_also_by_two_at_once(member: Membership) -> None:
    artifact = kept(member)

    def convert(_: int) -> int:
        try:
            found = selectors.artifact_for_viewer(member.user, artifact.id)
            assert found is not None
            return conversions.in_format(found, "webp").id
        finally:
            connection.close()

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        ids = set(pool.map(convert, range(4)))
    assert len(ids) == 1
    assert ArtifactFile.objects.filter(artifact=artifact, role="webp").count() == 1


def test_jpeg_lies_on_white_or_on_the_ground_that_was_asked_for() -> None:
    clear = Image.new("RGBA", (8, 8))
    assert conversions.on_ground(clear, "transparent").getpixel((0, 0)) == (255, 255, 255)
    assert conversions.on_ground(clear, "#ff8000").getpixel((0, 0)) == (255, 128, 0)


def test_svg_keeps_size_and_transparency() -> None:
    disc = Image.new("RGBA", (1024, 1024))
    disc.paste((255, 0, 0, 255), (100, 100, 900, 900))
    svg = traced(encoded(disc, "PNG"), is_pixel_art=False)
    assert 'width="1024" height="1024" viewBox="1 1 512 512"' in svg
    assert svg.count("<path") == 1
    corners = Image.new("RGBA", (512, 512), (0, 0, 255, 255))
    corners.paste((0, 0, 0, 0), (0, 0, 9, 9))
    assert 'fill="#000000"' not in traced(encoded(corners, "PNG"), is_pixel_art=True)


def test_a_picture_that_cannot_be_traced_in_time_is_said_so(
    member: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "TIMEOUT_S", 0.001)
    with pytest.raises(AppError) as refused:
        conversions.in_format(kept(member), "svg")
    assert refused.value.code == "conversion_failed"
    assert not ArtifactFile.objects.filter(role="svg").exists()


@pytest.mark.slow
def test_texts_and_unknown_formats_are_refused_with_what_there_is(member: Membership) -> None:
    for artifact, name, allowed in (
        (kept(member), "bmp", "png or webp or jpeg or svg"),
        (kept(member, "text"), "svg", "txt"),
    ):
        with pytest.raises(AppError) as refused:
            conversions.in_format(artifact, name)
        assert refused.value.problems[0]["allowed"] == allowed


def test_a_copy_without_the_original_as_parent_is_not_kept(member: Membership) -> None:
    artifact = kept(member)
    lone = provenance.sign(encoded(PICTURE, "WEBP"), "image/webp", facts=facts_of(artifact.id))
    with pytest.raises(services.RefusedError, match="parent"):
        services.store_copy(artifact, ArtifactFile.Role.WEBP, lone, original_label="urn:c2pa:other", mark=MARK)


@pytest.mark.slow
def test_a_copy_carries_the_mark_of_its_original_and_paths_say_that_they_have_none(member: Membership) -> None:
    artifact = kept(member)
    for name, has_mark in (("webp", True), ("jpeg", True), ("svg", False)):
        file = conversions.in_format(artifact, name)
        with selectors.open_bytes(file) as opened:
            report = provenance.read(opened.read(), file.media_type)
        bound = manifest.binding_of(report.manifest["manifests"][report.manifest_label])
        assert bound == ((f"org.tessera.mark.{artifact.mark.scheme}", artifact.mark.payload) if has_mark else None)


@pytest.mark.slow
def test_formats_are_served_to_members_and_listed_by_the_api(member: Membership) -> None:
    artifact = kept(member)
    address = f"/artifacts/{artifact.id}/content"
    svg = signed_in(member).get(f"{address}?format=svg&download=1")
    assert (svg.status_code, svg["Content-Type"], svg["X-Content-Type-Options"]) == (200, "image/svg+xml", "nosniff")
    assert svg["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert svg["Content-Disposition"].endswith('.svg"')
    jpeg = signed_in(member).get(f"{address}?format=jpeg")
    assert Image.open(io.BytesIO(jpeg.content)).format == "JPEG"
    assert signed_in(member).get(f"{address}?format=jpeg", headers={"If-None-Match": jpeg["ETag"]}).status_code == 304
    assert signed_in(member).get(f"{address}?format=bmp").status_code == 422
    assert signed_in(MembershipFactory.create()).get(f"{address}?format=svg").status_code == 404
    told = keyed(member).get(f"/api/v1/artifacts/{artifact.id}").json()
    assert list(told["urls"]["formats"]) == ["png", "webp", "jpeg", "svg"]
    assert {file["role"] for file in told["files"]} == {"original", "thumbnail", "jpeg", "svg"}
    webp = keyed(member).get(f"/api/v1/artifacts/{artifact.id}/content?format=webp")
    assert webp["Content-Type"] == "image/webp"
    refused = keyed(member).get(f"/api/v1/artifacts/{artifact.id}/content?format=bmp").json()
    assert (refused["code"], refused["problems"][0]["field"]) == ("format_unknown", "format")
