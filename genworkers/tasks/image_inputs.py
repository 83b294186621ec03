"""What an image request names by id or by the seed of a draft: as pixels, and as what its results were made from."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from genworkers.codecs import image_bytes
from genworkers.contract.image import ImageRequest
from genworkers.engine.image_engine import ImageEngine, ImageResult
from genworkers.engine.painter import Inputs
from genworkers.tasks.lifecycle import Run
from webapp.gallery import uploads
from webapp.provenance.manifest import MADE_BY_NET, MADE_WITH_NET
from webapp.provenance.services import Ingredient

DRAFT_NET = "spark"
POLL_S = 0.25


@dataclass(frozen=True)
class Origins:
    """What the credentials of a job's results name: files, and whether a person's picture is part of it."""

    ingredients: list[Ingredient]
    source_type: str


def origins_of(run: Run, request: ImageRequest) -> Origins:
    """The pictures that a request begins with or ends at.

    A start picture is changed into the result; a walk only passes by its pictures.

    Raises:
        AppError: input_unknown; it was there at submit and has been removed since.
    """
    workspace_id = run.claim.job.workspace_id
    ingredients = [
        Ingredient(*uploads.input_file(workspace_id, input_id), title, change)
        for input_id, title, change in _named_pictures(request)
    ]
    is_edit = request.start_image is not None and request.walk is None
    has_upload = is_edit and uploads.has_upload_behind(workspace_id, request.start_image)
    return Origins(ingredients, MADE_WITH_NET if has_upload else MADE_BY_NET)


def _named_pictures(request: ImageRequest) -> Iterator[tuple[str, str, Literal["c2pa.edited"] | None]]:
    if request.start_image is not None:
        yield request.start_image, "start picture", "c2pa.edited" if request.walk is None else None
    if request.walk is not None and request.walk.end_image is not None:
        yield request.walk.end_image, "end picture", None


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
