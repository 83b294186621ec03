"""What an image request names by id or by the seed of a draft, as pixels."""

from genworkers.codecs import image_bytes
from genworkers.contract.image import ImageRequest
from genworkers.engine.image_engine import ImageEngine, ImageResult
from genworkers.engine.painter import Inputs
from genworkers.tasks.lifecycle import Run
from webapp.gallery import uploads

DRAFT_NET = "spark"
POLL_S = 0.25


def of(run: Run, request: ImageRequest, engine: ImageEngine) -> Inputs:
    """The pictures that a request begins with, is masked by, or ends at.

    Raises:
        AppError: input_unknown; it was there at submit and has been removed since.
        EngineError: the draft's net is not loaded or lacks the style.
    """
    start = _pixels(run, request.start_image)
    if request.draft_seed is not None:
        start = _draft(run, request, request.draft_seed, engine)
    mask = _pixels(run, request.mask)
    return Inputs(
        start=start,
        mask=None if mask is None else image_bytes.as_mask(mask),
        end=_pixels(run, None if request.walk is None else request.walk.end_image),
    )


def _pixels(run: Run, input_id: str | None) -> image_bytes.Pixels | None:
    if input_id is None:
        return None
    return image_bytes.from_bytes(uploads.input_bytes(run.claim.job.workspace_id, input_id))


def _draft(run: Run, request: ImageRequest, seed: int, engine: ImageEngine) -> image_bytes.Pixels | None:
    """The draft that this prompt, style and seed give; None when the job ended meanwhile, which `follow` notices."""
    draft = ImageRequest(
        prompt=request.prompt,
        net=DRAFT_NET,
        style=request.style,
        style_mix=request.style_mix,
        style_mix_frac=request.style_mix_frac,
        is_draft=True,
    )
    ticket = engine.submit(draft, seed=seed, deadline_s=run.deadline_s)
    run.add(ticket)
    pixels = None
    while not ticket.is_done:
        for item in ticket.read(POLL_S):
            if isinstance(item, ImageResult):
                pixels = item.pixels
        if run.publish():
            run.stop()
    return pixels
