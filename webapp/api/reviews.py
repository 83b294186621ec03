"""/reviews: what is held, decisions about it, and the author's appeal."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from django.conf import settings
from django.urls import reverse
from ninja import Body, Query, Router, Status
from pydantic import BaseModel, ConfigDict, Field

from genworkers.contract.base import Kind
from genworkers.contract.safety import Category
from webapp.api.artifacts import VerdictFacts
from webapp.api.auth import GENERATE, READ, ApiRequest
from webapp.api.paging import Slug
from webapp.review import selectors, services
from webapp.safety.models import Decision

router = Router(tags=["reviews"])

Task = Literal["held", "appeal", "recheck"]


class ReviewItem(BaseModel):
    """One thing to decide. What it shows is at `content`; a look at what is not released goes into the audit log."""

    artifact: UUID
    task: Task = Field(description="held: release or reject; appeal: overturn or uphold; recheck: judge again, blind")
    kind: Kind
    created_by: str
    since: datetime
    appeal: str | None = Field(description="the author's words; null where there is no appeal")
    verdicts: list[VerdictFacts]
    content: str
    decide: str = Field(description="where to POST the decision")
    page: str


class ReviewList(BaseModel):
    """What waits for the caller, oldest first."""

    items: list[ReviewItem]
    num_waiting: int = Field(description="all of it, without the filters")
    oldest: datetime | None
    num_pairs: int = Field(description="results that two reviewers have judged, the second one blind")
    kappa: float | None = Field(description="Cohen's, of these pairs; null with too few, or where all was judged alike")
    overturned_frac: float | None = Field(description="share of the decided appeals; null while there is none")


class Ruling(BaseModel):
    """A decision."""

    model_config = ConfigDict(extra="forbid", strict=True)

    task: Task
    outcome: Literal["released", "rejected"]
    reason: str = Field(
        default="", max_length=services.MAX_REASON_CHARS, description="the author reads it; needed to reject"
    )


class Ruled(BaseModel):
    """A decision that was taken."""

    artifact: UUID
    task: Task
    outcome: Literal["released", "rejected"]
    reason: str
    reviewer: str
    created_at: datetime


class AppealWords(BaseModel):
    """An appeal."""

    model_config = ConfigDict(extra="forbid", strict=True)

    words: str = Field(min_length=1, max_length=services.MAX_APPEAL_CHARS, description="why it should be released")


class AppealMade(BaseModel):
    """An appeal that waits for a reviewer."""

    artifact: UUID
    words: str
    created_at: datetime


@router.get("/reviews", auth=READ, response=ReviewList, summary="List what waits for review")
def list_reviews(
    request: ApiRequest,
    task: Annotated[Task | None, Query(description="only these")] = None,
    kind: Annotated[Kind | None, Query(description="only of this kind")] = None,
    category: Annotated[Category | None, Query(description="only what this category fired for")] = None,
    workspace: Slug = None,
) -> ReviewList:
    """For reviewers and owners: what is held, appealed, or to be judged again. At most 100 of each."""
    user, home = request.auth.user, request.auth.workspace(workspace)
    services.check_may_review(user, home)
    numbers = selectors.numbers_of(user, home)
    items = selectors.waiting_for(user, home, task=task or "", kind=kind or "", category=category or "")
    return ReviewList(
        items=[_item(item) for item in items],
        num_waiting=numbers.num_waiting,
        oldest=numbers.oldest,
        num_pairs=numbers.agreement.num_pairs,
        kappa=numbers.agreement.kappa,
        overturned_frac=numbers.overturned_frac,
    )


def _item(item: selectors.Waiting) -> ReviewItem:
    artifact = item.artifact
    api = f"{settings.BASE_URL}/api/v1"
    page = reverse("review_item", args=[artifact.workspace.slug, item.task, artifact.id])
    return ReviewItem.model_validate(
        {
            "artifact": artifact.id,
            "task": item.task.value,
            "kind": artifact.kind,
            "created_by": artifact.created_by.username,
            "since": item.since,
            "appeal": artifact.appeal.words if item.task == Decision.Task.APPEAL else None,
            "verdicts": [VerdictFacts.model_validate(one, from_attributes=True) for one in artifact.verdicts.all()],
            "content": f"{api}/artifacts/{artifact.id}/content",
            "decide": f"{api}/reviews/{artifact.id}?workspace={artifact.workspace.slug}",
            "page": settings.BASE_URL + page,
        }
    )


@router.post(
    "/reviews/{uuid:artifact_id}",
    auth=GENERATE,
    response=Ruled,
    summary="Decide about a result",
    openapi_extra={"responses": {200: {"description": "The decision was taken; a released result is in the gallery."}}},
)
def decide_review(request: ApiRequest, artifact_id: UUID, payload: Body[Ruling], workspace: Slug = None) -> Ruled:
    """Release or reject what is held, answer an appeal, or judge again. 409 names who was faster."""
    decision = services.decide(
        request.auth.user,
        request.auth.workspace(workspace),
        artifact_id,
        task=Decision.Task(payload.task),
        outcome=Decision.Outcome(payload.outcome),
        reason=payload.reason,
    )
    return Ruled.model_validate(
        {
            "artifact": decision.artifact_id,
            "task": payload.task,
            "outcome": payload.outcome,
            "reason": decision.reason,
            "reviewer": decision.reviewer.username,
            "created_at": decision.created_at,
        }
    )


@router.post(
    "/artifacts/{uuid:artifact_id}/appeal",
    auth=GENERATE,
    response={201: AppealMade},
    summary="Appeal a rejection",
    openapi_extra={"responses": {201: {"description": "Another reviewer reads it where there is one."}}},
)
def create_appeal(request: ApiRequest, artifact_id: UUID, payload: Body[AppealWords]) -> Status[AppealMade]:
    """For whoever asked for the result: answer its rejection, once."""
    made = services.appeal(request.auth.user, artifact_id, payload.words, may_reach=request.auth.may_reach)
    return Status(201, AppealMade(artifact=artifact_id, words=made.words, created_at=made.created_at))
