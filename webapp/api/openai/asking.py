"""What the calls of /v1 have in common that the check worker answers at once: who may ask, and how it is told."""

import json
from collections.abc import Sequence

from django.http import HttpResponse
from pydantic import BaseModel

from webapp.api.auth import Caller
from webapp.api.openai.generation import ignored_header
from webapp.errors import AppError
from webapp.workspaces import selectors as workspaces
from webapp.workspaces.models import Workspace


def workspace_of(caller: Caller) -> Workspace:
    """Where the caller asks, if they may do more there than look.

    Raises:
        AppError: forbidden, not_found.
    """
    workspace = caller.workspace(None)
    if not workspaces.may_generate(caller.user, workspace.id):
        raise AppError("forbidden", 403, "Your role in this workspace may look, but not ask its nets. Ask an owner.")
    return workspace


def told(answer: BaseModel, ignored: Sequence[str]) -> HttpResponse:
    """The whole answer, with the fields without effect named."""
    text = json.dumps(answer.model_dump(mode="json", by_alias=True))
    return HttpResponse(text, content_type="application/json", headers=ignored_header(tuple(ignored)))
