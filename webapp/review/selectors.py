"""Reads: what waits for a reviewer, who may decide about it, and how well reviewers agree."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from webapp.accounts.models import User
from webapp.gallery import selectors as gallery
from webapp.gallery.models import Artifact
from webapp.safety import policy
from webapp.safety.agreement import Agreement, agreement_of
from webapp.safety.models import Action, Decision, Verdict
from webapp.workspaces.models import Workspace
from webapp.workspaces.selectors import reviewers_of

Task = Decision.Task
MAX_LISTED = 100


@dataclass(frozen=True)
class Finding:
    """One verdict in words: where it looked, what followed, and the categories with their scores, or the terms."""

    verdict: Verdict
    where: str
    action: str
    matches: list[tuple[str, float | None]]


WHERE = {str(stage): words.removeprefix("the ").capitalize() for stage, words in policy.STAGE_WORDS.items()}
ACTION_WORDS = {"allow": "nothing found", "flag": "flagged", "review": "sent to review", "block": "blocked"}
SEVEREST_FIRST = ("block", "review", "flag", "allow")


@dataclass(frozen=True)
class Waiting:
    """One thing to decide: a held result, an appeal, or a blind re-check of a decided one."""

    artifact: Artifact
    task: Decision.Task
    since: datetime

    @property
    def findings(self) -> list[Finding]:
        """Every verdict on it, severest first."""
        found = sorted(self.artifact.verdicts.all(), key=lambda verdict: SEVEREST_FIRST.index(verdict.action))
        return [_finding(verdict) for verdict in found if verdict.screen != "none"]

    @property
    def reasons(self) -> list[Verdict]:
        """The verdicts that fired, severest first."""
        return [finding.verdict for finding in self.findings if finding.verdict.action != Action.ALLOW]

    @property
    def words(self) -> str:
        """Why it waits, in a few words."""
        named = [name for verdict in self.reasons if verdict.policy_number is not None for name in verdict.matched]
        has_term = any(verdict.policy_number is None for verdict in self.reasons)
        parts = [policy.in_words(list(dict.fromkeys(named)))] if named else []
        return ", ".join(parts + (["a term on the list"] if has_term else [])) or "no verdict on record"


def _finding(verdict: Verdict) -> Finding:
    is_net = verdict.policy_number is not None
    return Finding(
        verdict=verdict,
        where=WHERE[verdict.stage],
        action=ACTION_WORDS[verdict.action],
        matches=[(policy.in_words([name]) if is_net else name, verdict.scores.get(name)) for name in verdict.matched],
    )


@dataclass(frozen=True)
class Numbers:
    """What the page says of the queue and of the reviewers' work."""

    num_waiting: int
    oldest: datetime | None
    agreement: Agreement
    num_self_checks: int
    num_rejected: int
    num_appeals_decided: int
    num_overturned: int

    @property
    def overturned_frac(self) -> float | None:
        """Share of the decided appeals in which the rejection was overturned; None while there is none."""
        return self.num_overturned / self.num_appeals_decided if self.num_appeals_decided else None


def waiting_for(
    user: User, workspace: Workspace, *, task: str = "", kind: str = "", category: str = ""
) -> list[Waiting]:
    """What waits for this person, oldest first, at most MAX_LISTED of each task.

    Nobody decides about their own result, nor twice about the same one, as long as another reviewer could.

    Args:
        task: held, appeal or recheck; empty means all.
        kind: text or image; empty means both.
        category: only what this category asks to look at.
    """
    found = []
    for each, rows in _rows_of(user, workspace).items():
        if task not in ("", each):
            continue
        if kind:
            rows = rows.filter(kind=kind)
        artifacts = gallery.with_facts(rows).prefetch_related("decisions").select_related("appeal")[:MAX_LISTED]
        found += [Waiting(artifact, each, _since(artifact, each)) for artifact in artifacts]
    if category:
        found = [item for item in found if any(category in verdict.matched for verdict in item.reasons)]
    return sorted(found, key=lambda item: (item.since, item.artifact.id))


def num_waiting_for(user: User, workspace: Workspace) -> int:
    """How much waits for this person."""
    return sum(rows.count() for rows in _rows_of(user, workspace).values())


def _rows_of(user: User, workspace: Workspace) -> dict[Decision.Task, QuerySet[Artifact]]:
    artifacts = Artifact.objects.filter(workspace=workspace)
    done = {task: Exists(Decision.objects.filter(artifact=OuterRef("pk"), task=task)) for task in Task}
    sampled = Exists(Decision.objects.filter(artifact=OuterRef("pk"), task=Task.HELD, is_sampled=True))
    rejected, held = Artifact.Status.REJECTED, Artifact.Status.HELD
    rows = {
        Task.HELD: artifacts.filter(status=held).order_by("created_at"),
        Task.APPEAL: artifacts.filter(~done[Task.APPEAL], status=rejected, appeal__isnull=False).order_by(
            "appeal__created_at"
        ),
        Task.RECHECK: artifacts.filter(sampled, ~done[Task.RECHECK]).order_by("created_at"),
    }
    others = reviewers_of(workspace.id) - {user.id}
    if not others:
        return rows
    return {task: each.exclude(_better_left(user, others, task)) for task, each in rows.items()}


def _better_left(user: User, others: frozenset[int], task: Decision.Task) -> Q:
    """What somebody else should decide; see `may_decide`, which says the same of one artifact."""
    own = Q(created_by=user)
    if task == Task.HELD:
        return own
    decided_by_me = Q(Exists(Decision.objects.filter(artifact=OuterRef("pk"), task=Task.HELD, reviewer=user)))
    if len(others) == 1:  # the only other reviewer may be the author, who decides even less
        decided_by_me &= ~Q(created_by__in=others)
    return own | decided_by_me


def may_decide(user: User, artifact: Artifact, task: Decision.Task) -> bool:
    """Whether this reviewer is the right one: neither the author nor who decided first, unless nobody else is there."""
    reviewers = reviewers_of(artifact.workspace_id)
    first = Decision.objects.filter(artifact=artifact, task=Task.HELD).values_list("reviewer_id", flat=True).first()
    barred = {artifact.created_by_id} if task == Task.HELD else {artifact.created_by_id, first}
    able = reviewers - barred or reviewers - {artifact.created_by_id} or reviewers
    return user.id in able


def _since(artifact: Artifact, task: Decision.Task) -> datetime:
    if task == Task.APPEAL:
        return artifact.appeal.created_at
    if task == Task.RECHECK:
        return next(one.created_at for one in artifact.decisions.all() if one.task == Task.HELD)
    return artifact.created_at


def content_sha256_of(artifact: Artifact) -> str:
    """The hash of what the artifact shows, before it was marked and signed; empty for one that is older than this."""
    found = artifact.verdicts.filter(stage=Verdict.Stage.OUTPUT).exclude(content_sha256="")
    return found.values_list("content_sha256", flat=True).first() or ""


def decided_before(artifact: Artifact) -> Decision | None:
    """The newest decision about another result of this workspace with the very same content."""
    sha256 = content_sha256_of(artifact)
    if not sha256:
        return None
    same = Decision.objects.filter(workspace_id=artifact.workspace_id, content_sha256=sha256)
    known = same.exclude(artifact=artifact).exclude(task=Task.RECHECK)
    return known.select_related("reviewer").order_by("-created_at").first()


def numbers_of(user: User, workspace: Workspace) -> Numbers:
    """What waits for this person, and how the whole workspace has judged so far."""
    rows = _rows_of(user, workspace)
    waiting = [_since(artifact, task) for task, each in rows.items() for artifact in _oldest(each)]
    decisions = Decision.objects.filter(workspace=workspace)
    pairs = _pairs(decisions)
    appeals = decisions.filter(task=Task.APPEAL)
    return Numbers(
        num_waiting=sum(each.count() for each in rows.values()),
        oldest=min(waiting, default=None),
        agreement=agreement_of((first.outcome == _RELEASED, again.outcome == _RELEASED) for first, again in pairs),
        num_self_checks=sum(first.reviewer_id == again.reviewer_id for first, again in pairs),
        num_rejected=decisions.filter(task=Task.HELD, outcome=Decision.Outcome.REJECTED).count(),
        num_appeals_decided=appeals.count(),
        num_overturned=appeals.filter(outcome=_RELEASED).count(),
    )


_RELEASED = Decision.Outcome.RELEASED


def _oldest(rows: QuerySet[Artifact]) -> Iterable[Artifact]:
    return rows.select_related("appeal").prefetch_related("decisions")[:1]


def _pairs(decisions: QuerySet[Decision]) -> list[tuple[Decision, Decision]]:
    again = {one.artifact_id: one for one in decisions.filter(task=Task.RECHECK)}
    first = decisions.filter(task=Task.HELD, artifact__in=again)
    return [(one, again[one.artifact_id]) for one in first]


def own_artifact(user: User, artifact_id: UUID) -> Artifact | None:
    """The artifact, if this person asked for it and is still a member of its workspace."""
    return Artifact.objects.filter(id=artifact_id, created_by=user, workspace__memberships__user=user).first()


def artifact_for_reviewer(user: User, workspace_id: UUID, artifact_id: UUID) -> Artifact | None:
    """The artifact, if it is in this workspace and this person may review there; released ones too."""
    artifact = gallery.artifact_for_viewer(user, artifact_id)
    is_mine = artifact is not None and artifact.workspace_id == workspace_id
    return artifact if is_mine and user.id in reviewers_of(workspace_id) else None
