"""The image engine: a few threads own the device and advance the pictures of all jobs in turn.

Callers submit and read tickets; what a step does is the painters' (painter.py), how nets are loaded is in
image_loading.py.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

from genworkers.codecs.image_bytes import Pixels, lay_on, shrink
from genworkers.contract import Explanation, ImageRequest, Unlikeness
from genworkers.engine.errors import EngineError
from genworkers.engine.image_memory import job_bytes, too_large
from genworkers.engine.painter import PREVIEW_PX, Inputs, Painter, Picture, style_weights
from genworkers.engine.ticket import FinishReason, Ticket

logger = logging.getLogger(__name__)

# A picture is shown at each quarter of its steps, and in between as often as this.
PREVIEW_INTERVAL_S = 0.1


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


@dataclass(eq=False)
class _Job:
    request: ImageRequest
    seed: int
    inputs: Inputs
    painter: Painter[Any]
    ticket: Ticket[ImageItem]
    num_bytes: int
    num_open: int = 0


# What one thread does next: pictures of one net, or, without one, the beginning of a job.
_Turn: TypeAlias = tuple[_Job, Picture | None]


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
    """

    def __init__(
        self,
        painters: Mapping[str, Painter[Any]],
        *,
        num_threads: int = 1,
        memory_bytes: int = 0,
        judges: Mapping[str, Callable[[Pixels], Unlikeness]] | None = None,
    ) -> None:
        self._painters = dict(painters)
        self._judges = dict(judges or {})
        self._memory_bytes = memory_bytes
        self._changed = threading.Condition()
        self._arrived: deque[_Job] = deque()
        self._active: list[_Job] = []
        self._turns: deque[_Turn] = deque()
        self._stopped: EngineError | None = EngineError(
            "engine_closed", "The image engine has not been started.", may_retry=True
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
        return self._stopped is None

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
        self._stopped = None
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop after the steps in hand; whoever still waits gets an EngineError that may be retried."""
        self._stop(EngineError("engine_closed", "The image engine was shut down. Try again.", may_retry=True))
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
        with self._changed:
            if self._stopped is not None:
                raise self._stopped
            self._arrived.append(_Job(request, seed, inputs or Inputs(), painter, ticket, num_bytes))
            self._changed.notify()
        return ticket

    def _painter(self, net: str) -> Painter[Any]:
        if net not in self._painters:
            raise EngineError("net_not_loaded", f"No worker serves the net {net!r} any more. Choose another net.")
        return self._painters[net]

    def _stop(self, error: EngineError) -> None:
        """End the engine and fail everybody who waits; the first reason counts."""
        with self._changed:
            if self._stopped is not None:
                return
            self._stopped = error
            waiting = [*self._active, *self._arrived]
            self._active.clear()
            self._arrived.clear()
            self._turns.clear()
            self._changed.notify_all()
        for job in waiting:
            job.ticket.fail(error)

    def _serve(self) -> None:
        torch.set_num_threads(1)  # one picture, one thread: see the class
        try:
            while turns := self._next_turns():
                job, picture = turns[0]
                if picture is None:
                    self._begin(job)
                else:
                    self._advance(turns)
        except Exception as error:  # whatever broke must reach every waiter
            logger.exception("the image engine died")
            self._stop(
                EngineError(
                    "engine_dead",
                    f"The image engine broke ({type(error).__name__}). Try again once the worker has restarted.",
                    may_retry=True,
                )
            )

    def _next_turns(self) -> list[_Turn]:
        """Wait for work: the beginning of one job, or pictures that share a pass. Empty when the engine stops."""
        with self._changed:
            while self._stopped is None:
                self._admit()
                turns = self._pop_turns()
                if turns:
                    return turns
                self._changed.wait()
            return []

    def _admit(self) -> None:
        """Let waiting jobs in, in order, as far as memory goes; what was cancelled meanwhile goes at once."""
        self._arrived = deque(job for job in self._arrived if not self._has_ended(job))
        while self._arrived:
            in_use = sum(job.num_bytes for job in self._active)
            if self._memory_bytes and in_use + self._arrived[0].num_bytes > self._memory_bytes:
                return
            job = self._arrived.popleft()
            self._active.append(job)
            self._turns.appendleft((job, None))

    def _pop_turns(self) -> list[_Turn]:
        turns: list[_Turn] = []
        others: deque[_Turn] = deque()
        while self._turns:
            turn = self._turns.popleft()
            job, picture = turn
            if self._has_ended(job):
                continue
            if turns and (job.painter is not turns[0][0].painter or picture is None):
                others.append(turn)
                continue
            turns.append(turn)
            if turns[0][1] is None or len(turns) == job.painter.lanes:
                break
        self._turns.extendleft(reversed(others))
        return turns

    def _has_ended(self, job: _Job) -> bool:
        """Whether a job needs no more work; one that was cancelled or whose time is over ends here."""
        reason = job.ticket.stop_reason
        if reason is not None:
            self._end(job, reason)
        return reason is not None or (job not in self._active and job not in self._arrived)

    def _end(self, job: _Job, end: FinishReason | EngineError) -> None:
        """Remove a job and tell its ticket; does nothing for one that has ended."""
        with self._changed:
            if job in self._active:
                self._active.remove(job)
            elif job not in self._arrived:
                return
            self._changed.notify_all()
        if isinstance(end, EngineError):
            job.ticket.fail(end)
        else:
            job.ticket.finish(end)

    def _begin(self, job: _Job) -> None:
        try:
            pictures = job.painter.begin(job.request, job.seed, job.inputs)
        except EngineError as error:
            self._end(job, error)
            return
        except (MemoryError, RuntimeError) as error:
            self._fail_out_of_memory(job, error)
            return
        job.num_open = len(pictures)
        self._requeue([(job, picture) for picture in pictures], is_first=job.request.is_draft)

    def _requeue(self, turns: Sequence[_Turn], *, is_first: bool = False) -> None:
        with self._changed:
            if is_first:
                self._turns.extendleft(reversed(turns))
            else:
                self._turns.extend(turns)
            self._changed.notify(len(turns))

    def _advance(self, turns: list[_Turn]) -> None:
        pictures = [picture for _, picture in turns]
        try:
            turns[0][0].painter.advance(pictures)
        except (MemoryError, RuntimeError) as error:
            # The youngest goes; nothing of the others has changed yet, so they take the same step again.
            self._requeue(turns[:-1], is_first=True)
            self._fail_out_of_memory(turns[-1][0], error)
            return
        for job, picture in turns:
            if picture is not None:
                try:
                    self._report(job, picture)
                except (MemoryError, RuntimeError) as error:
                    self._fail_out_of_memory(job, error)

    def _report(self, job: _Job, picture: Picture) -> None:
        """Hand on what a step has changed; a finished picture is developed first, since its preview comes of it."""
        if not picture.is_finished:
            self._put_step(job, picture, job.painter.preview(picture) if _is_worth_a_look(picture) else None)
            self._requeue([(job, picture)])
            return
        frames: Sequence[Pixels] = job.painter.develop(picture)
        if job.request.walk is not None:
            self._put_step(job, picture, job.painter.preview(picture))
            job.ticket.put(WalkResult(picture.seed, frames))
        else:
            pixels = lay_on(frames[0], job.request.background)
            self._put_step(job, picture, shrink(pixels, PREVIEW_PX))
            judge = None if job.request.is_draft else self._judges.get(job.request.net)
            unlikeness = None if judge is None else judge(frames[0])
            job.ticket.put(ImageResult(picture.index, picture.seed, pixels, picture.explanation, unlikeness))
        with self._changed:
            job.num_open -= 1
            is_done = job.num_open == 0
        if is_done:
            self._end(job, "done")

    def _put_step(self, job: _Job, picture: Picture, preview: Pixels | None) -> None:
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

    def _fail_out_of_memory(self, job: _Job, error: Exception) -> None:
        """Fail one job whose step ran out of memory; any other error goes on up and ends the engine."""
        is_memory = isinstance(error, MemoryError | torch.OutOfMemoryError) or "not enough memory" in str(error)
        if not is_memory:
            raise error
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self._end(
            job,
            EngineError(
                "out_of_memory",
                "The worker ran out of memory while drawing. Ask for fewer pictures or the smaller size, or try later.",
                may_retry=False,
            ),
        )


def _is_worth_a_look(picture: Picture) -> bool:
    """Whether an unfinished picture is painted for a preview now, and if so remember when."""
    now = time.monotonic()
    is_quarter = picture.step * 4 // picture.num_steps > (picture.step - 1) * 4 // picture.num_steps
    if not is_quarter and now - picture.previewed_at < PREVIEW_INTERVAL_S:
        return False
    picture.previewed_at = now
    return True
