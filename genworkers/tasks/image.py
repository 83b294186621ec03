"""Image jobs: pass a small preview of every step on, then sign and keep the pictures."""

from base64 import b64encode
from collections.abc import Sequence
from uuid import UUID

from celery import Task, shared_task

from genworkers import contract
from genworkers.codecs import image_bytes
from genworkers.engine.image_engine import ImageResult, ImageStep
from genworkers.tasks import engines, lifecycle
from genworkers.tasks.lifecycle import Run
from webapp.gallery.services import ArtifactDraft
from webapp.safety.models import Action
from webapp.safety.rules import ScreenResult

POLL_S = 0.25
PREVIEW_QUALITY = 60
THUMBNAIL_PX = 256
THUMBNAIL_QUALITY = 85
# Said plainly until a screen for pictures exists: the prompt was screened, the picture was not.
NOT_SCREENED = ScreenResult(stage="output", action=Action.ALLOW, screen="none", version="0", matched=[])


@shared_task(name=contract.GENERATE_TASK_OF_KIND["image"], bind=True)
def generate_image(self: Task[[str], None], job_id: str) -> None:
    """Run one image job."""
    lifecycle.run(UUID(job_id), worker=str(self.request.hostname), work=_draw)


def _draw(run: Run) -> Sequence[ArtifactDraft]:
    job = run.claim.job
    request = contract.ImageRequest.model_validate(job.request)
    seed = job.request["seed"]
    ticket = engines.image_engine(request.net).submit(request, seed=seed, deadline_s=run.deadline_s)
    run.add(ticket)
    run.publish(contract.Started(attempt=job.attempt, num_steps=request.steps, seed=seed))
    results: list[ImageResult] = []

    def report() -> bool:
        items = ticket.read(POLL_S)
        steps = [item for item in items if isinstance(item, ImageStep)]
        results.extend(item for item in items if isinstance(item, ImageResult))
        progress = {"step": steps[-1].step, "num_steps": request.steps} if steps else None
        return run.publish(*map(_preview, steps if run.may_show else []), progress=progress)

    run.follow(report)
    return [
        run.draft(
            result.index,
            data=image_bytes.to_png(result.pixels),
            media_type="image/png",
            seed=result.seed,
            output_verdict=NOT_SCREENED,
            thumbnail=image_bytes.to_webp(result.pixels, quality=THUMBNAIL_QUALITY, max_px=THUMBNAIL_PX),
            size_px=request.size_px,
        )
        for result in sorted(results, key=lambda result: result.index)
    ]


def _preview(step: ImageStep) -> contract.Preview:
    webp = image_bytes.to_webp(step.preview, quality=PREVIEW_QUALITY)
    return contract.Preview(
        index=step.index,
        step=step.step,
        num_steps=step.num_steps,
        num_decided=step.num_decided,
        num_tiles=step.num_tiles,
        image=f"data:image/webp;base64,{b64encode(webp).decode()}",
    )
