"""Every address of /api/v1. Start here; each noun has a module of its own."""

from typing import NoReturn

from django.http import HttpRequest
from ninja import Router

from webapp.api import artifacts, audit, jobs, me, nets, policy, reviews, uploads, usage, verify
from webapp.api.application import TesseraApi
from webapp.api.middleware import API_VERSION, NO_SUCH_ADDRESS
from webapp.errors import AppError

api = TesseraApi(
    title="Tessera",
    version=API_VERSION,
    description="Text and pictures from nets that this studio serves itself. Make a key with "
    "`manage.py create_api_key --workspace SLUG --name NAME --scopes read,generate` and send it as "
    "`Authorization: Bearer tsk_...`. Every error is `application/problem+json` with a `code` that is never renamed.",
    urls_namespace="api",
)
for noun in (jobs, artifacts, uploads, nets, reviews, policy, audit, usage, me, verify):
    api.add_router("", noun.router)

unknown = Router()


@unknown.api_operation(["GET", "POST", "PUT", "PATCH", "DELETE"], "/{path:rest}", include_in_schema=False)
def no_such_address(request: HttpRequest, rest: str) -> NoReturn:
    """Whatever no other address has taken."""
    raise AppError("not_found", 404, NO_SUCH_ADDRESS)


api.add_router("", unknown)
