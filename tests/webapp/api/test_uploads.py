"""/uploads: a picture goes in once, and a job of the same workspace begins with it."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from tests.factories import MembershipFactory
from tests.webapp.api.callers import keyed, signed_in
from tests.webapp.gallery.picture_files import SVG, animated, file_of, half_red
from webapp.gallery.models import Upload
from webapp.workspaces.models import Membership

pytestmark = pytest.mark.django_db


@pytest.fixture
def member() -> Membership:
    found: Membership = MembershipFactory.create()
    return found


def sent(data: bytes) -> dict[str, SimpleUploadedFile]:
    return {"file": SimpleUploadedFile("picture.png", data, content_type="image/png")}


def test_a_key_uploads_a_picture_and_a_job_begins_with_it(member: Membership) -> None:
    client = keyed(member)
    answer = client.post("/api/v1/uploads", sent(file_of(half_red())))
    told = answer.json()
    assert (answer.status_code, told["width_px"], told["height_px"]) == (201, 60, 40)
    assert client.get(f"/api/v1/uploads/{told['id']}").json() == told
    assert client.get(f"/api/v1/uploads/{told['id']}/content")["Content-Type"] == "image/png"
    body = {"kind": "image", "prompt": "a red apple", "start_image": told["id"]}
    assert client.post("/api/v1/jobs", body, content_type="application/json").status_code == 202


@pytest.mark.parametrize(
    ("data", "status", "code"), [(SVG, 422, "picture_unreadable"), (animated("GIF"), 422, "picture_animated")]
)
def test_a_bad_file_is_a_problem_with_its_field(member: Membership, data: bytes, status: int, code: str) -> None:
    answer = keyed(member).post("/api/v1/uploads", sent(data))
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["problems"][0]["field"]) == (status, code, "file")
    assert not Upload.objects.exists()


def test_no_file_is_named_as_missing(member: Membership) -> None:
    for body in ({}, {"file": "a text"}):
        answer = keyed(member).post("/api/v1/uploads", body)
        assert (answer.status_code, answer.json()["problems"][0]["field"]) == (422, "file")
    answer = keyed(member).post("/api/v1/uploads", "{}", content_type="application/json")
    assert answer.status_code == 422


def test_others_find_nothing_and_readers_may_not_upload(member: Membership) -> None:
    upload_id = keyed(member).post("/api/v1/uploads", sent(file_of(half_red()))).json()["id"]
    elsewhere = MembershipFactory.create(user=member.user)
    for client in (keyed(MembershipFactory.create()), keyed(elsewhere)):
        assert client.get(f"/api/v1/uploads/{upload_id}").status_code == 404
        assert client.get(f"/api/v1/uploads/{upload_id}/content").status_code == 404
        body = {"kind": "image", "prompt": "a red apple", "start_image": upload_id}
        refused = client.post("/api/v1/jobs", body, content_type="application/json")
        assert (refused.status_code, refused.json()["code"]) == (422, "input_unknown")
    assert keyed(member, "read").post("/api/v1/uploads", sent(b"x")).json()["code"] == "scope_missing"
    viewer = MembershipFactory.create(workspace=member.workspace, role="viewer")
    assert signed_in(viewer).get(f"/api/v1/uploads/{upload_id}").status_code == 200
