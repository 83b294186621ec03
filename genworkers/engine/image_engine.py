"""The image engine: one thread owns the device and advances the pictures of all jobs in turn.

Callers submit and read tickets; what a step does is in mosaic.py.
"""

import logging
import threading
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from genworkers.checkpoints import MANIFEST, CheckpointError, fill_net, load_manifest, load_tensors
from genworkers.codecs.wordpiece import WordPiece
from genworkers.contract import ImageRequest
from genworkers.engine.errors import EngineError
from genworkers.engine.mosaic import Mosaic, Picture, Sampling
from genworkers.engine.ticket import Ticket
from genworkers.nets.encoder import load_minilm, minilm_folder
from genworkers.nets.fsq_tokenizer import FsqTokenizer, TokenizerConfig
from genworkers.nets.masked_transformer import MaskedTransformer, MosaicConfig

logger = logging.getLogger(__name__)

GPU_LANES = 8


@dataclass(frozen=True)
class ImageStep:
    """One picture after one step; `step` counts from 1, the preview is (64, 64, 4) with straight alpha."""

    index: int
    step: int
    num_steps: int
    num_decided: int
    num_tiles: int
    preview: NDArray[np.uint8]


@dataclass(frozen=True)
class ImageResult:
    """One finished picture, (size_px, size_px, 4) with straight alpha, and the seed that draws it alone."""

    index: int
    seed: int
    pixels: NDArray[np.uint8]


@dataclass(eq=False)
class _ImageJob:
    request: ImageRequest
    seed: int
    ticket: Ticket[ImageStep | ImageResult]
    pictures: list[Picture] = field(default_factory=list)


class ImageEngine:
    """Serves image requests on one device.

    A job that runs out of memory fails alone. Any other error of a step ends the engine: all waiters and all later
    callers get an EngineError.
    """

    def __init__(self, mosaic: Mosaic) -> None:
        self._mosaic = mosaic
        self._changed = threading.Condition()
        self._arrived: deque[_ImageJob] = deque()
        self._active: list[_ImageJob] = []
        self._turns: deque[tuple[_ImageJob, int]] = deque()
        self._stopped: EngineError | None = EngineError(
            "engine_closed", "The image engine has not been started.", may_retry=True
        )
        self._thread: threading.Thread | None = None

    @property
    def styles(self) -> tuple[str, ...]:
        """Names of the styles that requests may ask for."""
        return self._mosaic.styles

    @property
    def is_alive(self) -> bool:
        """Whether requests are being served."""
        return self._stopped is None

    def start(self) -> None:
        """Begin to serve; once only."""
        if self._thread is not None:
            raise RuntimeError("an image engine starts once")
        self._stopped = None
        self._thread = threading.Thread(target=self._run, name="image-engine", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop after the step in hand; whoever still waits gets an EngineError that may be retried."""
        self._stop(EngineError("engine_closed", "The image engine was shut down. Try again.", may_retry=True))
        if self._thread is not None:
            self._thread.join()

    def submit(self, request: ImageRequest, *, seed: int, deadline_s: float) -> Ticket[ImageStep | ImageResult]:
        """Queue a request.

        Args:
            seed: of the first picture, 0..2^63-1; the request's own seed is not read.
            deadline_s: seconds from now until the job is ended unfinished.

        Raises:
            EngineError: the style is unknown, or the engine does not run.
        """
        if request.style not in self._mosaic.styles:
            raise EngineError(
                "style_unknown",
                f"The net {request.net!r} has no style {request.style!r}. "
                f"Choose one of: {', '.join(self._mosaic.styles)}.",
            )
        ticket: Ticket[ImageStep | ImageResult] = Ticket(deadline_s=deadline_s)
        with self._changed:
            if self._stopped is not None:
                raise self._stopped
            self._arrived.append(_ImageJob(request, seed, ticket))
            self._changed.notify()
        return ticket

    def _stop(self, error: EngineError) -> None:
        with self._changed:
            if self._stopped is None:
                self._stopped = error
            self._changed.notify()

    def _run(self) -> None:
        try:
            while self._wait_for_work():
                self._drop_ended()
                self._admit()
                self._advance()
        except Exception as error:  # whatever broke must reach every waiter
            logger.exception("the image engine died")
            self._stop(
                EngineError(
                    "engine_dead",
                    f"The image engine broke ({type(error).__name__}). Try again once the worker has restarted.",
                    may_retry=True,
                )
            )
        with self._changed:
            waiting, self._arrived = [*self._active, *self._arrived], deque()
            reason = self._stopped
        for job in waiting:
            job.ticket.fail(reason or EngineError("engine_dead", "The image engine stopped.", may_retry=True))

    def _wait_for_work(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._stopped is not None or self._arrived or self._active)
            return self._stopped is None

    def _drop_ended(self) -> None:
        for job in list(self._active):
            reason = job.ticket.stop_reason
            if reason is not None:
                self._remove(job)
                job.ticket.finish(reason)

    def _admit(self) -> None:
        while True:
            with self._changed:
                if not self._arrived:
                    return
                job = self._arrived.popleft()
                self._active.append(job)
            reason = job.ticket.stop_reason
            if reason is not None:
                self._remove(job)
                job.ticket.finish(reason)
                continue
            request = job.request
            try:
                job.pictures = self._mosaic.begin(
                    request.prompt,
                    request.style,
                    guidance=request.guidance_weight,
                    num_steps=request.steps,
                    seed=job.seed,
                    num_images=request.num_images,
                )
            except (MemoryError, RuntimeError) as error:
                self._fail_out_of_memory(job, error)
                continue
            self._turns.extend((job, index) for index in range(request.num_images))

    def _advance(self) -> None:
        turns = [self._turns.popleft() for _ in range(min(self._mosaic.lanes, len(self._turns)))]
        if not turns:
            return
        try:
            self._mosaic.advance([job.pictures[index] for job, index in turns])
        except (MemoryError, RuntimeError) as error:
            # The youngest goes; nothing of the others has changed yet, so they take the same step again.
            self._turns.extendleft(reversed(turns))
            self._fail_out_of_memory(turns[-1][0], error)
            return
        for job, index in turns:
            if job in self._active:
                try:
                    self._report(job, index)
                except (MemoryError, RuntimeError) as error:
                    self._fail_out_of_memory(job, error)

    def _report(self, job: _ImageJob, index: int) -> None:
        picture = job.pictures[index]
        job.ticket.put(
            ImageStep(
                index=index,
                step=picture.step,
                num_steps=picture.num_steps,
                num_decided=picture.num_decided,
                num_tiles=len(picture.codes),
                preview=self._mosaic.preview(picture),
            )
        )
        if not picture.is_finished:
            self._turns.append((job, index))
            return
        pixels = self._mosaic.develop(picture, job.request.size_px)
        job.ticket.put(ImageResult(index=index, seed=picture.seed, pixels=pixels))
        if all(other.is_finished for other in job.pictures):
            self._remove(job)
            job.ticket.finish("done")

    def _remove(self, job: _ImageJob) -> None:
        with self._changed:
            self._active.remove(job)
        self._turns = deque(turn for turn in self._turns if turn[0] is not job)

    def _fail_out_of_memory(self, job: _ImageJob, error: Exception) -> None:
        """Fail one job whose step ran out of memory; any other error goes on up and ends the engine."""
        is_memory = isinstance(error, MemoryError | torch.OutOfMemoryError) or "not enough memory" in str(error)
        if not is_memory:
            raise error
        self._remove(job)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        job.ticket.fail(
            EngineError(
                "out_of_memory",
                "The worker ran out of memory while drawing. Ask for fewer pictures or the smaller size, or try later.",
                may_retry=False,
            )
        )


def load_image_engine(folder: Path) -> ImageEngine:
    """Load a mosaic checkpoint and the text encoder; the engine still has to be started.

    Raises:
        CheckpointError: the checkpoint or the text encoder's weights are missing or not what they should be.
    """
    manifest = load_manifest(folder)
    try:
        tokenizer_config = dict(manifest.config["tokenizer"])
        for name in ("levels", "widths"):
            tokenizer_config[name] = tuple(tokenizer_config[name])
        tokenizer = FsqTokenizer(TokenizerConfig(**tokenizer_config))
        transformer = MaskedTransformer(MosaicConfig(**manifest.config["transformer"]))
        sampling = Sampling(**manifest.config["sampling"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(folder / MANIFEST, f"config does not fit this program ({error!r})") from error
    if len(manifest.styles) != transformer.config.num_styles:
        raise CheckpointError(folder / MANIFEST, f"must name {transformer.config.num_styles} styles")
    for part, net in (("tokenizer", tokenizer), ("transformer", transformer)):
        fill_net(net, load_tensors(folder, manifest, part), path=folder / f"{part}.safetensors")
    try:
        minilm = minilm_folder()
        encoder, wordpiece = load_minilm(minilm), WordPiece(minilm / "tokenizer.json")
    except (FileNotFoundError, ValueError) as error:
        raise CheckpointError(folder, str(error)) from error
    has_gpu = torch.cuda.is_available()
    return ImageEngine(
        Mosaic(
            tokenizer,
            transformer,
            encoder,
            wordpiece,
            styles=tuple(manifest.styles),
            sampling=sampling,
            lanes=GPU_LANES if has_gpu else 1,
            device=torch.device("cuda" if has_gpu else "cpu"),
        )
    )
