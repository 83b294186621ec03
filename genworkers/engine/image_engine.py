"""The image engine: a few threads own the device and advance the pictures of all jobs in turn.

Callers submit and read tickets. Whose turn it is stands in image_turns.py, what a step does in the painters
(painter.py), how nets are loaded in image_loading.py.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

from genworkers.codecs.image_bytes import Pixels, lay_on, shrink
from genworkers.contract.image import Explanation, ImageRequest, Unlikeness
from genworkers.engine.energy import Meter, Watch
from genworkers.engine.errors import EngineError
from genworkers.engine.image_memory import job_bytes, too_large
from genworkers.engine.image_turns import ImageJob, Turn, Turns
from genworkers.engine.painter import PREVIEW_PX, Inputs, Painter, Picture, style_weights
from genworkers.engine.ticket import Ticket

logger = logging.getLogger(__name__)

# A picture is shown at each quarter of its steps; in between at most so often, and only while painting it for that
# takes less than this share of the time that its steps take.
PREVIEW_INTERVAL_S = 0.1
PREVIEW_FRAC = 0.25


@dataclass(frozen=True)
class ImageStep:
    """One picture after one step; `step` counts from 1.

    Attributes:
        preview: (PREVIEW_PX, PREVIEW_PX, 4) with straight alpha; None where steps come faster than anybody can look.
    """

    index: int
    step: int
    num_steps: int
    num_decided: int
    num_tiles: int
    preview: Pixels | None


@dataclass(frozen=True)
class ImageResult:
    """One finished picture on its background, (size_px, size_px, 4) with straight alpha, and the seed that draws it
    alone. A draft is smaller."""

    index: int
    seed: int
    pixels: Pixels
    explanation: Explanation | None = None
    unlikeness: Unlikeness | None = None


@dataclass(frozen=True)
class WalkResult:
    """The frames of a finished walk in order, straight alpha, not yet on the background; each is made when read."""

    seed: int
    frames: Sequence[Pixels]


ImageItem: TypeAlias = ImageStep | ImageResult | WalkResult


class ImageEngine:
    """Serves the image nets of a worker on one device.

    A job that runs out of memory fails alone. Any other error of a step ends the engine: all waiters and all later
    callers get an EngineError.

    Args:
        painters: by the name of their net.
        num_threads: how many pictures are worked on at once. Each is one thread's from step to step, so that its
            arithmetic does not depend on what else runs.
        memory_bytes: what the pictures of all running jobs together may take; a job waits until they leave it enough.
            0 sets no limit.
        judges: by the name of a net, what says how unlike anything known its pictures are.
        meter: what work costs; each thread's is put down to the jobs that it works for.
    """

    def __init__(
        self,
        painters: Mapping[str, Painter[Any]],
        *,
        num_threads: int = 1,
        memory_bytes: int = 0,
        judges: Mapping[str, Callable[[Pixels], Unlikeness]] | None = None,
        meter: Meter | None = None,
    ) -> None:
        self._painters = dict(painters)
        self._judges = dict(judges or {})
        self._meter = meter or Meter()
        self._memory_bytes = memory_bytes
        self._turns = Turns(
            memory_bytes, EngineError("engine_closed", "The image engine has not been started.", may_retry=True)
        )
        self._threads = [
            threading.Thread(target=self._serve, name=f"image-engine-{number}", daemon=True)
            for number in range(num_threads)
        ]

    @property
    def nets(self) -> tuple[str, ...]:
        """Names of the nets that requests may ask for."""
        return tuple(self._painters)

    @property
    def is_alive(self) -> bool:
        """Whether requests are being served."""
        return self._turns.stopped is None

    def styles_of(self, net: str) -> tuple[str, ...]:
        """Names of the styles of one net.

        Raises:
            EngineError: it is not loaded.
        """
        return self._painter(net).styles

    def start(self) -> None:
        """Begin to serve; once only."""
        if any(thread.ident is not None for thread in self._threads):
            raise RuntimeError("an image engine starts once")
        self._turns.open()
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop after the steps in hand; whoever still waits gets an EngineError that may be retried."""
        self._turns.stop(EngineError("engine_closed", "The image engine was shut down. Try again.", may_retry=True))
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def submit(
        self, request: ImageRequest, *, seed: int, deadline_s: float, inputs: Inputs | None = None
    ) -> Ticket[ImageItem]:
        """Queue a request.

        Args:
            seed: of the first picture, 0..2^63-1; the request's own seed is not read.
            deadline_s: seconds from now until the job is ended unfinished.
            inputs: the pictures that the request names by id, as pixels.

        Raises:
            EngineError: the net is not loaded, a style is unknown, the job can never fit into memory, or the engine
                does not run.
        """
        painter = self._painter(request.net)
        style_weights(request, painter.styles)
        num_bytes = job_bytes(request, len(self._threads))
        if self._memory_bytes and num_bytes > self._memory_bytes:
            raise too_large(request, len(self._threads), self._memory_bytes)
        ticket: Ticket[ImageItem] = Ticket(deadline_s=deadline_s)
        self._turns.add(ImageJob(request, seed, inputs or Inputs(), painter, ticket, num_bytes))
        return ticket

    def _painter(self, net: str) -> Painter[Any]:
        if net not in self._painters:
            raise EngineError("net_not_loaded", f"No worker serves the net {net!r} any more. Choose another net.")
        return self._painters[net]

    def _serve(self) -> None:
        torch.set_num_threads(1)  # one picture, one thread: see the class
        watch = self._meter.watch(time.thread_time)
        try:
            while turns := self._turns.take():
                watch.lap()  # what waiting took is nobody's
                job, picture = turns[0]
                if picture is None:
                    self._begin(job, watch)
                else:
                    self._advance(turns, watch)
        except Exception as error:  # whatever broke must reach every waiter
            logger.exception("the image engine died")
            self._turns.stop(
                EngineError(
                    "engine_dead",
                    f"The image engine broke ({type(error).__name__}). Try again once the worker has restarted.",
                    may_retry=True,
                )
            )

    def _begin(self, job: ImageJob, watch: Watch) -> None:
        try:
            pictures = job.painter.begin(job.request, job.seed, job.inputs)
        except EngineError as error:
            self._turns.end(job, error)
            return
        except (MemoryError, RuntimeError) as error:
            self._fail_out_of_memory(job, error)
            return
        job.ticket.spend(watch.lap())
        job.num_open = len(pictures)
        self._turns.put_back([(job, picture) for picture in pictures], is_first=job.request.is_draft)

    def _advance(self, turns: list[Turn], watch: Watch) -> None:
        pictures = [picture for _, picture in turns]
        began = time.monotonic()
        try:
            turns[0][0].painter.advance(pictures)
        except (MemoryError, RuntimeError) as error:
            # The youngest goes; nothing of the others has changed yet, so they take the same step again.
            self._turns.put_back(turns[:-1], is_first=True)
            self._fail_out_of_memory(turns[-1][0], error)
            return
        took_s = (time.monotonic() - began) / len(turns)
        share_j = watch.lap() / len(turns)
        for job, picture in turns:
            if picture is not None:
                picture.stepped_s += took_s
                job.ticket.spend(share_j)
                try:
                    self._report(job, picture, watch)
                except (MemoryError, RuntimeError) as error:
                    self._fail_out_of_memory(job, error)

    def _report(self, job: ImageJob, picture: Picture, watch: Watch) -> None:
        """Hand on what a step has changed; a finished picture is developed first, since its preview comes of it."""
        if not picture.is_finished:
            self._put_step(job, picture, _preview(job.painter, picture))
            job.ticket.spend(watch.lap())
            self._turns.put_back([(job, picture)])
            return
        frames: Sequence[Pixels] | None = job.painter.develop(picture)
        if frames is None:
            job.ticket.spend(watch.lap())
            self._turns.put_back([(job, picture)])
            return
        if job.request.walk is not None:
            self._put_step(job, picture, job.painter.preview(picture))
            job.ticket.put(WalkResult(picture.seed, frames))
        else:
            pixels = lay_on(frames[0], job.request.background)
            self._put_step(job, picture, shrink(pixels, PREVIEW_PX))
            judge = None if job.request.is_draft else self._judges.get(job.request.net)
            unlikeness = None if judge is None else judge(frames[0])
            job.ticket.put(ImageResult(picture.index, picture.seed, pixels, picture.explanation, unlikeness))
        job.ticket.spend(watch.lap())
        self._turns.end_picture(job)

    def _put_step(self, job: ImageJob, picture: Picture, preview: Pixels | None) -> None:
        job.ticket.put(
            ImageStep(
                index=picture.index,
                step=picture.step,
                num_steps=picture.num_steps,
                num_decided=picture.num_decided,
                num_tiles=picture.num_tiles,
                preview=preview,
            )
        )

    def _fail_out_of_memory(self, job: ImageJob, error: Exception) -> None:
        """Fail one job whose step ran out of memory; any other error goes on up and ends the engine."""
        is_memory = isinstance(error, MemoryError | torch.OutOfMemoryError) or "not enough memory" in str(error)
        if not is_memory:
            raise error
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self._turns.end(
            job,
            EngineError(
                "out_of_memory",
                "The worker ran out of memory while drawing. Ask for fewer pictures or the smaller size, or try later.",
                may_retry=False,
            ),
        )


def _preview(painter: Painter[Any], picture: Picture) -> Pixels | None:
    """An unfinished picture as it is shown now; None when another look would be too soon or take too long."""
    began = time.monotonic()
    is_quarter = picture.step * 4 // picture.num_steps > (picture.step - 1) * 4 // picture.num_steps
    is_cheap = picture.shown_s <= PREVIEW_FRAC * picture.stepped_s
    if not is_quarter and (began < picture.next_look_at or not is_cheap):
        return None
    preview = painter.preview(picture)
    now = time.monotonic()
    picture.shown_s += now - began
    picture.next_look_at = now + PREVIEW_INTERVAL_S
    return preview
