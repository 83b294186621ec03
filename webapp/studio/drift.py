"""The page Drift: a map of a net's latent space to choose places on, and a builder of walks between places.

What the form means is in `walk_form.py`.
"""

from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_http_methods, require_safe
from django_htmx.http import HttpResponseClientRedirect

from genworkers.contract.manifests import NetManifest
from genworkers.contract.names import VERSION
from webapp.accounts.models import User
from webapp.accounts.signed_in import person, sign_in_required
from webapp.catalog import selectors as catalog
from webapp.errors import AppError, not_found
from webapp.gallery import selectors as gallery
from webapp.gallery.models import Artifact, ArtifactFile
from webapp.jobs import selectors as jobs
from webapp.jobs import services as jobs_services
from webapp.jobs.models import Job
from webapp.jobs.stage import stage_of
from webapp.provenance import services as provenance
from webapp.provenance.manifest import GenerationFacts, unmarked
from webapp.studio import walk_form
from webapp.studio.walk_form import WalkForm
from webapp.workspaces.current import enter_by_slug
from webapp.workspaces.models import Workspace
from webapp.workspaces.selectors import may_generate

ABILITY = "walk"
NUM_PICTURES = 12
MAX_ATLAS_BYTES = 4 * 2**20
STILL = "image/png"
ATLAS_PART = "map"


def walking_nets() -> list[NetManifest]:
    """The nets that have a latent space to walk in."""
    return [net for net in catalog.nets() if net.kind == "image" and ABILITY in net.abilities]


@sign_in_required
@require_http_methods(["GET", "HEAD", "POST"])
def drift(request: HttpRequest, slug: str) -> HttpResponse:
    """The map, the builder and the person's newest walk; POST draws a picture or a walk."""
    user = person(request)
    workspace = enter_by_slug(request, user, slug)
    nets = walking_nets()
    asked = request.POST if request.method == "POST" else request.GET
    net = next((net for net in nets if net.name == asked.get("net")), nets[0] if nets else None)
    if net is None:
        return render(request, "studio/drift_absent.html", status=404 if request.method == "POST" else 200)
    if request.method == "POST":
        return _create(request, user, workspace, net)
    newest = _newest(user, workspace, net)
    form = walk_form.restored(net, newest.request if newest else {}, start=_start(request, user, workspace))
    return _page(request, user, workspace, form, newest)


def _newest(user: User, workspace: Workspace, net: NetManifest) -> Job | None:
    return jobs.jobs_of(workspace).filter(created_by=user, kind="image", request__net=net.name).first()


def _start(request: HttpRequest, user: User, workspace: Workspace) -> str:
    """The picture that the address names as the start, if it is one of this workspace."""
    try:
        found = gallery.artifact_for_viewer(user, UUID(request.GET.get("start", "")))
    except ValueError:
        return ""
    return str(found.id) if found is not None and found.workspace_id == workspace.id and _is_still(found) else ""


def _is_still(artifact: Artifact) -> bool:
    original = gallery.file_of(artifact, ArtifactFile.Role.ORIGINAL)
    return original is not None and original.media_type == STILL


def _pictures(user: User, workspace: Workspace, form: WalkForm) -> list[Artifact]:
    """What the picker offers: what is chosen already, then the newest pictures."""
    chosen = [gallery.artifact_for_viewer(user, UUID(id_)) for id_ in form.chosen_pictures]
    first = [one for one in chosen if one is not None and one.workspace_id == workspace.id and _is_still(one)]
    recent = gallery.artifacts_of(workspace, kind="image").filter(
        files__role=ArtifactFile.Role.ORIGINAL, files__media_type=STILL
    )
    return list({one.id: one for one in [*first, *recent[:NUM_PICTURES]]}.values())


def _context(user: User, workspace: Workspace, form: WalkForm) -> dict[str, Any]:
    has_atlas = ATLAS_PART in form.net.files
    return {
        "form": form,
        "drift_nets": walking_nets(),
        "pictures": _pictures(user, workspace, form),
        "may_walk": may_generate(user, workspace.id),
        "atlas": f"{reverse('drift_atlas', args=[form.net.name])}?v={form.net.sha256[:12]}" if has_atlas else "",
    }


def _page(
    request: HttpRequest, user: User, workspace: Workspace, form: WalkForm, newest: Job | None, status: int = 200
) -> HttpResponse:
    stage = {"stage": stage_of(newest, user)} if newest else {}
    return render(request, "studio/drift.html", _context(user, workspace, form) | stage, status=status)


def _create(request: HttpRequest, user: User, workspace: Workspace, net: NetManifest) -> HttpResponse:
    is_fragment = request.headers.get("HX-Request") == "true"
    form = walk_form.typed(net, {name: str(value) for name, value in request.POST.items()})
    try:
        wish = form.request(lambda id_: _prompt_of(user, id_))
        job = jobs_services.submit(user=user, workspace=workspace, request=wish)
    except AppError as error:
        if is_fragment and not error.problems:
            raise  # becomes a notice on the page, which stays as it is
        form = form.refused(error)
        if not is_fragment:
            return _page(request, user, workspace, form, _newest(user, workspace, net), error.http_status)
        return render(request, "studio/_drift_form.html", _context(user, workspace, form), status=error.http_status)
    if not is_fragment:
        response = redirect("job", job.id)
        response.status_code = 303
        return response
    if not request.headers.get("HX-Current-URL", "").split("?")[0].endswith(request.path):
        return HttpResponseClientRedirect(reverse("job", args=[job.id]))
    made = {"stage": stage_of(job, user), "swap_badge": True, "num_open_jobs": jobs.open_jobs_of(workspace).count()}
    return render(request, "studio/_drift_created.html", _context(user, workspace, form) | made)


def _prompt_of(user: User, artifact_id: str) -> str:
    """What a picture was asked for with; empty when there is no such picture for this person."""
    try:
        found = gallery.artifact_for_viewer(user, UUID(artifact_id))
    except ValueError:
        return ""
    return found.prompt if found is not None else ""


@sign_in_required
@require_safe
def atlas(request: HttpRequest, net: str) -> HttpResponse:
    """The picture of a net's map: a file of its checkpoint folder that its manifest lists."""
    manifest, folder = catalog.net(net), catalog.folder_of(net)
    entry = manifest.files.get(ATLAS_PART) if manifest is not None else None
    if manifest is None or folder is None or entry is None:
        raise not_found("map")
    path = (folder / str(entry.get("path", ""))).resolve()
    etag = f'"{entry.get("sha256", "")}"'
    if path.parent != folder.resolve() or path.suffix != ".webp" or not path.is_file():
        raise not_found("map")
    if path.stat().st_size > MAX_ATLAS_BYTES:
        raise not_found("map")
    whole = HttpResponse(_signed_atlas(path, manifest.name, manifest.title, manifest.sha256), content_type="image/webp")
    response = get_conditional_response(request, etag=etag, response=whole) or whole
    # The address on the page changes with the checkpoint, so a browser may keep the picture for a day.
    response["Cache-Control"] = "private, max-age=86400"
    response["ETag"] = etag
    response["X-Content-Type-Options"] = "nosniff"
    return response


@lru_cache(maxsize=4)
def _signed_atlas(path: Path, net: str, title: str, checkpoint_sha256: str) -> bytes:
    """The picture with credentials: a net drew it, if not for anybody."""
    facts = GenerationFacts(
        artifact_id=uuid5(NAMESPACE_URL, f"{checkpoint_sha256}/{path.name}"),
        job_id=None,
        title=f"Map of {title}",
        net=net,
        checkpoint_sha256=checkpoint_sha256,
        created_at=datetime.fromtimestamp(path.stat().st_mtime, UTC),
        software_version=VERSION,
        mark=unmarked("A net's own map is drawn once, for everybody."),
    )
    return provenance.sign(path.read_bytes(), "image/webp", facts=facts).data
