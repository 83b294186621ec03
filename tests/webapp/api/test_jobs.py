"""/api/v1/jobs: created once, listed in pages, cancelled once."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from genworkers.contract.text import TextRequest
from tests.factories import BlockedTermFactory, JobFactory, MembershipFactory
from tests.webapp.api.callers import keyed, signed_in
from webapp.api.idempotency import KEEP
from webapp.api.models import IdempotencyRecord
from webapp.jobs.models import Job
from webapp.workspaces.models import Membership

pytestmark = pytest.mark.django_db

BODY = {"kind": "text", "prompt": "Write a story about a brave little boat.", "seed": 7}
UNKNOWN = "/api/v1/jobs/00000000-0000-7000-8000-000000000000"


@pytest.fixture
def owner() -> Membership:
    return MembershipFactory.create(workspace__slug="studio")


@pytest.fixture
def api(owner: Membership) -> Client:
    return keyed(owner)


def post(api: Client, body: Any = BODY, **headers: str) -> Any:
    return api.post("/api/v1/jobs", body, content_type="application/json", headers=headers)


def test_a_job_is_accepted_with_its_address(api: Client, owner: Membership) -> None:
    response = post(api)
    assert response.status_code == 202, response.content
    body = response.json()
    assert response["Location"] == body["urls"]["self"]
    assert response["Location"].endswith(f"/api/v1/jobs/{body['id']}")
    assert (body["status"], body["workspace"], body["position"]) == ("queued", "studio", 1)
    assert body["request"]["seed"] == 7
    assert body["request"]["max_tokens"] == TextRequest.model_fields["max_tokens"].default
    job = Job.objects.get()
    assert (str(job.id), job.workspace, job.created_by) == (body["id"], owner.workspace, owner.user)
    assert job.api_key is not None
    assert api.get(f"/api/v1/jobs/{job.id}").json() == body


def test_an_image_job_is_accepted(api: Client) -> None:
    response = post(api, {"kind": "image", "prompt": "a red apple", "num_images": 2})
    assert response.status_code == 202, response.content
    assert response.json()["request"]["num_images"] == 2
    assert response.json()["request"]["seed"] >= 0


@pytest.mark.parametrize("prompt", ["שלום עולם", "🚣 a boat 👩‍👩‍👧", "a\nb\tc", "é" * 4000])
def test_any_printable_prompt_comes_back_unchanged(api: Client, prompt: str) -> None:
    response = post(api, {"kind": "text", "prompt": prompt})
    assert response.status_code == 202, response.content
    assert response.json()["prompt"] == prompt


def test_a_blocked_prompt_makes_a_blocked_job(api: Client, owner: Membership) -> None:
    BlockedTermFactory.create(workspace=owner.workspace, term="brave little boat")
    response = post(api)
    assert response.status_code == 202
    assert (response.json()["status"], response.json()["error"]["code"]) == ("blocked", "prompt_blocked")


def test_the_same_key_and_body_get_the_first_answer_again(api: Client) -> None:
    first = post(api, **{"Idempotency-Key": "order-17"})
    again = post(api, **{"Idempotency-Key": "order-17"})
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json() == first.json()
    assert again["Location"] == first["Location"]
    assert (first.get("Idempotency-Replayed"), again["Idempotency-Replayed"]) == (None, "true")
    assert Job.objects.count() == 1


def test_the_same_key_with_another_body_is_refused(api: Client) -> None:
    post(api, **{"Idempotency-Key": "order-17"})
    other = post(api, BODY | {"seed": 8}, **{"Idempotency-Key": "order-17"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert Job.objects.count() == 1


def test_a_key_is_busy_while_its_first_request_waits(api: Client) -> None:
    post(api, **{"Idempotency-Key": "order-17"})
    record = IdempotencyRecord.objects.get()
    record.busy_until = record.created_at + timedelta(seconds=60)
    record.save()
    busy = post(api, **{"Idempotency-Key": "order-17"})
    assert (busy.status_code, busy.json()["code"]) == (409, "idempotency_key_busy")
    assert busy["Location"] == record.body["urls"]["self"]
    assert busy["Retry-After"]
    assert Job.objects.count() == 1


def test_a_key_is_free_again_after_a_day(api: Client) -> None:
    post(api, **{"Idempotency-Key": "order-17"})
    record = IdempotencyRecord.objects.get()
    IdempotencyRecord.objects.update(created_at=record.created_at - KEEP)
    assert "Idempotency-Replayed" not in post(api, **{"Idempotency-Key": "order-17"})
    assert (Job.objects.count(), IdempotencyRecord.objects.count()) == (2, 1)


def test_a_refused_request_leaves_its_key_free(api: Client) -> None:
    bad = post(api, BODY | {"net": "nowhere"}, **{"Idempotency-Key": "order-17"})
    assert (bad.status_code, bad.json()["code"]) == (422, "net_unknown")
    assert not IdempotencyRecord.objects.exists()
    assert post(api, **{"Idempotency-Key": "order-17"}).status_code == 202


def test_keys_of_two_people_do_not_meet(api: Client, owner: Membership) -> None:
    stranger = keyed(MembershipFactory.create())
    first = post(api, **{"Idempotency-Key": "order-17"})
    other = post(stranger, **{"Idempotency-Key": "order-17"})
    assert other.status_code == 202
    assert other.json()["id"] != first.json()["id"]


def test_keys_of_one_person_in_two_workspaces_do_not_meet(api: Client, owner: Membership) -> None:
    elsewhere = keyed(MembershipFactory.create(user=owner.user))
    first = post(api, **{"Idempotency-Key": "order-17"})
    other = post(elsewhere, **{"Idempotency-Key": "order-17"})
    assert other.json()["workspace"] != first.json()["workspace"]


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "é"])
def test_an_odd_idempotency_key_is_refused(api: Client, key: str) -> None:
    response = post(api, **{"Idempotency-Key": key})
    assert response.status_code == 422
    assert response.json()["problems"][0]["field"] == "Idempotency-Key"


def test_jobs_are_listed_newest_first_in_pages(api: Client, owner: Membership) -> None:
    jobs = [JobFactory.create(workspace=owner.workspace, created_by=owner.user) for _ in range(5)]
    JobFactory.create()
    seen: list[str] = []
    address = "/api/v1/jobs?limit=2"
    while address:
        page = api.get(address).json()
        assert len(page["items"]) <= 2
        seen += [item["id"] for item in page["items"]]
        address = page["next"]
    assert seen == [str(job.id) for job in reversed(jobs)]


def test_jobs_are_filtered_by_state_and_kind(api: Client, owner: Membership) -> None:
    for kind, status in [("text", "queued"), ("text", "failed"), ("image", "failed")]:
        JobFactory.create(workspace=owner.workspace, created_by=owner.user, kind=kind, status=status)
    items = api.get("/api/v1/jobs?status=failed&kind=image").json()["items"]
    assert [(item["kind"], item["status"], item["error"]["code"]) for item in items] == [
        ("image", "failed", "engine_failed")
    ]


@pytest.mark.parametrize(
    ("query", "field", "allowed"),
    [
        ("limit=0", "limit", "1 to 100"),
        ("limit=101", "limit", "1 to 100"),
        ("limit=x", "limit", "1 to 100"),
        ("status=resting", "status", "'queued'"),
        ("kind=film", "kind", "'text' or 'image'"),
        ("before=x", "before", ""),
        ("workspace=a%00b", "workspace", ""),
    ],
)
def test_a_wrong_filter_is_named(api: Client, query: str, field: str, allowed: str) -> None:
    response = api.get(f"/api/v1/jobs?{query}")
    assert response.status_code == 422
    assert response.json()["problems"][0]["field"] == field
    assert allowed in response.json()["problems"][0]["allowed"]


def test_a_waiting_job_is_cancelled_once(api: Client, owner: Membership) -> None:
    job = JobFactory.create(workspace=owner.workspace, created_by=owner.user)
    first = api.post(f"/api/v1/jobs/{job.id}/cancel")
    assert (first.status_code, first.json()["status"]) == (202, "cancelled")
    again = api.post(f"/api/v1/jobs/{job.id}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "job_already_ended")
    assert again.json()["problems"][0]["value"] == "cancelled"


def test_a_running_job_is_told_to_end(api: Client, owner: Membership) -> None:
    job = JobFactory.create(workspace=owner.workspace, created_by=owner.user, status="running")
    response = api.post(f"/api/v1/jobs/{job.id}/cancel")
    assert (response.status_code, response.json()["status"]) == (202, "running")
    job.refresh_from_db()
    assert job.cancel_requested_at is not None


@pytest.mark.parametrize("address", [UNKNOWN, "/api/v1/jobs/17", "/api/v1/jobs/17/cancel", "/api/v1/jobs/"])
def test_an_unknown_job_is_not_found(api: Client, address: str) -> None:
    response = api.get(address)
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_a_page_after_a_foreign_job_is_not_found(api: Client) -> None:
    response = api.get(f"/api/v1/jobs?before={JobFactory.create().id}")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_a_session_names_its_workspace(owner: Membership) -> None:
    second = MembershipFactory.create(user=owner.user)
    client = signed_in(owner)
    for slug in ("studio", second.workspace.slug):
        response = client.post(f"/api/v1/jobs?workspace={slug}", BODY, content_type="application/json")
        assert response.json()["workspace"] == slug
        assert len(client.get(f"/api/v1/jobs?workspace={slug}").json()["items"]) == 1
    assert client.post("/api/v1/jobs", BODY, content_type="application/json").json()["workspace"] == "studio"
    assert Job.objects.filter(api_key__isnull=True).count() == 3


def test_a_full_queue_says_when_to_come_back(api: Client, settings: Any) -> None:
    settings.MAX_QUEUED_JOBS = 1
    assert post(api).status_code == 202
    full = post(api)
    assert (full.status_code, full.json()["code"], full["Retry-After"]) == (429, "queue_full", "60")
    assert post(api, {"kind": "image", "prompt": "a cat"}).status_code == 202
