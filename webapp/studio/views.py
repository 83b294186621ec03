"""The pages where people ask: the studio itself, and where a visit starts."""

from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods
from django_htmx.http import HttpResponseClientRedirect
from pydantic import ValidationError

from genworkers.contract.base import Kind
from genworkers.contract.names import MAX_BODY_BYTES
from genworkers.contract.requests import GENERATION_REQUEST
from genworkers.contract.text import MAX_PROMPT_CHARS
from webapp.accounts.models import User
from webapp.accounts.signed_in import person, sign_in_required
from webapp.body_limit import MAX_REQUEST_BYTES
from webapp.errors import AppError, invalid_request
from webapp.gallery import selectors as gallery
from webapp.jobs import selectors as jobs
from webapp.jobs import services as jobs_services
from webapp.jobs.models import Job
from webapp.jobs.stage import stage_of
from webapp.studio import drafts, parameters, prompt_bar
from webapp.studio.prompt_bar import PromptBar
from webapp.workspaces.current import current, enter_by_slug
from webapp.workspaces.models import Workspace
from webapp.workspaces.selectors import workspaces_of

NUM_RECENT = 12
SAMPLES: list[tuple[Kind, str]] = [
    ("text", "Write a story about a brave little boat."),
    ("image", "a red apple"),
    ("text", "Write a scene about two friends who find a map."),
    ("text", "Describe a quiet forest."),
    ("text", "Write a story about a red balloon."),
    ("text", "Write a story about the moon"),
    ("image", "a rocket"),
    ("image", "a cat"),
]


@sign_in_required
@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """To the studio of the workspace that was chosen, or visited last."""
    user = person(request)
    workspace = workspaces_of(user).filter(slug=request.GET.get("workspace", "")).first() or current(request, user)
    if workspace is None:
        return render(request, "studio/no_workspace.html")
    return redirect("studio", workspace.slug)


@sign_in_required
@require_http_methods(["GET", "HEAD", "POST"])
def studio(request: HttpRequest, slug: str) -> HttpResponse:
    """The prompt bar and the person's newest job; POST starts another."""
    user = person(request)
    workspace = enter_by_slug(request, user, slug)
    if request.method == "POST":
        return _create(request, user, workspace)
    return _page(request, user, workspace)


def _page(
    request: HttpRequest, user: User, workspace: Workspace, bar: PromptBar | None = None, status: int = 200
) -> HttpResponse:
    newest = jobs.jobs_of(workspace).filter(created_by=user).first()
    context: dict[str, Any] = {
        "stage": stage_of(newest, user) if newest else None,
        "draft_net": drafts.draft_net(),
        "recent": gallery.artifacts_of(workspace)[:NUM_RECENT],
        "samples": [
            {"kind": kind, "prompt": prompt, "url": _sample_url(workspace, kind, prompt)} for kind, prompt in SAMPLES
        ],
    }
    if bar is not None:
        context["prompt_bar"] = bar
    return render(request, "studio/studio.html", context, status=status)


def _sample_url(workspace: Workspace, kind: str, prompt: str) -> str:
    query = QueryDict(mutable=True)
    query.update({"kind": kind, "prompt": prompt})
    return f"{reverse('studio', args=[workspace.slug])}?{query.urlencode()}"


def _create(request: HttpRequest, user: User, workspace: Workspace) -> HttpResponse:
    is_fragment = request.headers.get("HX-Request") == "true"
    try:
        job = _submit(request.POST, user, workspace)
    except AppError as error:
        if is_fragment and not error.problems:
            raise  # becomes a notice beside the bar, which stays as it is
        bar = prompt_bar.refused(request.POST, error, workspace)
        if is_fragment:
            return render(request, "studio/_prompt_bar.html", {"prompt_bar": bar}, status=error.http_status)
        return _page(request, user, workspace, bar, error.http_status)
    if not is_fragment:
        response = redirect("job", job.id)
        response.status_code = 303
        return response
    if _comes_from_studio(request, workspace):
        bar = prompt_bar.accepted(request.POST, workspace)
        return render(
            request, "studio/_created.html", {"prompt_bar": bar, "stage": stage_of(job, user), "swap_badge": True}
        )
    return HttpResponseClientRedirect(reverse("job", args=[job.id]))


def _submit(posted: QueryDict, user: User, workspace: Workspace) -> Job:
    kind: Kind = "image" if posted.get("kind") == "image" else "text"
    texts = {name: str(value) for name, value in posted.items()}
    data = parameters.parse(kind, texts) | {"kind": posted.get("kind", kind)}
    try:
        wish = GENERATION_REQUEST.validate_python(data, strict=False)
    except ValidationError as error:
        raise invalid_request(error, parameters.allowed_of(kind)) from error
    return jobs_services.submit(user=user, workspace=workspace, request=wish)


def _comes_from_studio(request: HttpRequest, workspace: Workspace) -> bool:
    page = request.headers.get("HX-Current-URL", "").split("?")[0]
    return page.endswith(reverse("studio", args=[workspace.slug]))


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler for 400, with a plain word about a body that was too large."""
    if not isinstance(exception, RequestDataTooBig):
        return render(request, "400.html", status=400)
    error = AppError(
        "body_too_large",
        413,
        f"That is too much: a request may have {MAX_BODY_BYTES:,} bytes of words, a prompt {MAX_PROMPT_CHARS:,} "
        f"characters, and all together {MAX_REQUEST_BYTES // 10**6} MB. Shorten it and try again.",
    )
    template = "_error.html" if request.headers.get("HX-Request") == "true" else "error.html"
    return render(request, template, {"error": error}, status=413)
