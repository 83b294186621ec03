"""Pages of jobs: one job, its cancel button, the queue of a workspace."""

from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from webapp.accounts.models import User
from webapp.accounts.signed_in import person, sign_in_required
from webapp.errors import AppError, not_found
from webapp.jobs import selectors, services
from webapp.jobs.models import Job
from webapp.jobs.stage import stage_of
from webapp.jobs.usage import usage_of
from webapp.workspaces import current
from webapp.workspaces.selectors import may_generate

MAX_SHOWN_OPEN = 50
NUM_ENDED = 10


@sign_in_required
@require_safe
def job(request: HttpRequest, job_id: UUID) -> HttpResponse:
    """One job, live; `?part=stage` gives the stage alone, for a page that is open already."""
    user = person(request)
    found = _watched(user, job_id)
    current.enter(request, found.workspace)
    template = "jobs/_stage_part.html" if request.GET.get("part") == "stage" else "jobs/job.html"
    num_open_jobs = selectors.open_jobs_of(found.workspace).count()
    response = render(request, template, {"stage": stage_of(found, user), "job": found, "num_open_jobs": num_open_jobs})
    response["Cache-Control"] = "no-store"
    return response


@sign_in_required
@require_POST
def cancel(request: HttpRequest, job_id: UUID) -> HttpResponse:
    """Stop a job. A page that follows it learns the end from the log."""
    user = person(request)
    found = _watched(user, job_id)
    if not may_generate(user, found.workspace_id):
        raise AppError("forbidden", 403, "Your role in this workspace may look, but not cancel. Ask an owner.")
    if not services.cancel(found):
        raise AppError("job_already_ended", 409, "This job had ended already, so there was nothing to cancel.")
    if request.headers.get("HX-Request") == "true":
        return HttpResponse(status=204)
    return redirect("job", job_id)


@sign_in_required
@require_safe
def queue(request: HttpRequest, slug: str) -> HttpResponse:
    """What waits and runs in a workspace, and what ended last."""
    user = person(request)
    workspace = current.enter_by_slug(request, user, slug)
    open_jobs = selectors.open_jobs_of(workspace)
    shown = list(open_jobs[:MAX_SHOWN_OPEN])
    states = selectors.queue_states(shown)
    rows = [{"job": each, "state": state} for each, state in zip(shown, states, strict=True)]
    num_open = open_jobs.count()
    context = {
        "rows": rows,
        "num_open": num_open,
        "num_hidden": num_open - len(rows),
        "ended": selectors.jobs_of(workspace).exclude(status__in=Job.OPEN_STATUSES)[:NUM_ENDED],
        "may_cancel": may_generate(user, workspace.id),
        "swap_badge": True,
    }
    if request.GET.get("part") == "rows":
        return render(request, "jobs/_queue_rows.html", context)
    grid = {"grid_name": settings.GRID_NAME, "grid_g_per_kwh": settings.GRID_G_PER_KWH}
    return render(request, "jobs/queue.html", context | grid | {"usage": usage_of(workspace)})


def _watched(user: User, job_id: UUID) -> Job:
    found = selectors.job_for_watcher(user, job_id)
    if found is None:
        raise not_found("job")
    return found
