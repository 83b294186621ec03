"""/me: who the caller is and where they may act."""

from datetime import datetime

from ninja import Router
from pydantic import BaseModel, Field

from webapp.api.auth import READ, ApiRequest
from webapp.workspaces import selectors as workspaces

router = Router(tags=["me"])


class Person(BaseModel):
    """A person."""

    username: str
    email: str


class MyWorkspace(BaseModel):
    """A workspace that the caller can reach, and their role there."""

    slug: str = Field(examples=["studio"])
    name: str
    role: str = Field(examples=["owner"])


class MyKey(BaseModel):
    """The key of this request."""

    name: str
    prefix: str
    scopes: list[str]
    expires_at: datetime | None


class Me(BaseModel):
    """The caller."""

    user: Person
    workspaces: list[MyWorkspace] = Field(description="the first is meant when a request names none")
    key: MyKey | None = Field(description="null for a session")


@router.get("/me", auth=READ, response=Me, summary="Who am I")
def get_me(request: ApiRequest) -> Me:
    """The person, the key if one was used, and the workspaces within reach."""
    caller = request.auth
    reachable = [mine for mine in workspaces.workspaces_of(caller.user) if caller.may_reach(mine.id)]
    key = caller.key
    return Me(
        user=Person(username=caller.user.username, email=caller.user.email),
        workspaces=[
            MyWorkspace(slug=mine.slug, name=mine.name, role=workspaces.role_in(caller.user, mine.id) or "")
            for mine in reachable
        ],
        key=None if key is None else MyKey.model_validate(key, from_attributes=True),
    )
