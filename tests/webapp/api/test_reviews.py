"""Reviews, the policy and the audit log through the API."""

import hashlib
import json
from typing import Any

import pytest
from django.test import Client

from tests.factories import JobFactory, MembershipFactory, VerdictFactory
from tests.steady_policy import STEADY
from tests.webapp.api.callers import keyed, signed_in
from tests.webapp.review.held_results import hold, net_said, rule_said
from webapp.gallery.models import Artifact
from webapp.review import services
from webapp.safety import agreement
from webapp.safety.models import Decision, PolicyVersion, Verdict
from webapp.safety.policy import SUPPORT_NOTE
from webapp.workspaces import audit
from webapp.workspaces.models import AuditEntry, Membership

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("steady_policy")]


@pytest.fixture(autouse=True)
def no_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "is_sampled", lambda workspace, number, key: False)


@pytest.fixture
def owner() -> Membership:
    return MembershipFactory.create()


@pytest.fixture
def author(owner: Membership) -> Membership:
    return MembershipFactory.create(workspace=owner.workspace, role="editor")


def post(client: Client, address: str, body: dict[str, Any]) -> Any:
    return client.post(f"/api/v1{address}", body, content_type="application/json")


def put_policy(client: Client, *, based_on: int = 0, note: str = "", **stages: dict[str, dict[str, Any]]) -> Any:
    """Send the default with other thresholds for some categories."""
    thresholds = STEADY.model_dump(mode="json")
    for stage, categories in stages.items():
        for category, values in categories.items():
            thresholds[stage][category] = thresholds[stage].get(category, {}) | values
    body = {"based_on": based_on, "thresholds": thresholds, "note": note}
    return client.put("/api/v1/policy", body, content_type="application/json")


def test_what_is_held_is_listed_oldest_first_without_its_content(owner: Membership, author: Membership) -> None:
    held = [
        hold(owner.workspace, author.user, net_said("hate", 0.9)),
        hold(owner.workspace, author.user, rule_said("troll"), kind="image"),
    ]
    body = keyed(owner).get("/api/v1/reviews").json()
    assert [(item["artifact"], item["task"]) for item in body["items"]] == [(str(one.id), "held") for one in held]
    assert (body["num_waiting"], body["kappa"], body["num_pairs"]) == (2, None, 0)
    verdict = next(one for one in body["items"][0]["verdicts"] if one["stage"] == "output")
    assert (verdict["matched"], verdict["scores"]["hate"], verdict["policy_number"]) == (["hate"], 0.9, 0)
    assert "fight at sea" not in json.dumps(body)
    assert not AuditEntry.objects.exists()
    assert len(keyed(owner).get("/api/v1/reviews?category=hate").json()["items"]) == 1
    assert len(keyed(owner).get("/api/v1/reviews?kind=image").json()["items"]) == 1
    assert keyed(owner).get("/api/v1/reviews?category=hat").status_code == 422


def test_a_release_puts_it_into_the_gallery_and_a_second_decision_is_told_who_was_first(
    owner: Membership, author: Membership
) -> None:
    held = hold(owner.workspace, author.user)
    other = MembershipFactory.create(workspace=owner.workspace, role="reviewer")
    answer = post(keyed(owner), f"/reviews/{held.id}", {"task": "held", "outcome": "released"})
    assert (answer.status_code, answer.json()["reviewer"]) == (200, owner.user.username)
    assert [one["id"] for one in keyed(author).get("/api/v1/artifacts").json()["items"]] == [str(held.id)]
    job = keyed(author).get(f"/api/v1/jobs/{held.job_id}").json()
    assert (job["status"], job["error"]) == ("succeeded", None)
    assert [(one["status"], one["appeal"]) for one in job["reviews"]] == [("released", "none")]
    late = post(keyed(other), f"/reviews/{held.id}", {"task": "held", "outcome": "rejected", "reason": "No."})
    assert (late.status_code, late.json()["code"]) == (409, "already_decided")
    assert owner.user.username in late.json()["detail"]


def test_a_session_decides_in_its_second_workspace_where_the_list_says(owner: Membership, author: Membership) -> None:
    second = MembershipFactory.create(user=owner.user)
    held = hold(second.workspace, MembershipFactory.create(workspace=second.workspace, role="editor").user)
    client = signed_in(owner)
    (item,) = client.get(f"/api/v1/reviews?workspace={second.workspace.slug}").json()["items"]
    address = item["decide"].partition("/api/v1")[2]
    assert post(client, address, {"task": "held", "outcome": "released"}).status_code == 200
    assert Artifact.objects.get(id=held.id).status == "kept"


def test_the_whole_way_of_an_appeal(owner: Membership, author: Membership) -> None:
    held = hold(owner.workspace, author.user)
    reviewer = MembershipFactory.create(workspace=owner.workspace, role="reviewer")
    wrong = post(keyed(reviewer), f"/reviews/{held.id}", {"task": "held", "outcome": "rejected"})
    assert (wrong.status_code, wrong.json()["problems"][0]["field"]) == (422, "reason")
    post(keyed(reviewer), f"/reviews/{held.id}", {"task": "held", "outcome": "rejected", "reason": "Too grim."})
    job = keyed(author).get(f"/api/v1/jobs/{held.job_id}").json()
    assert (job["status"], job["error"]["code"]) == ("blocked", "output_rejected")
    assert job["reviews"] == [
        {"artifact": str(held.id), "status": "rejected", "reason": "Too grim.", "may_appeal": True}
        | {"appeal": "none", "answer": ""}
    ]
    address = f"/artifacts/{held.id}/appeal"
    assert post(keyed(owner), address, {"words": "For her."}).status_code == 404
    assert post(keyed(author), address, {"words": ""}).status_code == 422
    assert post(keyed(author), address, {"words": "x" * 2001}).status_code == 422
    elsewhere = MembershipFactory.create(user=author.user)
    assert post(keyed(elsewhere), address, {"words": "By a key of another workspace."}).status_code == 404
    assert post(keyed(author), address, {"words": "It is a fable."}).status_code == 201
    assert post(keyed(author), address, {"words": "Again."}).json()["code"] == "appealed_already"
    assert keyed(reviewer).get("/api/v1/reviews").json()["items"] == []
    (item,) = keyed(owner).get("/api/v1/reviews").json()["items"]
    assert (item["task"], item["appeal"]) == ("appeal", "It is a fable.")
    post(keyed(owner), f"/reviews/{held.id}", {"task": "appeal", "outcome": "released", "reason": "Indeed."})
    job = keyed(author).get(f"/api/v1/jobs/{held.job_id}").json()
    assert job["status"] == "succeeded"
    assert (job["reviews"][0]["appeal"], job["reviews"][0]["answer"]) == ("overturned", "Indeed.")


def test_who_looks_at_what_is_held_leaves_one_trace(owner: Membership, author: Membership) -> None:
    held = hold(owner.workspace, author.user)
    client = keyed(owner)
    for _ in range(2):
        assert client.get(f"/api/v1/artifacts/{held.id}/content").status_code == 200
        assert signed_in(owner).get(f"/artifacts/{held.id}/").status_code == 200
    entry = AuditEntry.objects.get()
    assert (entry.act, entry.actor, entry.subject) == ("looked", owner.user, f"artifact {held.id}")
    assert keyed(author).get(f"/api/v1/artifacts/{held.id}").status_code == 404
    services.decide(
        owner.user, owner.workspace, held.id,
        task=Decision.Task.HELD, outcome=Decision.Outcome.RELEASED, reason="",
    )  # fmt: skip
    keyed(author).get(f"/api/v1/artifacts/{held.id}/content")
    assert [entry.act for entry in AuditEntry.objects.all()] == ["looked", "released"]


def test_a_reviewer_of_another_workspace_finds_nothing(owner: Membership, author: Membership) -> None:
    held = hold(owner.workspace, author.user)
    stranger = keyed(MembershipFactory.create(role="reviewer"))
    body = {"task": "held", "outcome": "released"}
    assert post(stranger, f"/reviews/{held.id}", body).status_code == 404
    assert post(stranger, f"/reviews/{held.id}?workspace={owner.workspace.slug}", body).status_code == 404
    assert Artifact.objects.get(id=held.id).status == "held"


def test_the_policy_is_read_by_members_and_changed_by_owners_with_a_history(
    owner: Membership, author: Membership
) -> None:
    assert keyed(author).get("/api/v1/policy").json()["number"] == 0
    assert put_policy(keyed(author), prompt={"hate": {"block_at": 0.9}}).status_code == 403
    answer = put_policy(keyed(owner), prompt={"hate": {"block_at": 0.9}}, note="After the talk.")
    assert (answer.status_code, answer.json()["number"], answer.json()["note"]) == (200, 1, "After the talk.")
    now = keyed(author).get("/api/v1/policy").json()
    assert (now["thresholds"]["prompt"]["hate"]["block_at"], now["created_by"]) == (0.9, owner.user.username)
    entry = AuditEntry.objects.get(act="policy_changed")
    change = {"field": "prompt.hate.block_at", "before": 0.95, "after": 0.9}
    assert entry.details == {"note": "After the talk.", "changes": [change]}
    same = put_policy(keyed(owner), based_on=1, prompt={"hate": {"block_at": 0.9}})
    assert (same.json()["number"], PolicyVersion.objects.count()) == (1, 1)


def test_of_two_owners_the_second_is_told_that_the_policy_is_another(owner: Membership) -> None:
    put_policy(keyed(owner), prompt={"hate": {"block_at": 0.9}})
    late = put_policy(keyed(owner), based_on=0, prompt={"hate": {"block_at": 0.99}})
    assert (late.status_code, late.json()["code"]) == (409, "policy_changed")
    assert owner.user.username in late.json()["detail"]
    assert late.json()["problems"][0]["allowed"] == "1"


@pytest.mark.parametrize(
    ("stages", "field", "value", "allowed"),
    [
        ({"prompt": {"hat": {"flag_at": 0.5}}}, "thresholds.prompt.hat", "hat", "'hate'"),
        ({"prompt": {"weapons": {"flag_at": 0.5}}}, "thresholds.prompt.weapons", "weapons", "'illicit'"),
        ({"prompt": {"hate": {"block_at": 1.5}}}, "thresholds.prompt.hate.block_at", "1.5", "at most 1"),
        ({"prompt": {"hate": {"block_at": -1}}}, "thresholds.prompt.hate.block_at", "-1", "at least 0"),
        ({"prompt": {"hate": {"block_at": "high"}}}, "thresholds.prompt.hate.block_at", "high", ""),
        ({"prompt": {"hate": {"ban_at": 0.5}}}, "thresholds.prompt.hate.ban_at", "0.5", "only the fields"),
        ({"prompt": {"hate": {"block_at": 0.1}}}, "thresholds.prompt.hate.block_at", "0.1", "0.8 to 1"),
        (
            {"output": {"sexual/minors": {"block_at": 0.9}}},
            "thresholds.output.sexual/minors.block_at",
            "0.9",
            "0 to 0.2",
        ),
    ],
)
def test_a_wrong_policy_names_field_value_and_what_is_allowed(
    owner: Membership, stages: dict[str, Any], field: str, value: str, allowed: str
) -> None:
    answer = put_policy(keyed(owner), **stages)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    (problem,) = answer.json()["problems"]
    assert (problem["field"], problem["value"]) == (field, value)
    assert allowed in problem["allowed"]
    assert not PolicyVersion.objects.exists()


def test_an_unknown_stage_is_named(owner: Membership) -> None:
    body = {"based_on": 0, "thresholds": STEADY.model_dump(mode="json") | {"training": {}}}
    answer = keyed(owner).put("/api/v1/policy", body, content_type="application/json")
    assert answer.json()["problems"][0]["field"] == "thresholds.training"


def test_the_audit_log_can_be_computed_by_whoever_reads_it(owner: Membership, author: Membership) -> None:
    for _ in range(3):
        held = hold(owner.workspace, author.user)
        post(keyed(owner), f"/reviews/{held.id}", {"task": "held", "outcome": "rejected", "reason": "Größe"})
    first = keyed(owner).get("/api/v1/audit?limit=2").json()
    second = keyed(owner).get(first["next"]).json()
    assert second["next"] is None
    entries = second["items"][::-1] + first["items"][::-1]
    assert [entry["number"] for entry in entries] == [1, 2, 3]
    previous = audit.NO_HASH
    for entry in entries:
        claimed = entry.pop("hash")
        text = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert entry["previous_hash"] == previous
        assert hashlib.sha256(text.encode()).hexdigest() == claimed
        previous = claimed


def test_the_note_of_support_is_in_the_job(owner: Membership, author: Membership) -> None:
    held = hold(owner.workspace, author.user, net_said("self-harm", 0.85, stage="prompt"), net_said("violence", 0.93))
    assert Verdict.objects.filter(job=held.job, stage="prompt", matched=["self-harm"]).exists()
    assert keyed(author).get(f"/api/v1/jobs/{held.job_id}").json()["note"] == SUPPORT_NOTE
    other = hold(owner.workspace, author.user)
    assert keyed(author).get(f"/api/v1/jobs/{other.job_id}").json()["note"] == ""


def test_a_colleague_reads_neither_the_note_nor_what_reviewers_wrote(owner: Membership, author: Membership) -> None:
    held = hold(owner.workspace, author.user, net_said("self-harm", 0.85, stage="prompt"), net_said("violence", 0.93))
    post(keyed(owner), f"/reviews/{held.id}", {"task": "held", "outcome": "rejected", "reason": "Too grim."})
    viewer = MembershipFactory.create(workspace=owner.workspace, role="viewer")
    for colleague in (keyed(owner), keyed(viewer), signed_in(viewer)):
        job = colleague.get(f"/api/v1/jobs/{held.job_id}").json()
        assert (job["status"], job["note"], job["reviews"]) == ("blocked", "", [])
    own = keyed(author).get(f"/api/v1/jobs/{held.job_id}").json()
    assert (own["note"], own["reviews"][0]["reason"]) == (SUPPORT_NOTE, "Too grim.")


def test_who_cancels_a_colleagues_job_does_not_read_the_note(owner: Membership, author: Membership) -> None:
    job = JobFactory.create(workspace=owner.workspace, created_by=author.user)
    VerdictFactory.create(artifact=None, job=job, stage="prompt", matched=["self-harm"], policy_number=0)
    assert keyed(author).get(f"/api/v1/jobs/{job.id}").json()["note"] == SUPPORT_NOTE
    answer = post(keyed(owner), f"/jobs/{job.id}/cancel", {})
    assert (answer.status_code, answer.json()["note"]) == (202, "")
