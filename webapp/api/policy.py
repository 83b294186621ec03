"""/policy: from which scores on a workspace flags, holds and blocks."""

from datetime import datetime

from ninja import Body, Router
from pydantic import BaseModel, ConfigDict, Field

from webapp.api.auth import GENERATE, READ, ApiRequest
from webapp.api.paging import Slug
from webapp.safety import selectors, services
from webapp.safety.policy import Policy
from webapp.safety.selectors import PolicyInForce
from webapp.safety.services import MAX_NOTE_CHARS

router = Router(tags=["policy"])


class PolicyVersion(BaseModel):
    """The policy in force."""

    number: int = Field(description="of the version; 0 is the default, which nobody has changed yet")
    thresholds: Policy = Field(description="stage, category, threshold: 0 to 1, or null for never")
    note: str
    created_by: str | None = Field(description="the name of the person; null for the default")
    created_at: datetime | None


class PolicyChange(BaseModel):
    """A new policy, whole."""

    model_config = ConfigDict(extra="forbid", strict=True)

    based_on: int = Field(ge=0, le=2**31 - 1, description="the number of the version that was read and changed")
    thresholds: Policy = Field(
        description="every category of every stage, with flag_at <= review_at <= block_at. `sexual/minors` keeps a "
        "block_at that is not above the default's and no review_at; `self-harm` keeps a flag_at and has no block_at."
    )
    note: str = Field(default="", max_length=MAX_NOTE_CHARS, description="why, for the history")


@router.get("/policy", auth=READ, response=PolicyVersion, summary="Get the policy")
def get_policy(request: ApiRequest, workspace: Slug = None) -> PolicyVersion:
    """The policy of a workspace, as it is in force now; every member may read it."""
    return _version(selectors.policy_of(request.auth.workspace(workspace).id))


@router.put(
    "/policy",
    auth=GENERATE,
    response=PolicyVersion,
    summary="Change the policy",
    openapi_extra={"responses": {200: {"description": "It is in force for every job that starts from now on."}}},
)
def change_policy(request: ApiRequest, payload: Body[PolicyChange], workspace: Slug = None) -> PolicyVersion:
    """Put another policy in force: for owners. 409 when somebody else has changed it since it was read."""
    home = request.auth.workspace(workspace)
    wanted = payload.thresholds
    return _version(
        services.change_policy(request.auth.user, home, wanted, based_on=payload.based_on, note=payload.note)
    )


def _version(now: PolicyInForce) -> PolicyVersion:
    version = now.version
    return PolicyVersion(
        number=now.number,
        thresholds=now.policy,
        note="" if version is None else version.note,
        created_by=None if version is None else version.created_by.username,
        created_at=None if version is None else version.created_at,
    )
