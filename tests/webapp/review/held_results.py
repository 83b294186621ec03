"""Held results with real bytes, signed and stored as a worker does it, for the tests of the review pages."""

from typing import Any

from tests.factories import JobFactory
from tests.webapp.gallery.drafts import draft_of
from webapp.gallery.models import Artifact
from webapp.jobs import services as jobs
from webapp.jobs.models import Job
from webapp.safety.rules import ScreenResult
from webapp.workspaces.models import Workspace


def net_said(category: str, score: float, action: str = "review", *, stage: Any = "output") -> ScreenResult:
    """The verdict of a net that found one category."""
    scores = {category: score, "illicit": 0.02}
    return ScreenResult(action, "text net", "1/ab12", stage, [category], scores, 0, "a" * 64)


def rule_said(term: str) -> ScreenResult:
    """The verdict of the list of terms."""
    return ScreenResult("review", "rules", "1/00000000", "output", [term], content_sha256="b" * 64)


def hold(workspace: Workspace, author: Any, *verdicts: ScreenResult, kind: str = "text", **fields: Any) -> Artifact:
    """A finished job of this person whose only result waits for a reviewer."""
    given = {"prompt": "a fight at sea" if kind == "text" else "two knights"} | fields
    job: Job = JobFactory.create(workspace=workspace, created_by=author, kind=kind, status="running", **given)
    passed = ScreenResult("allow", "rules", "1/00000000", "prompt")
    draft = draft_of(job, is_held=True, verdicts=[passed, *(verdicts or [net_said("violence", 0.93)])])
    assert jobs.complete(jobs.Claim(job, job.fence), [draft])
    artifact: Artifact = Artifact.objects.get(job=job)
    return artifact
