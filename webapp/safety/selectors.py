"""Reads: the policy in force and its history, the supportive note of a job, what became of a rejected result."""

from dataclasses import dataclass
from uuid import UUID

from webapp.safety import policy
from webapp.safety.models import Appeal, Decision, PolicyVersion, Verdict
from webapp.safety.policy import Change, Policy


@dataclass(frozen=True)
class PolicyInForce:
    """A workspace's policy today. `number` 0 and no `version`: the default, which nobody has changed yet."""

    number: int
    policy: Policy
    version: PolicyVersion | None


@dataclass(frozen=True)
class PolicyChange:
    """One version, and what it changed against the one before."""

    version: PolicyVersion
    changes: list[Change]


@dataclass(frozen=True)
class Notice:
    """What the author of a result is told about its review. Who reviewed is not among it."""

    artifact_id: UUID
    index: int
    status: str
    reason: str
    appeal: Appeal | None
    answer: Decision | None

    @property
    def may_appeal(self) -> bool:
        """Whether an appeal can still be made."""
        return self.status == Decision.Outcome.REJECTED and self.appeal is None


def policy_of(workspace_id: UUID) -> PolicyInForce:
    """The newest version, as it is in force today."""
    newest = PolicyVersion.objects.filter(workspace_id=workspace_id).order_by("-number").first()
    if newest is None:
        return PolicyInForce(0, policy.DEFAULT, None)
    return PolicyInForce(newest.number, policy.in_force(newest.thresholds), newest)


def history_of(workspace_id: UUID) -> list[PolicyChange]:
    """Every version with what it changed, newest first."""
    versions = PolicyVersion.objects.filter(workspace_id=workspace_id).select_related("created_by").order_by("number")
    before, found = policy.DEFAULT, []
    for version in versions:
        after = policy.in_force(version.thresholds)
        found.append(PolicyChange(version, policy.changes(before, after)))
        before = after
    return found[::-1]


def note_for(job_id: UUID) -> str:
    """The supportive note for whoever asked for this job; empty where its prompt gives no cause."""
    found = Verdict.objects.filter(job_id=job_id, stage=Verdict.Stage.PROMPT).values_list("matched", "policy_number")
    has_cause = any(number is not None and policy.SUPPORTED in matched for matched, number in found)
    return policy.SUPPORT_NOTE if has_cause else ""


def notices_for(job_id: UUID) -> list[Notice]:
    """What became of each result of a job that a reviewer has decided about, in their order."""
    decisions = Decision.objects.filter(artifact__job_id=job_id).exclude(task=Decision.Task.RECHECK)
    by_artifact: dict[UUID, dict[str, Decision]] = {}
    for decision in decisions.select_related("artifact").order_by("artifact__index"):
        by_artifact.setdefault(decision.artifact_id, {})[decision.task] = decision
    appeals = {appeal.artifact_id: appeal for appeal in Appeal.objects.filter(artifact__job_id=job_id)}
    return [
        _notice(found, appeals.get(artifact_id))
        for artifact_id, found in by_artifact.items()
        if Decision.Task.HELD in found
    ]


def _notice(found: dict[str, Decision], appeal: Appeal | None) -> Notice:
    first = found[Decision.Task.HELD]
    answer = found.get(Decision.Task.APPEAL)
    return Notice(
        artifact_id=first.artifact_id,
        index=first.artifact.index,
        status=first.outcome if answer is None else answer.outcome,
        reason=first.reason,
        appeal=appeal,
        answer=answer,
    )
