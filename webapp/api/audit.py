"""/audit: the audit log of a workspace, each entry with its hash."""

from typing import Annotated, Any

from django.conf import settings
from ninja import Query, Router
from pydantic import BaseModel, Field

from webapp.api.auth import READ, ApiRequest
from webapp.api.paging import Limit, Slug
from webapp.errors import AppError
from webapp.workspaces import audit
from webapp.workspaces.models import AuditEntry
from webapp.workspaces.selectors import is_owner

router = Router(tags=["audit"])


class Entry(BaseModel):
    """One act. All fields but `hash`, as JSON with sorted keys and no spaces, have this SHA-256."""

    workspace: str = Field(description="its id")
    number: int = Field(description="from 1, without gaps")
    at: str = Field(description="ISO 8601 with microseconds, in UTC: as it is hashed")
    actor: int | None = Field(description="the id of the person; null for the studio itself")
    actor_name: str
    act: str = Field(examples=["released"])
    subject: str = Field(examples=["artifact 01890a5d-ac96-774b-bcce-b302099a8057"])
    details: dict[str, Any]
    previous_hash: str
    hash: str


class EntryPage(BaseModel):
    """Entries, newest first."""

    items: list[Entry]
    next: str | None = Field(description="the address of the next page; null on the last")


@router.get("/audit", auth=READ, response=EntryPage, summary="List the audit log")
def list_audit(
    request: ApiRequest,
    before_number: Annotated[int | None, Query(ge=1, le=2**53, description="go on below this number")] = None,
    workspace: Slug = None,
    limit: Limit = 20,
) -> EntryPage:
    """For owners: every review, look, appeal, and change of policy or terms, newest first."""
    home = request.auth.workspace(workspace)
    if not is_owner(request.auth.user, home.id):
        raise AppError("forbidden", 403, "Only an owner of the workspace may read its audit log.")
    rows = AuditEntry.objects.filter(workspace=home).order_by("-number")
    if before_number is not None:
        rows = rows.filter(number__lt=before_number)
    found = list(rows[: limit + 1])
    query = request.GET.copy()
    query["before_number"] = str(found[limit - 1].number if len(found) > limit else 0)
    following = f"{settings.BASE_URL}{request.path}?{query.urlencode()}" if len(found) > limit else None
    return EntryPage(items=[Entry(**audit.record_of(one), hash=one.hash) for one in found[:limit]], next=following)
