"""Pages of what was made: the wall of a workspace and one artifact with all its facts."""

from uuid import UUID

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.views.decorators.http import require_safe

from genworkers import contract
from webapp.accounts.signed_in import person, sign_in_required
from webapp.catalog import selectors as catalog
from webapp.errors import not_found
from webapp.gallery import selectors
from webapp.gallery.models import Artifact, ArtifactFile
from webapp.gallery.recall import recall_urls
from webapp.workspaces import current

NUM_PER_PAGE = 48


@sign_in_required
@require_safe
def gallery(request: HttpRequest, slug: str) -> HttpResponse:
    """The wall, newest first; `?part=tiles` gives one more page of tiles, `?part=wall` a wall newly filtered."""
    workspace = current.enter_by_slug(request, person(request), slug)
    kind = request.GET.get("kind", "")
    kind = kind if kind in contract.KINDS else ""
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
    found = selectors.artifact_for_viewer(person(request), artifact_id)
    if found is None:
        raise not_found("artifact")
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
    return render(request, "gallery/artifact.html", context)
