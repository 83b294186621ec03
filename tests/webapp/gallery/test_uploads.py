"""Uploads: kept once and for a while, for one workspace alone, and checked before a job is taken in."""

import io
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from PIL import Image

from genworkers.contract.image import ImageRequest
from tests.factories import MembershipFactory
from tests.webapp.api.callers import signed_in
from tests.webapp.gallery.drafts import draft_of, job_of
from tests.webapp.gallery.picture_files import SVG, file_of, half_red
from webapp.errors import AppError
from webapp.gallery import pictures, services, storage, uploads
from webapp.gallery.models import Artifact, Upload
from webapp.jobs import services as jobs_services
from webapp.workspaces.models import Membership

pytestmark = pytest.mark.django_db
NOBODYS = "00000000-0000-7000-8000-000000000000"


@pytest.fixture
def member() -> Membership:
    found: Membership = MembershipFactory.create()
    return found


def kept(member: Membership, width_px: int = 60, height_px: int = 40) -> Upload:
    return uploads.keep(member.workspace, member.user, file_of(half_red(width_px, height_px)))


def kept_picture(member: Membership, **changes: Any) -> Artifact:
    return services.store(draft_of(job_of("image", workspace=member.workspace, created_by=member.user), **changes))


def refusal(member: Membership, **fields: Any) -> AppError:
    request = ImageRequest(prompt="a red apple", **fields)
    with pytest.raises(AppError) as refused:
        jobs_services.submit(user=member.user, workspace=member.workspace, request=request)
    return refused.value


def test_an_upload_is_kept_as_png_and_found_again(member: Membership) -> None:
    upload = uploads.keep(member.workspace, member.user, file_of(half_red(), "JPEG"))
    data = uploads.input_bytes(member.workspace.id, str(upload.id))
    assert (upload.width_px, upload.height_px, upload.num_bytes) == (60, 40, len(data))
    assert Image.open(io.BytesIO(data)).format == "PNG"


def test_the_same_picture_again_is_the_same_upload(member: Membership) -> None:
    assert kept(member) == kept(member)
    assert kept(member) != kept(MembershipFactory.create(workspace=member.workspace))


def test_nothing_is_kept_of_what_is_refused(member: Membership) -> None:
    with pytest.raises(AppError):
        uploads.keep(member.workspace, member.user, SVG)
    viewer = MembershipFactory.create(role="viewer")
    with pytest.raises(AppError) as refused:
        kept(viewer)
    assert refused.value.code == "forbidden"
    assert not Upload.objects.exists()


def test_no_row_stays_when_the_storage_is_full(member: Membership, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(name: str, data: bytes) -> None:
        raise AppError("storage_full", 507, "full")

    monkeypatch.setattr(storage, "put_as", full)
    with pytest.raises(AppError):
        kept(member)
    assert not Upload.objects.exists()


def test_a_day_has_a_limit(member: Membership, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_UPLOADS_A_DAY", 1)
    upload = kept(member)
    with pytest.raises(AppError) as refused:
        kept(member, 50)
    assert (refused.value.code, refused.value.http_status) == ("uploads_used_up", 429)
    Upload.objects.filter(id=upload.id).update(created_at=timezone.now() - timedelta(days=2))
    assert kept(member, 50).width_px == 50


def test_old_uploads_go_with_their_bytes(member: Membership) -> None:
    old, young = kept(member), kept(member, 50)
    Upload.objects.filter(id=old.id).update(created_at=timezone.now() - uploads.KEEP - timedelta(minutes=1))
    assert uploads.sweep() == 1
    assert list(Upload.objects.all()) == [young]
    assert not default_storage.exists(f"uploads/{old.id}.png")
    assert uploads.bytes_of(young)


def test_a_picture_of_the_gallery_can_be_an_input(member: Membership) -> None:
    artifact = kept_picture(member)
    data = uploads.input_bytes(member.workspace.id, str(artifact.id))
    assert Image.open(io.BytesIO(data)).size == (512, 512)
    request = ImageRequest(prompt="a red apple", start_image=str(artifact.id))
    uploads.check_inputs(request, member.workspace)


def test_inputs_of_others_held_pictures_texts_and_nothing_are_the_same_unknown(member: Membership) -> None:
    stranger = MembershipFactory.create()
    text = services.store(draft_of(job_of(workspace=member.workspace)))
    for input_id in (kept(stranger).id, kept_picture(stranger).id, kept_picture(member, is_held=True).id, text.id):
        error = refusal(member, start_image=str(input_id))
        assert error.message.replace(str(input_id), NOBODYS) == refusal(member, start_image=NOBODYS).message
        with pytest.raises(AppError):
            uploads.input_bytes(member.workspace.id, str(input_id))
    (problem,) = error.problems
    assert (problem["field"], problem["code"]) == ("start_image", "input_unknown")


def test_a_mask_must_be_an_upload_of_the_start_pictures_size(member: Membership) -> None:
    start, mask, other = kept(member), kept(member, 60, 41), kept_picture(member)
    error = refusal(member, start_image=str(start.id), mask=str(mask.id))
    (problem,) = error.problems
    assert problem == {
        "field": "mask",
        "code": "mask_size_differs",
        "message": "the mask must have the size of the start picture",
        "value": "60 x 41 px",
        "allowed": "60 x 40 px",
    }
    assert refusal(member, start_image=str(other.id), mask=str(other.id)).code == "input_unknown"
    fitting = ImageRequest(prompt="a red apple", start_image=str(start.id), mask=str(start.id))
    uploads.check_inputs(fitting, member.workspace)


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_every_strength_from_0_to_1_is_taken(member: Membership, strength: float) -> None:
    request = ImageRequest(prompt="a", start_image=str(kept(member).id), strength=strength)
    assert jobs_services.submit(user=member.user, workspace=member.workspace, request=request).status == "queued"


def test_the_browser_sends_a_picture_and_sees_it_again(member: Membership) -> None:
    client = signed_in(member)
    sent = client.post(
        f"/w/{member.workspace.slug}/uploads/", {"file": SimpleUploadedFile("a.png", file_of(half_red()))}
    )
    told = sent.json()
    assert (sent.status_code, told["width_px"], told["height_px"]) == (201, 60, 40)
    shown = client.get(told["url"])
    assert (shown.status_code, shown["Content-Type"], shown["X-Content-Type-Options"]) == (200, "image/png", "nosniff")
    assert signed_in(MembershipFactory.create()).get(told["url"]).status_code == 404


def test_the_browser_is_told_what_is_wrong(member: Membership) -> None:
    client = signed_in(member)
    address = f"/w/{member.workspace.slug}/uploads/"
    missing = client.post(address)
    assert (missing.status_code, missing.json()["code"]) == (422, "picture_missing")
    unreadable = client.post(address, {"file": SimpleUploadedFile("a.svg", SVG)})
    assert (unreadable.status_code, unreadable.json()["problems"][0]["field"]) == (422, "file")
    too_large = client.post(address, {"file": SimpleUploadedFile("a.png", bytes(pictures.MAX_BYTES + 1))})
    assert (too_large.status_code, too_large.json()["code"]) == (413, "picture_too_large")
    assert client.get(address).status_code == 405
    stranger = signed_in(MembershipFactory.create())
    assert stranger.post(address, {"file": SimpleUploadedFile("a.png", b"x")}).status_code == 404
    assert Client().post(address, {"file": SimpleUploadedFile("a.png", b"x")}).status_code == 401
    guarded = Client(enforce_csrf_checks=True)
    guarded.force_login(member.user)
    assert guarded.post(address, {"file": SimpleUploadedFile("a.png", file_of(half_red()))}).status_code == 403
    assert not Upload.objects.exists()
