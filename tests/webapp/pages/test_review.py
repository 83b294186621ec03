"""Pages of reviews, the policy and the audit log: who sees them, what they say, what a form sends without a script."""

import json
import re
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.http import StreamingHttpResponse
from django.test import Client

from tests.factories import JobFactory, MembershipFactory, VerdictFactory
from tests.webapp.review.held_results import hold, net_said, rule_said
from webapp.gallery.models import Artifact
from webapp.jobs.models import Job
from webapp.review import services
from webapp.safety import agreement
from webapp.safety import services as safety
from webapp.safety.models import Decision, PolicyVersion
from webapp.safety.policy import SUPPORT_NOTE
from webapp.workspaces import audit
from webapp.workspaces.models import AuditEntry, Membership

pytestmark = pytest.mark.usefixtures("steady_policy")
REVIEW = "/w/mosaics/review/"
POLICY = "/w/mosaics/policy/"
AUDIT = "/w/mosaics/audit/"


@pytest.fixture(autouse=True)
def no_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "is_sampled", lambda workspace, number, key: False)


@pytest.fixture
def bea(membership: Membership) -> Membership:
    """An editor of the same workspace."""
    return MembershipFactory.create(workspace=membership.workspace, role="editor", user__username="Bea")


def client_of(member: Membership) -> Client:
    client = Client()
    client.force_login(member.user)
    return client


def text_of(client: Client, address: str) -> str:
    html = client.get(address).content.decode()
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


async def whole(response: StreamingHttpResponse) -> bytes:
    return b"".join([part async for part in response])


def reject(reviewer: Membership, artifact: Artifact, reason: str = "Too grim.") -> None:
    services.decide(
        reviewer.user, reviewer.workspace, artifact.id,
        task=Decision.Task.HELD, outcome=Decision.Outcome.REJECTED, reason=reason,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("role", "review", "policy", "audit"),
    [("owner", 200, 200, 200), ("reviewer", 200, 403, 403), ("editor", 403, 403, 403), ("viewer", 403, 403, 403)],
)
def test_each_role_sees_what_is_its_own(
    membership: Membership, role: str, review: int, policy: int, audit: int
) -> None:
    client = client_of(MembershipFactory.create(workspace=membership.workspace, role=role))
    assert client.get(REVIEW).status_code == review
    assert client.get(POLICY).status_code == policy
    assert client.get(AUDIT).status_code == client.get(f"{AUDIT}download").status_code == audit
    home = client.get("/w/mosaics/").content.decode()
    assert (f'href="{REVIEW}"' in home) == (review == 200)


def test_a_stranger_finds_none_of_it(bea: Membership) -> None:
    held = hold(bea.workspace, bea.user)
    stranger = client_of(MembershipFactory.create(role="owner"))
    item = f"{REVIEW}held/{held.id}/"
    assert [stranger.get(address).status_code for address in (REVIEW, POLICY, AUDIT, item)] == [404] * 4
    assert stranger.post(f"{item}decide/", {"outcome": "released"}).status_code == 404
    assert stranger.post(f"{item}reveal/").status_code == 404
    own = MembershipFactory.create(role="reviewer")
    foreign = f"/w/{own.workspace.slug}/review/held/{held.id}/"
    assert client_of(own).get(foreign).status_code == 404
    assert client_of(own).post(f"{foreign}decide/", {"outcome": "released"}).status_code == 404


def test_the_queue_says_why_and_covers_what_until_somebody_asks(ada: Client, bea: Membership) -> None:
    held = hold(bea.workspace, bea.user, net_said("violence", 0.93))
    hold(bea.workspace, bea.user, rule_said("troll"), kind="image")
    page = ada.get(REVIEW).content.decode()
    assert "fight at sea" not in page
    assert "brave little boat" not in page
    assert str(held.id) in page
    shown = text_of(ada, REVIEW)
    assert "2 wait; the oldest came just now" in shown
    assert "violence 0.93 sent to review" in shown
    assert "A term on the list" in shown
    assert not AuditEntry.objects.exists()
    revealed = ada.post(f"{REVIEW}held/{held.id}/reveal/", headers={"HX-Request": "true"}).content.decode()
    assert "fight at sea" in revealed
    assert "brave little boat" in revealed
    assert AuditEntry.objects.get().act == "looked"
    assert "Back to decide" in ada.post(f"{REVIEW}held/{held.id}/reveal/").content.decode()


def test_a_decision_without_a_script(ada: Client, bea: Membership) -> None:
    held = hold(bea.workspace, bea.user)
    item = f"{REVIEW}held/{held.id}/"
    assert "write at least a word" in text_of_post(ada, f"{item}decide/", {"outcome": "rejected", "reason": " "}, 422)
    assert ada.post(f"{item}decide/", {"outcome": "perhaps"}).status_code == 422
    assert ada.post(f"{item}decide/", {"outcome": "released"}).status_code == 302
    assert "You released it." in text_of(ada, REVIEW)
    assert "fight at sea" in text_of(client_of(bea), "/w/mosaics/gallery/")
    late = ada.post(f"{item}decide/", {"outcome": "rejected", "reason": "No."})
    assert late.status_code == 409
    assert "Ada released this" in late.content.decode()
    assert "This does not wait for you" in text_of(ada, item)


def text_of_post(client: Client, address: str, data: dict[str, str], status: int) -> str:
    response = client.post(address, data)
    assert response.status_code == status
    return response.content.decode()


def test_the_author_reads_the_reason_appeals_once_and_reads_the_answer(ada: Client, bea: Membership) -> None:
    held = hold(bea.workspace, bea.user)
    job = f"/jobs/{held.job_id}/"
    assert "waits for a reviewer" in text_of(client_of(bea), job)
    first = MembershipFactory.create(workspace=bea.workspace, role="reviewer", user__username="Cy")
    reject(first, held)
    client = client_of(bea)
    shown = text_of(client, job)
    assert "A reviewer rejected this. “Too grim.”" in shown
    assert "Cy" not in shown
    assert "Too grim." not in text_of(ada, job)  # for the author's eyes, and in the review and the audit log
    assert client.post(f"/artifacts/{held.id}/appeal/", {"words": ""}).status_code == 422
    assert ada.post(f"/artifacts/{held.id}/appeal/", {"words": "For her."}).status_code == 404
    assert client.post(f"/artifacts/{held.id}/appeal/", {"words": "It is a fable."}).status_code == 302
    assert client.post(f"/artifacts/{held.id}/appeal/", {"words": "Again."}).status_code == 409
    assert "You appealed just now" in text_of(client, job)
    item = f"{REVIEW}appeal/{held.id}/"
    shown = text_of(ada, item)
    assert "Cy rejected it just now: “Too grim.”" in shown
    assert "Bea answers: “It is a fable.”" in shown
    assert "This does not wait for you" in text_of(client_of(first), item)
    ada.post(f"{item}decide/", {"outcome": "released", "reason": "Indeed."})
    assert "Your appeal was heard, and this was released. “Indeed.”" in text_of(client, job)


def test_a_re_check_shows_nothing_of_the_first_decision(
    ada: Client, bea: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreement, "is_sampled", lambda workspace, number, key: True)
    held = hold(bea.workspace, bea.user)
    reject(MembershipFactory.create(workspace=bea.workspace, role="reviewer", user__username="Cy"), held)
    page = ada.get(f"{REVIEW}recheck/{held.id}/").content.decode()
    assert "Judge it as if it were new." in page
    for word in ("Cy", "Too grim", "rejected by"):
        assert word not in page.partition("<article")[2].partition("</article>")[0]
    ada.post(f"{REVIEW}recheck/{held.id}/decide/", {"outcome": "rejected"})
    assert "1 re-check: too few for a number" in text_of(ada, REVIEW)


def test_a_look_at_a_re_check_is_written_down_however_it_was_decided(
    ada: Client, bea: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreement, "is_sampled", lambda workspace, number, key: True)
    held = hold(bea.workspace, bea.user)
    cy = MembershipFactory.create(workspace=bea.workspace, role="reviewer", user__username="Cy")
    services.decide(
        cy.user, bea.workspace, held.id,
        task=Decision.Task.HELD, outcome=Decision.Outcome.RELEASED, reason="",
    )  # fmt: skip
    assert "That you looked is written into the audit log." in text_of(ada, f"{REVIEW}recheck/{held.id}/")
    revealed = ada.post(f"{REVIEW}recheck/{held.id}/reveal/").content.decode()
    assert "not released" not in revealed
    looked = AuditEntry.objects.get(act="looked")
    assert (looked.actor_name, looked.subject) == ("Ada", f"artifact {held.id}")


def test_held_work_is_not_shown_on_the_page_of_its_job(ada: Client, membership: Membership) -> None:
    held = hold(membership.workspace, membership.user)
    page = ada.get(f"/jobs/{held.job_id}/").content.decode().partition("<main")[2]
    assert "brave little boat" not in page
    assert "To the reviews" in page


def test_the_note_of_support_is_for_who_asked(ada: Client, bea: Membership) -> None:
    job = JobFactory.create(workspace=bea.workspace, created_by=bea.user)
    VerdictFactory.create(artifact=None, job=job, stage="prompt", matched=["self-harm"], policy_number=0)
    assert SUPPORT_NOTE in client_of(bea).get(f"/jobs/{job.id}/").content.decode()
    assert SUPPORT_NOTE not in ada.get(f"/jobs/{job.id}/").content.decode()


def form_of(client: Client) -> dict[str, str]:
    """What the policy form would send as it stands."""
    html = client.get(POLICY).content.decode()
    found = re.findall(r'name="(thresholds\.[^"]+|based_on)"(?: value="([^"]*)")?', html)
    return dict(found)


def test_an_owner_changes_the_policy_and_the_history_says_what(ada: Client, membership: Membership) -> None:
    form = form_of(ada)
    assert len(form) == 1 + 3 * (9 + 9 + 18) - 4  # two thresholds cannot be given, at two stages each
    unchanged = ada.post(POLICY, form, follow=True)
    assert "Nothing was changed." in unchanged.content.decode()
    form |= {
        "thresholds.prompt.hate.block_at": "0,9",
        "thresholds.output.weapons.flag_at": "",
        "note": "After the talk",
    }
    assert ada.post(POLICY, form).status_code == 302
    shown = text_of(ada, POLICY)
    assert "Version 1 is in force." in shown
    assert "“After the talk”" in shown
    assert "Prompts, hate, block: 0.95 → 0.9 tighter" in shown
    assert "Results, weapons, flag: 0.5 → never looser" in shown
    assert PolicyVersion.objects.get().created_by == membership.user


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("prompt.hate.block_at", "high", "Write a number, such as 0.8"),
        ("prompt.hate.block_at", "1.2", "A score is never outside of 0 to 1"),
        ("prompt.hate.block_at", "nan", "A score is never outside of 0 to 1"),
        ("prompt.hate.block_at", "0.1", "Block_at lies below review_at"),
        ("prompt.sexual/minors.block_at", "0.5", "This may be tightened, but not loosened (allowed: 0 to 0.2)"),
        ("prompt.self-harm.flag_at", "", "From here on the person sees a supportive note"),
    ],
)
def test_a_wrong_threshold_is_said_beside_it_and_what_was_typed_stays(
    ada: Client, name: str, value: str, words: str
) -> None:
    response = ada.post(POLICY, form_of(ada) | {f"thresholds.{name}": value, "note": "my note"})
    page = response.content.decode()
    assert response.status_code == 422
    assert words in page
    assert f'name="thresholds.{name}" value="{value}"' in page
    assert 'value="my note"' in page
    assert not PolicyVersion.objects.exists()


def test_what_is_wrong_with_the_note_is_said_beside_it(ada: Client, membership: Membership) -> None:
    page = ada.post(POLICY, form_of(ada) | {"note": "x" * 501})
    assert page.status_code == 422
    assert '<p class="field__error" id="p-note">Shorten it: it has 501 characters' in page.content.decode()
    assert not PolicyVersion.objects.exists()


def test_minus_zero_is_zero(ada: Client, membership: Membership) -> None:
    ada.post(POLICY, form_of(ada) | {"thresholds.prompt.hate.flag_at": "-0"})
    assert str(PolicyVersion.objects.get().thresholds["prompt"]["hate"]["flag_at"]) == "0.0"
    assert 'name="thresholds.prompt.hate.flag_at" value="0"' in ada.get(POLICY).content.decode()
    assert audit.verify(membership.workspace_id).broken_at is None


def test_two_owners_at_once_do_not_undo_each_other_unseen(ada: Client, membership: Membership) -> None:
    form = form_of(ada)
    other = client_of(MembershipFactory.create(workspace=membership.workspace, user__username="Ole"))
    other.post(POLICY, form_of(other) | {"thresholds.prompt.hate.block_at": "0.9"})
    late = ada.post(POLICY, form | {"thresholds.prompt.hate.flag_at": "0.4"})
    page = late.content.decode()
    assert late.status_code == 409
    assert "Ole made version 1." in page
    assert "Prompts, hate, block from 0.95 to 0.9" in page
    assert 'name="thresholds.prompt.hate.flag_at" value="0.4"' in page
    assert 'name="based_on" value="1"' in page


def test_an_owner_reads_checks_and_takes_the_audit_log_away(
    ada: Client, membership: Membership, bea: Membership
) -> None:
    assert "Nothing has happened yet" in text_of(ada, AUDIT)
    reject(membership, hold(bea.workspace, bea.user))
    shown = text_of(ada, f"{AUDIT}?check=1")
    assert "Rejected a held result: “Too grim.”" in shown
    assert "Unbroken: 1 entry." in shown
    response: Any = ada.get(f"{AUDIT}download")
    assert response.streaming
    assert "mosaics-audit-" in response["Content-Disposition"]
    (line,) = async_to_sync(whole)(response).decode().splitlines()
    record: dict[str, Any] = json.loads(line)
    assert (record["act"], record["actor_name"], record["hash"]) == ("rejected", "Ada", AuditEntry.objects.get().hash)


def test_the_audit_log_says_what_was_written_and_leads_to_it(
    ada: Client, membership: Membership, bea: Membership
) -> None:
    term = safety.set_term(bea.workspace.id, "troll", "block", actor=membership.user)
    ada.post(POLICY, form_of(ada) | {"thresholds.prompt.hate.block_at": "0.9", "note": "After the talk"})
    held = hold(bea.workspace, bea.user)
    reject(membership, held)
    services.appeal(bea.user, held.id, "It is a fable.")
    audit.append(bea.workspace.id, AuditEntry.Act.LOOKED, actor=None, subject="artifact nowhere")
    shown = text_of(ada, AUDIT)
    for words in (
        f"Put a term on the list: “troll” (block) term {term.id}",
        "Changed the policy: “After the talk” policy 1",
        f"Appealed: “It is a fable.” artifact {held.id}",
    ):
        assert words in shown
    html = ada.get(AUDIT).content.decode()
    assert f'<a href="/artifacts/{held.id}/">artifact {held.id}</a>' in html
    assert f'<a href="{POLICY}">policy 1</a>' in html


def test_a_job_whose_result_was_released_shows_it(bea: Membership, membership: Membership) -> None:
    held = hold(bea.workspace, bea.user)
    services.decide(
        membership.user, bea.workspace, held.id,
        task=Decision.Task.HELD, outcome=Decision.Outcome.RELEASED, reason="It is a fable.",
    )  # fmt: skip
    shown = text_of(client_of(bea), f"/jobs/{held.job_id}/")
    assert "A reviewer released this. “It is a fable.” It is in the gallery." in shown
    assert "brave little boat" in shown
    assert Job.objects.get().status == "succeeded"
