"""Pages of what was made: the wall of a workspace and one artifact with all its facts."""

from typing import Any
from uuid import UUID

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from genworkers.contract.base import KINDS
from webapp.accounts.models import User
from webapp.accounts.signed_in import person, sign_in_required
from webapp.catalog import selectors as catalog
from webapp.errors import not_found
from webapp.gallery import held, selectors
from webapp.gallery.explanation import heat_of
from webapp.gallery.lineage import made_from, origin_of
from webapp.gallery.models import Artifact, ArtifactFile
from webapp.gallery.recall import recall_urls, variation_of
from webapp.workspaces import current
from webapp.workspaces.selectors import may_generate

NUM_PER_PAGE = 48
FORMATS = ("webp", "jpeg", "svg")  # beside the original


@sign_in_required
@require_safe
def gallery(request: HttpRequest, slug: str) -> HttpResponse:
    """The wall, newest first; `?part=tiles` gives one more page of tiles, `?part=wall` a wall newly filtered."""
    workspace = current.enter_by_slug(request, person(request), slug)
    kind = request.GET.get("kind", "")
    kind = kind if kind in KINDS else ""
    query = request.GET.get("q", "").strip()
    found = selectors.artifacts_of(workspace, kind=kind, query=query)
    page = Paginator(found, NUM_PER_PAGE).get_page(request.GET.get("page"))
    kept = QueryDict(mutable=True)
    kept.update({name: value for name, value in (("kind", kind), ("q", query)) if value})
    context = {"page": page, "kind": kind, "query": query, "kept": kept.urlencode()}
    part = request.GET.get("part")
    template = {"tiles": "gallery/_tiles.html", "wall": "gallery/_wall.html"}.get(part or "", "gallery/gallery.html")
    return render(request, template, context)


@sign_in_required
@require_safe
def artifact(request: HttpRequest, artifact_id: UUID) -> HttpResponse:
    """One picture or text, large, with everything that is known about it."""
    user = person(request)
    found = selectors.artifact_for_viewer(user, artifact_id)
    if found is None:
        raise not_found("artifact")
    held.look(user, found)
    current.enter(request, found.workspace)
    original = selectors.file_of(found, ArtifactFile.Role.ORIGINAL)
    context = {
        "artifact": found,
        "original": original,
        "signed_file": next((file for file in found.files.all() if hasattr(file, "credential")), None),
        "text": selectors.text_of(found) if found.kind == "text" else None,
        "net": catalog.net(found.net),
        "recall": recall_urls(found),
        "siblings": found.job.artifacts.exclude(id=found.id).filter(status=Artifact.Status.KEPT).order_by("index"),
    }
    if found.kind == "image":
        context |= _picture_context(found, user)
    return render(request, "gallery/artifact.html", context)


def _picture_context(artifact: Artifact, user: User) -> dict[str, Any]:
    is_still = artifact.request.get("walk") is None
    unlikeness = artifact.facts.get("unlikeness")
    can_walk = is_still and any("walk" in net.abilities for net in catalog.nets())
    walk_url = f"{reverse('drift', args=[artifact.workspace.slug])}?start={artifact.id}" if can_walk else ""
    return {
        "is_still": is_still,
        "formats": FORMATS if is_still else (),
        "may_generate": may_generate(user, artifact.workspace_id),
        "variation": variation_of(artifact),
        "walk_url": walk_url,
        "heat": heat_of(artifact.facts),
        "unlikeness": unlikeness and {"percent": round(100 * unlikeness["percentile_frac"])} | unlikeness,
        "origin": origin_of(artifact, user),
        "made_from": made_from(artifact),
    }
