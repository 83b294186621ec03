"""Decisions, appeals and re-checks: who may, who was faster, and what comes of it."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from tests.factories import ArtifactFactory, JobFactory, MembershipFactory
from webapp.accounts.models import User
from webapp.errors import AppError
from webapp.gallery import selectors as gallery
from webapp.gallery.models import Artifact
from webapp.jobs import selectors as jobs
from webapp.jobs.models import Job
from webapp.jobs.stage import stage_of
from webapp.review import selectors, services
from webapp.safety import agreement
from webapp.safety import selectors as safety
from webapp.safety.models import Decision
from webapp.workspaces import audit
from webapp.workspaces.models import AuditEntry, Workspace

pytestmark = pytest.mark.django_db
Task, Outcome = Decision.Task, Decision.Outcome
HELD = {"status": "held", "error_code": "output_held", "error_message": "It waits."}


class Team:
    """A workspace with an author (editor), an owner and a reviewer."""

    def __init__(self) -> None:
        self.owner: User = MembershipFactory.create().user
        self.workspace: Workspace = self.owner.memberships.get().workspace
        self.author = self.add("editor")
        self.reviewer = self.add("reviewer")

    def add(self, role: str) -> User:
        user: User = MembershipFactory.create(workspace=self.workspace, role=role).user
        return user

    def held(self, **fields: Any) -> Artifact:
        job = fields.pop("job", None) or JobFactory.create(workspace=self.workspace, created_by=self.author, **HELD)
        artifact: Artifact = ArtifactFactory.create(job=job, status="held", **fields)
        return artifact

    def decide(
        self, user: User, artifact: Artifact, outcome: str, task: str = "held", reason: str = "Too grim."
    ) -> Any:
        return services.decide(
            user, self.workspace, artifact.id, task=Task(task), outcome=Outcome(outcome), reason=reason
        )

    def rejected(self) -> Artifact:
        artifact = self.held()
        self.decide(self.reviewer, artifact, "rejected")
        return artifact


@pytest.fixture
def team() -> Team:
    return Team()


@pytest.fixture(autouse=True)
def no_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which decisions come back depends on the workspace's id, so they do only where a test says so."""
    monkeypatch.setattr(agreement, "is_sampled", lambda workspace, number, key: False)


def acts(workspace: Workspace) -> list[str]:
    return list(AuditEntry.objects.filter(workspace=workspace).values_list("act", flat=True))


def refused(code: str, act: Any, *arguments: Any, **named: Any) -> AppError:
    with pytest.raises(AppError) as caught:
        act(*arguments, **named)
    assert caught.value.code == code
    return caught.value


def test_what_is_released_hangs_in_the_gallery_and_its_job_has_succeeded(team: Team) -> None:
    artifact = team.held()
    team.decide(team.reviewer, artifact, "released", reason="")
    assert list(gallery.artifacts_of(team.workspace)) == [artifact]
    job = Job.objects.get(id=artifact.job_id)
    assert (job.status, job.error_code, job.error_message) == (Job.Status.SUCCEEDED, "", "")
    assert gallery.artifact_for_viewer(team.author, artifact.id) == artifact
    assert acts(team.workspace) == ["released"]


def test_what_is_rejected_stays_hidden_and_the_author_reads_why(team: Team) -> None:
    artifact = team.rejected()
    job = Job.objects.get(id=artifact.job_id)
    assert (job.status, job.error_code) == (Job.Status.BLOCKED, "output_rejected")
    assert gallery.artifact_for_viewer(team.author, artifact.id) is None
    assert gallery.artifact_for_viewer(team.owner, artifact.id) == artifact
    assert not gallery.artifacts_of(team.workspace).exists()
    (notice,) = safety.notices_for(job.id)
    assert (notice.status, notice.reason, notice.may_appeal) == ("rejected", "Too grim.", True)
    assert [notice.reason for notice in stage_of(job, team.author).notices] == ["Too grim."]
    assert stage_of(job, team.owner).notices == []
    assert AuditEntry.objects.get(act="rejected").details["reason"] == "Too grim."


def test_a_job_of_several_results_ends_with_the_last_decision(team: Team) -> None:
    first = team.held()
    second = team.held(job=first.job, index=1)
    team.decide(team.reviewer, first, "rejected")
    assert Job.objects.get(id=first.job_id).status == Job.Status.HELD
    team.decide(team.owner, second, "released")
    assert Job.objects.get(id=first.job_id).status == Job.Status.SUCCEEDED


@pytest.mark.parametrize("reason", ["", "   \n ", "x" * 1001, "a\x00b", "\ud800"])
def test_a_rejection_needs_a_reason_that_can_be_read(team: Team, reason: str) -> None:
    artifact = team.held()
    error = refused("invalid_request", team.decide, team.reviewer, artifact, "rejected", reason=reason)
    (problem,) = error.problems
    assert (problem["field"], problem["allowed"]) == ("reason", "1 to 1000 characters")
    assert Artifact.objects.get().status == "held"


def test_nobody_else_may_decide(team: Team) -> None:
    artifact = team.held()
    for user in (team.author, team.add("viewer"), MembershipFactory.create(role="owner").user):
        refused("forbidden", team.decide, user, artifact, "released")
    elsewhere = Team()
    refused("not_found", elsewhere.decide, elsewhere.reviewer, artifact, "released")
    assert Artifact.objects.get().status == "held"
    assert not AuditEntry.objects.exists()


def test_the_second_reviewer_is_told_who_decided(team: Team) -> None:
    artifact = team.held()
    team.decide(team.reviewer, artifact, "rejected")
    error = refused("already_decided", team.decide, team.owner, artifact, "released")
    assert error.http_status == 409
    assert error.message.startswith(f"{team.reviewer.username} rejected this ")
    assert Artifact.objects.get().status == "rejected"


def test_what_was_never_held_is_not_decided_about(team: Team) -> None:
    kept = ArtifactFactory.create(
        job=JobFactory.create(workspace=team.workspace, created_by=team.author, status="succeeded")
    )
    for task in Task:
        refused("nothing_to_decide", team.decide, team.reviewer, kept, "rejected", task=task)


def test_own_results_are_for_others_unless_there_are_none() -> None:
    owner = MembershipFactory.create()
    artifact = ArtifactFactory.create(owner=owner, status="held", job__created_by=owner.user)
    assert [item.artifact for item in selectors.waiting_for(owner.user, owner.workspace)] == [artifact]
    other = MembershipFactory.create(workspace=owner.workspace, role="reviewer").user
    assert selectors.waiting_for(owner.user, owner.workspace) == []
    assert selectors.num_waiting_for(other, owner.workspace) == 1
    refused(
        "forbidden", services.decide, owner.user, owner.workspace, artifact.id,
        task=Task.HELD, outcome=Outcome.RELEASED, reason="",
    )  # fmt: skip


def test_an_appeal_goes_to_another_reviewer_who_may_overturn(team: Team) -> None:
    artifact = team.rejected()
    services.appeal(team.author, artifact.id, "It is a fable.")
    assert selectors.waiting_for(team.reviewer, team.workspace) == []
    (item,) = selectors.waiting_for(team.owner, team.workspace)
    assert (item.task, item.artifact.appeal.words) == (Task.APPEAL, "It is a fable.")
    refused("forbidden", team.decide, team.reviewer, artifact, "released", task="appeal")
    team.decide(team.owner, artifact, "released", task="appeal", reason="Indeed.")
    assert Artifact.objects.get().status == "kept"
    assert Job.objects.get(id=artifact.job_id).status == Job.Status.SUCCEEDED
    (notice,) = safety.notices_for(artifact.job_id)
    assert (notice.status, notice.may_appeal, notice.answer and notice.answer.reason) == ("released", False, "Indeed.")
    assert acts(team.workspace) == ["rejected", "appealed", "overturned"]
    numbers = selectors.numbers_of(team.owner, team.workspace)
    assert (numbers.num_rejected, numbers.num_appeals_decided, numbers.overturned_frac) == (1, 1, 1.0)


def test_days_of_review_are_no_work(team: Team) -> None:
    artifact = team.held()
    began = timezone.now() - timedelta(days=2)
    done = began + timedelta(seconds=4)
    Job.objects.filter(id=artifact.job_id).update(started_at=began, finished_at=done)
    team.decide(team.reviewer, artifact, "rejected")
    assert Job.objects.get(id=artifact.job_id).finished_at == done
    services.appeal(team.author, artifact.id, "It is a fable.")
    team.decide(team.owner, artifact, "released", task="appeal")
    assert Job.objects.get(id=artifact.job_id).finished_at == done
    waiting = JobFactory.create(workspace=team.workspace)
    assert jobs.queue_state(waiting).eta_s == pytest.approx(4.0)


def test_an_upheld_appeal_is_the_last_word(team: Team) -> None:
    artifact = team.rejected()
    services.appeal(team.author, artifact.id, "Please.")
    refused("invalid_request", team.decide, team.owner, artifact, "rejected", task="appeal", reason="")
    team.decide(team.owner, artifact, "rejected", task="appeal", reason="It stays so.")
    assert Artifact.objects.get().status == "rejected"
    refused("appealed_already", services.appeal, team.author, artifact.id, "Once more.")
    assert acts(team.workspace)[-1] == "upheld"


def test_who_is_the_only_other_reviewer_answers_an_appeal_about_the_owners_own_result() -> None:
    owner = MembershipFactory.create()
    reviewer = MembershipFactory.create(workspace=owner.workspace, role="reviewer").user
    job = JobFactory.create(workspace=owner.workspace, created_by=owner.user, **HELD)
    artifact = ArtifactFactory.create(job=job, status="held")
    team = Team.__new__(Team)
    team.workspace = owner.workspace
    team.decide(reviewer, artifact, "rejected")
    services.appeal(owner.user, artifact.id, "It is mine.")
    assert selectors.waiting_for(owner.user, owner.workspace) == []
    assert [item.task for item in selectors.waiting_for(reviewer, owner.workspace)] == [Task.APPEAL]
    team.decide(reviewer, artifact, "released", task="appeal")


def test_only_the_author_appeals_once_and_only_a_rejection(team: Team) -> None:
    held = team.held()
    refused("nothing_to_appeal", services.appeal, team.author, held.id, "Now.")
    artifact = team.rejected()
    for user in (team.owner, team.reviewer, team.add("editor"), MembershipFactory.create().user):
        refused("not_found", services.appeal, user, artifact.id, "For them.")
    for words in ("", "x" * 2001):
        refused("invalid_request", services.appeal, team.author, artifact.id, words)
    services.appeal(team.author, artifact.id, "It is a fable.")
    refused("appealed_already", services.appeal, team.author, artifact.id, "Again.")
    refused("nothing_to_decide", team.decide, team.owner, team.rejected(), "released", task="appeal")


def test_a_sampled_decision_comes_back_to_another_reviewer_and_changes_nothing(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreement, "is_sampled", lambda workspace, number, key: number == 1)
    artifact, other = team.rejected(), team.rejected()
    assert selectors.waiting_for(team.reviewer, team.workspace) == []
    (item,) = selectors.waiting_for(team.owner, team.workspace)
    assert (item.artifact, item.task) == (artifact, Task.RECHECK)
    team.decide(team.owner, artifact, "released", task="recheck", reason="")
    assert set(Artifact.objects.values_list("status", flat=True)) == {"rejected"}
    refused("already_decided", team.decide, team.owner, artifact, "released", task="recheck")
    refused("nothing_to_decide", team.decide, team.owner, other, "released", task="recheck")
    numbers = selectors.numbers_of(team.owner, team.workspace)
    assert (numbers.agreement.num_pairs, numbers.agreement.observed_frac) == (1, 0.0)
    assert numbers.agreement.has_too_few
    assert numbers.num_self_checks == 0
    assert acts(team.workspace)[-1] == "checked"


def test_somebody_alone_checks_their_own_decisions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "is_sampled", lambda workspace, number, key: True)
    owner = MembershipFactory.create()
    artifact = ArtifactFactory.create(owner=owner, status="held")
    for task in (Task.HELD, Task.RECHECK):
        (item,) = selectors.waiting_for(owner.user, owner.workspace)
        assert item.task == task
        services.decide(owner.user, owner.workspace, artifact.id, task=task, outcome=Outcome.RELEASED, reason="")
    assert selectors.numbers_of(owner.user, owner.workspace).num_self_checks == 1


def test_about_one_in_twenty_is_sampled_and_one_early(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for _ in range(20):
        team.decide(team.reviewer, team.held(), "released", reason="")
    sampled = list(Decision.objects.order_by("created_at").values_list("is_sampled", flat=True))
    assert sum(sampled) == 1
    assert True in sampled[: agreement.FIRST_SAMPLE_WITHIN]


def test_the_same_content_decided_before_is_shown_with_its_decision(team: Team) -> None:
    first, second = team.held(), team.held()
    for artifact in (first, second):
        artifact.verdicts.update(content_sha256="a" * 64)
    assert selectors.decided_before(second) is None
    team.decide(team.reviewer, first, "rejected")
    found = selectors.decided_before(second)
    assert found is not None
    assert (found.artifact, found.reviewer, found.reason) == (first, team.reviewer, "Too grim.")
    elsewhere = Team()
    foreign = elsewhere.held()
    foreign.verdicts.update(content_sha256="a" * 64)
    assert selectors.decided_before(foreign) is None


def test_the_queue_is_filtered_by_task_kind_and_category(team: Team) -> None:
    text = team.held()
    text.verdicts.update(action="review", matched=["hate"], policy_number=0)
    job = JobFactory.create(workspace=team.workspace, created_by=team.author, kind="image", **HELD)
    picture = team.held(job=job)
    picture.verdicts.update(action="review", matched=["the troll"])

    def found(**filters: str) -> list[Artifact]:
        return [item.artifact for item in selectors.waiting_for(team.owner, team.workspace, **filters)]

    assert found() == [text, picture]
    assert found(kind="image") == [picture]
    assert found(category="hate") == [text]
    assert found(task="appeal") == []
    words = [item.words for item in selectors.waiting_for(team.owner, team.workspace)]
    assert words == ["hate", "a term on the list"]
    numbers = selectors.numbers_of(team.owner, team.workspace)
    assert (numbers.num_waiting, numbers.oldest) == (2, text.created_at)


@pytest.mark.django_db(transaction=True)
def test_of_two_reviewers_at_once_one_decides_and_the_other_learns_it() -> None:
    team = Team()
    artifact = team.held()
    outcomes: list[str] = []
    ready = threading.Barrier(2)

    def act(user: User, outcome: str) -> None:
        ready.wait()
        try:
            team.decide(user, artifact, outcome)
            outcomes.append("decided")
        except AppError as error:
            outcomes.append(error.code)
        connections.close_all()

    threads = [
        threading.Thread(target=act, args=arguments)
        for arguments in ((team.owner, "released"), (team.reviewer, "rejected"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["already_decided", "decided"]
    assert Decision.objects.count() == 1
    assert audit.verify(team.workspace.id).num_entries == 1


@pytest.mark.django_db(transaction=True)
def test_two_results_of_one_job_decided_at_once_do_not_leave_it_held() -> None:
    team = Team()
    first = team.held()
    second = team.held(job=first.job, index=1)
    ready = threading.Barrier(2)

    def act(user: User, artifact: Artifact) -> None:
        ready.wait()
        team.decide(user, artifact, "released")
        connections.close_all()

    threads = [threading.Thread(target=act, args=pair) for pair in ((team.owner, first), (team.reviewer, second))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Job.objects.get(id=first.job_id).status == Job.Status.SUCCEEDED
