"""Drafts as a worker makes them, really signed, for the tests of the door and of what lies behind it."""

import secrets
import uuid
from dataclasses import replace
from typing import Any

from tests.factories import JobFactory
from tests.webapp.provenance.samples import FINGERPRINT, MARK, PNG, TEXT, WEBP, facts_of
from webapp.gallery.services import ArtifactDraft
from webapp.jobs.models import Job
from webapp.provenance import services as provenance
from webapp.provenance.services import MarkFacts
from webapp.safety.rules import ScreenResult

PROMPT_VERDICT = ScreenResult("allow", "rules", "1/00000000", "prompt")
OUTPUT_VERDICT = ScreenResult("allow", "rules", "1/00000000", "output")
REVIEW_VERDICT = ScreenResult("review", "rules", "1/00000000", "output", ["boat"])


def draft_of(job: Job, **changes: Any) -> ArtifactDraft:
    """The first result of this job, text or image; `changes` replace fields of the draft."""
    artifact_id = changes.setdefault("artifact_id", uuid.uuid4())
    is_image = job.kind == "image"
    mark = replace(MARK, payload=f"{secrets.randbits(36):09x}") if is_image else MarkFacts("text.1", MARK.key_id)
    facts = facts_of(artifact_id, job.id, mark)
    if is_image:
        original = provenance.sign(PNG, "image/png", facts=facts)
        thumbnail = provenance.sign(
            WEBP, "image/webp", facts=facts, ingredients=[provenance.copy_of(original, "c2pa.resized", "small")]
        )
    else:
        original = provenance.sign(TEXT, "text/plain", facts=facts)
        thumbnail = None
    fields: dict[str, Any] = {
        "job_id": job.id,
        "workspace_id": job.workspace_id,
        "created_by_id": job.created_by_id,
        "index": 0,
        "kind": job.kind,
        "is_held": False,
        "prompt": job.prompt,
        "request": job.request,
        "seed": 2**63 - 1,
        "net": "mosaic" if is_image else "llama-tessera-text",
        "checkpoint_sha256": "c" * 64,
        "versions": {"torch": "2.13.0"},
        "timings": {"engine_s": 1.5},
        "width_px": 512 if is_image else None,
        "height_px": 512 if is_image else None,
        "num_tokens": None if is_image else 12,
        "finish_reason": "" if is_image else "stop",
        "excerpt": "" if is_image else TEXT.decode(),
        "facts": {},
        "original": original,
        "thumbnail": thumbnail,
        "verdicts": [PROMPT_VERDICT, OUTPUT_VERDICT],
        "mark": mark,
        "fingerprint": FINGERPRINT,
    }
    return ArtifactDraft(**fields | changes)


def job_of(kind: str = "text", **fields: Any) -> Job:
    """A running job of this kind."""
    job: Job = JobFactory.create(kind=kind, status="running", **fields)
    return job
