"""Drafts while somebody types: four small pictures at once, shown and not kept; one of them can start a picture."""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST
from pydantic import ValidationError

from genworkers.contract.base import MAX_SEED
from genworkers.contract.events import FINAL_EVENT_KINDS
from genworkers.contract.image import ImageRequest
from genworkers.contract.manifests import NetManifest
from webapp.accounts.models import User
from webapp.accounts.signed_in import person
from webapp.catalog import selectors as catalog
from webapp.errors import invalid_request, not_found
from webapp.jobs import selectors as jobs
from webapp.jobs import services as jobs_services
from webapp.jobs.follow import follow
from webapp.jobs.models import Job
from webapp.studio import parameters
from webapp.workspaces.models import Workspace
from webapp.workspaces.selectors import workspaces_of

NUM_DRAFTS = 4
WAIT_S = 3.0
BUSY = "The workers are busy: no drafts just now."


@dataclass(frozen=True)
class Draft:
    """One small picture, as a data URL, and the seed that draws it."""

    seed: int
    image: str


def draft_net() -> NetManifest | None:
    """The net that draws drafts, if one is installed."""
    return next((net for net in catalog.nets() if net.kind == "image" and "draft" in net.abilities), None)


@require_POST
async def drafts(request: HttpRequest, slug: str) -> HttpResponse:
    """Four drafts of the prompt in the form, as a fragment; whoever asks again gives up what they asked before."""
    job = await sync_to_async(_submit)(request, slug)
    found: dict[int, str] = {}
    event: dict[str, Any] = {}
    try:
        async with asyncio.timeout(WAIT_S):
            async with aclosing(follow(job.id, 0)) as messages:
                async for message in messages:
                    event = message.get("event", {})
                    if event.get("kind") == "preview":
                        found[event["index"]] = event["image"]
    except TimeoutError:
        await sync_to_async(jobs_services.cancel)(job)
    shown = [Draft((job.request["seed"] + index) & MAX_SEED, image) for index, image in sorted(found.items())]
    context = {"drafts": shown, "problem": "" if shown else _problem(event)}
    return await sync_to_async(render)(request, "studio/_drafts.html", context)


def _problem(last: Mapping[str, Any]) -> str:
    if last.get("kind") == "blocked":
        return str(last["message"])
    return "No drafts of this." if last.get("kind") in FINAL_EVENT_KINDS else BUSY


def _submit(request: HttpRequest, slug: str) -> Job:
    user = person(request)
    workspace = workspaces_of(user).filter(slug=slug).first()
    net = draft_net()
    if workspace is None or net is None:
        raise not_found("workspace" if workspace is None else "net for drafts")
    _give_up_older(user, workspace)
    try:
        wish = ImageRequest.model_validate(_wish(request.POST.dict(), net), strict=False)
    except ValidationError as error:
        raise invalid_request(error, parameters.allowed_of("image")) from error
    return jobs_services.submit(user=user, workspace=workspace, request=wish)


def _wish(posted: Mapping[str, object], net: NetManifest) -> dict[str, object]:
    """The prompt and the style of the form, as far as the net for drafts knows the style."""
    style = str(posted.get("image-style", ""))
    return {
        "prompt": str(posted.get("prompt", "")).replace("\r\n", "\n"),
        "net": net.name,
        "style": style if style in net.styles else "",
        "num_images": NUM_DRAFTS,
        "is_draft": True,
    }


def _give_up_older(user: User, workspace: Workspace) -> None:
    for job in jobs.open_drafts_of(user, workspace):
        jobs_services.cancel(job)
