"""Image jobs: pass small previews on while pictures come, then sign and keep them; drafts are only shown.

What a request names by id is fetched in `image_inputs.py`.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from celery import Task, shared_task

from genworkers.codecs import animation, image_bytes
from genworkers.codecs.image_bytes import Pixels
from genworkers.contract.events import Preview, Started
from genworkers.contract.image import ImageRequest, PictureFacts
from genworkers.contract.names import GENERATE_TASK_OF_KIND
from genworkers.engine.errors import EngineError
from genworkers.engine.image_engine import ImageItem, ImageResult, ImageStep, WalkResult
from genworkers.marks.keys import MarkKey
from genworkers.tasks import engines, image_inputs, lifecycle, marking
from genworkers.tasks.judging import Judge, refuse_blocked
from genworkers.tasks.lifecycle import Run
from webapp.catalog import selectors as catalog
from webapp.gallery.services import ArtifactDraft
from webapp.provenance.services import FingerprintFacts, MarkFacts
from webapp.safety.models import Action
from webapp.safety.rules import ScreenResult, severest

POLL_S = 0.25
PREVIEW_QUALITY = 50
# All previews of a job together, as they are sent; the last one of each picture is sent in any case.
PREVIEW_BUDGET_BYTES = 240_000
DRAFT_QUALITY = 80
# From these verdicts on a preview on, nothing more is shown of its picture.
HIDDEN = (Action.REVIEW, Action.BLOCK)
THUMBNAIL_PX = 256
THUMBNAIL_QUALITY = 85


@shared_task(name=GENERATE_TASK_OF_KIND["image"], bind=True)
def generate_image(self: Task[[str], None], job_id: str) -> None:
    """Run one image job."""
    lifecycle.run(UUID(job_id), worker=str(self.request.hostname), work=_draw)


@dataclass(frozen=True)
class _Made:
    """One result as files, marked."""

    index: int
    seed: int
    data: bytes
    media_type: str
    thumbnail: bytes
    mark: MarkFacts
    fingerprint: FingerprintFacts
    facts: PictureFacts
    verdicts: list[ScreenResult]


@dataclass
class _Canvasser:
    """What watchers are shown of one job, within its byte budget, and what is kept of it."""

    request: ImageRequest
    key: MarkKey
    judge: Judge
    left_bytes: int = PREVIEW_BUDGET_BYTES
    newest: ImageStep | None = None
    hidden: set[int] = field(default_factory=set)
    made: list[_Made] = field(default_factory=list)

    def take(self, item: ImageItem) -> Preview | None:
        """Screen and keep a result; a preview of it, or of a step, if it is worth its bytes.

        Raises:
            BlockedError: the result is refused.
        """
        if isinstance(item, ImageStep):
            self.newest = item
            return None if self.request.is_draft else self._preview(item)
        verdicts = self.judge.pictures(item.frames if isinstance(item, WalkResult) else [item.pixels], "output")
        refuse_blocked(verdicts)
        if self.request.is_draft:
            is_shown = severest(verdicts) != Action.REVIEW
            return self._draft(item) if is_shown and isinstance(item, ImageResult) else None
        self.made.append(
            _walk_file(item, self.request, self.key, verdicts)
            if isinstance(item, WalkResult)
            else _picture_file(item, self.key, verdicts)
        )
        return None

    def _preview(self, step: ImageStep) -> Preview | None:
        if step.preview is None or not self._may_show(step.index, step.preview):
            return None
        url = _data_url(step.preview, PREVIEW_QUALITY)
        if len(url) > self.left_bytes and step.step < step.num_steps:
            return None
        self.left_bytes -= len(url)
        return Preview(
            index=step.index,
            step=step.step,
            num_steps=step.num_steps,
            num_decided=step.num_decided,
            num_tiles=step.num_tiles,
            image=url,
        )

    def _may_show(self, index: int, preview: Pixels) -> bool:
        """Whether nothing so far spoke against showing this picture on its way. It decides nothing about the result:
        what is half drawn is easily taken for what it will not become."""
        if index not in self.hidden and severest(self.judge.pictures([preview], "output")) in HIDDEN:
            self.hidden.add(index)
        return index not in self.hidden

    def _draft(self, result: ImageResult) -> Preview:
        url = _data_url(result.pixels, DRAFT_QUALITY)
        return Preview(index=result.index, step=1, num_steps=1, num_decided=1, num_tiles=1, image=url)


def _draw(run: Run) -> Sequence[ArtifactDraft]:
    job = run.claim.job
    request = ImageRequest.model_validate(job.request)
    seed = job.request["seed"]
    net = catalog.net(request.net)
    num_steps = request.steps if net is not None and "steps" in net.abilities else 1
    run.publish(Started(attempt=job.attempt, num_steps=num_steps, seed=seed))
    engine = engines.image_engine()
    inputs = image_inputs.of(run, request, engine)
    for given in (inputs.start, inputs.end):
        if given is not None:
            run.screen_given(given)
    ticket = engine.submit(request, seed=seed, deadline_s=run.deadline_s, inputs=inputs)
    run.add(ticket)
    canvasser = _Canvasser(request, run.mark_key, run.judge)

    def report() -> bool:
        shown = [preview for item in ticket.read(POLL_S) if (preview := canvasser.take(item)) is not None]
        newest = canvasser.newest
        progress = None if newest is None else {"step": newest.step, "num_steps": newest.num_steps}
        return run.publish(*(shown if run.may_show else []), progress=progress)

    run.follow(report)
    origins = image_inputs.origins_of(run, request)
    return [
        run.draft(
            made.index,
            data=made.data,
            media_type=made.media_type,
            seed=made.seed,
            output_verdicts=made.verdicts,
            mark=made.mark,
            fingerprint=made.fingerprint,
            ingredients=origins.ingredients,
            source_type=origins.source_type,
            thumbnail=made.thumbnail,
            size_px=request.size_px,
            facts=made.facts,
        )
        for made in sorted(canvasser.made, key=lambda made: made.index)
    ]


def _picture_file(result: ImageResult, key: MarkKey, verdicts: list[ScreenResult]) -> _Made:
    mark = marking.new_picture_mark(key, [result.pixels])
    pixels = marking.marked(result.pixels, key, mark)
    return _Made(
        index=result.index,
        seed=result.seed,
        data=image_bytes.to_png(pixels),
        media_type="image/png",
        thumbnail=_thumbnail(pixels, key, mark),
        mark=mark,
        fingerprint=marking.picture_fingerprint(pixels),
        facts=PictureFacts(explanation=result.explanation, unlikeness=result.unlikeness),
        verdicts=verdicts,
    )


def _walk_file(result: WalkResult, request: ImageRequest, key: MarkKey, verdicts: list[ScreenResult]) -> _Made:
    walk = request.walk
    if walk is None:
        raise ValueError("a walk came of a request for pictures")
    mark = marking.new_picture_mark(key, result.frames)
    frames = marking.MarkedFrames(result.frames, key, mark)
    try:
        data = animation.to_animation(frames, walk.file_format, walk.fps, request.background)
    except animation.AnimationTooLargeError as error:
        raise EngineError("animation_too_large", str(error)) from error
    first = image_bytes.lay_on(frames[0], request.background)
    return _Made(
        index=0,
        seed=result.seed,
        data=data,
        media_type=animation.MEDIA_TYPE_OF[walk.file_format],
        thumbnail=_thumbnail(first, key, mark),
        mark=mark,
        fingerprint=marking.picture_fingerprint(first),
        facts=PictureFacts(),
        verdicts=verdicts,
    )


def _thumbnail(pixels: Pixels, key: MarkKey, mark: MarkFacts) -> bytes:
    """Small and lossy, so it is marked once more: of 260 thumbnails 8 had lost the mark of the whole, now none."""
    small = marking.marked(image_bytes.shrink(pixels, THUMBNAIL_PX), key, mark)
    return image_bytes.to_webp(small, quality=THUMBNAIL_QUALITY, max_px=THUMBNAIL_PX)


def _data_url(pixels: Pixels, quality: int) -> str:
    return f"data:image/webp;base64,{b64encode(image_bytes.to_webp(pixels, quality=quality)).decode()}"
