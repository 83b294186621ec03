"""Who is calling: an API key in the Authorization header, or the browser's session (with its CSRF token)."""

from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest
from ninja.security import APIKeyCookie, HttpBearer
from ninja.utils import check_csrf

from webapp.accounts import services as accounts_services
from webapp.accounts.models import ApiKey, User
from webapp.errors import AppError, not_found
from webapp.jobs import selectors as jobs
from webapp.jobs.models import Job
from webapp.workspaces import selectors as workspaces
from webapp.workspaces.models import Workspace


@dataclass(frozen=True)
class Caller:
    """A person, and the key they act with; without one they act with all their rights."""

    user: User
    key: ApiKey | None = None

    def may_reach(self, workspace_id: UUID) -> bool:
        """Whether this caller's key, if any, belongs to this workspace. Membership is checked by the selectors."""
        return self.key is None or self.key.workspace_id == workspace_id

    def workspace(self, slug: str | None) -> Workspace:
        """The named workspace of this caller; the key's own, or the person's first, when none is named.

        Raises:
            AppError: not_found, when it does not exist or is not the caller's.
        """
        mine = workspaces.workspaces_of(self.user)
        if self.key is not None:
            mine = mine.filter(id=self.key.workspace_id)
        found = (mine if slug is None else mine.filter(slug=slug)).first()
        if found is None:
            raise not_found("workspace")
        return found

    def job(self, job_id: UUID) -> Job:
        """The job, if this caller may watch it.

        Raises:
            AppError: not_found.
        """
        job = jobs.job_for_watcher(self.user, job_id)
        if job is None or not self.may_reach(job.workspace_id):
            raise not_found("job")
        return job


class ApiRequest(HttpRequest):
    """What a view gets once one of the two doors below has let the caller in."""

    auth: Caller


class BearerKey(HttpBearer):
    """`Authorization: Bearer tsk_...`, with the scope that the operation needs."""

    def __init__(self, scope: str) -> None:
        super().__init__()
        self.scope = scope

    def __call__(self, request: HttpRequest) -> Caller | None:
        """The caller; None lets the session try, when there is no Authorization header at all."""
        header = request.headers.get("Authorization")
        if header is None:
            return None
        scheme, _, token = header.partition(" ")
        return self.authenticate(request, token.strip() if scheme.lower() == "bearer" else "")

    def authenticate(self, request: HttpRequest, token: str) -> Caller:
        """The caller behind this key.

        Raises:
            AppError: unauthenticated, or scope_missing.
        """
        key = accounts_services.authenticate_key(token)
        if key is None:
            raise unauthenticated("This API key is not valid: wrong, revoked or expired.", ', error="invalid_token"')
        if self.scope not in key.scopes:
            challenge = f'Bearer realm="Tessera", error="insufficient_scope", scope="{self.scope}"'
            message = f"This API key lacks the scope {self.scope!r}; it has: {', '.join(key.scopes)}."
            raise AppError("scope_missing", 403, message, headers={"WWW-Authenticate": challenge})
        return Caller(key.user, key)


class Session(APIKeyCookie):
    """The browser's session; what changes something also needs the CSRF token in the header X-CSRFToken."""

    param_name = settings.SESSION_COOKIE_NAME

    def __call__(self, request: HttpRequest) -> Caller | None:
        """The person who is signed in, or None."""
        return self.authenticate(request, None)

    def authenticate(self, request: HttpRequest, key: str | None) -> Caller | None:
        """The person who is signed in, or None.

        Raises:
            AppError: csrf_failed.
        """
        if not isinstance(request.user, User):
            return None
        if check_csrf(request):
            raise AppError("csrf_failed", 403, "Send the CSRF token of this session in the header X-CSRFToken.")
        return Caller(request.user)


def unauthenticated(message: str, parameters: str = "") -> AppError:
    """The 401 that says how to sign in."""
    challenge = f'Bearer realm="Tessera"{parameters}'
    return AppError("unauthenticated", 401, message, headers={"WWW-Authenticate": challenge})


READ = [BearerKey("read"), Session()]
GENERATE = [BearerKey("generate"), Session()]
