"""Whose turn it is in the image engine: jobs that wait for memory, jobs under way, and their pictures in a ring."""

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from genworkers.contract.image import ImageRequest
from genworkers.engine.errors import EngineError
from genworkers.engine.painter import Inputs, Painter, Picture
from genworkers.engine.ticket import FinishReason, Ticket


@dataclass(eq=False)
class ImageJob:
    """One request on its way; `num_open` of its pictures are not finished."""

    request: ImageRequest
    seed: int
    inputs: Inputs
    painter: Painter[Any]
    ticket: Ticket[Any]
    num_bytes: int
    num_open: int = 0


# A picture that wants its next step; without one, a job that wants to begin.
Turn: TypeAlias = tuple[ImageJob, Picture | None]


class Turns:
    """What the engine's threads share. Whoever takes a turn puts the picture back at the end of the ring.

    Args:
        memory_bytes: what the jobs under way may take together; 0 sets no limit.
        stopped: why nothing is served yet.
    """

    def __init__(self, memory_bytes: int, stopped: EngineError) -> None:
        self._memory_bytes = memory_bytes
        self._changed = threading.Condition()
        self._arrived: deque[ImageJob] = deque()
        self._active: list[ImageJob] = []
        self._ring: deque[Turn] = deque()
        self.stopped: EngineError | None = stopped

    def open(self) -> None:
        """Begin to take jobs."""
        self.stopped = None

    def stop(self, error: EngineError) -> None:
        """Fail everybody who waits and every later caller; the first reason counts."""
        with self._changed:
            if self.stopped is not None:
                return
            self.stopped = error
            waiting = [*self._active, *self._arrived]
            self._active.clear()
            self._arrived.clear()
            self._ring.clear()
            self._changed.notify_all()
        for job in waiting:
            job.ticket.fail(error)

    def add(self, job: ImageJob) -> None:
        """Queue a job.

        Raises:
            EngineError: the engine does not run.
        """
        with self._changed:
            if self.stopped is not None:
                raise self.stopped
            self._arrived.append(job)
            self._changed.notify()

    def take(self) -> list[Turn]:
        """Wait for work: the beginning of one job, or pictures that share a pass. Empty when the engine stops."""
        with self._changed:
            while self.stopped is None:
                self._admit()
                turns = self._pop()
                if turns:
                    return turns
                self._changed.wait()
            return []

    def put_back(self, turns: Sequence[Turn], *, is_first: bool = False) -> None:
        """Let pictures wait for their next step, at the end of the ring or before all others."""
        with self._changed:
            if is_first:
                self._ring.extendleft(reversed(turns))
            else:
                self._ring.extend(turns)
            self._changed.notify(len(turns))

    def end_picture(self, job: ImageJob) -> None:
        """One picture of a job is finished; with its last one so is the job."""
        with self._changed:
            job.num_open -= 1
            if job.num_open == 0:
                self.end(job, "done")

    def end(self, job: ImageJob, end: FinishReason | EngineError) -> None:
        """Remove a job and tell its ticket; does nothing for one that has ended."""
        with self._changed:
            if job in self._active:
                self._active.remove(job)
            elif job in self._arrived:
                self._arrived.remove(job)
            else:
                return
            self._changed.notify_all()
        if isinstance(end, EngineError):
            job.ticket.fail(end)
        else:
            job.ticket.finish(end)

    def _admit(self) -> None:
        """Let waiting jobs begin, in order, as far as memory goes; what was cancelled meanwhile ends at once."""
        for job in list(self._arrived):
            self._has_ended(job)
        while self._arrived:
            in_use = sum(job.num_bytes for job in self._active)
            if self._memory_bytes and in_use + self._arrived[0].num_bytes > self._memory_bytes:
                return
            job = self._arrived.popleft()
            self._active.append(job)
            self._ring.appendleft((job, None))

    def _pop(self) -> list[Turn]:
        turns: list[Turn] = []
        others: deque[Turn] = deque()
        while self._ring:
            turn = self._ring.popleft()
            job, picture = turn
            if self._has_ended(job):
                continue
            if turns and (picture is None or job.painter is not turns[0][0].painter):
                others.append(turn)
                continue
            turns.append(turn)
            if picture is None or len(turns) == job.painter.lanes:
                break
        self._ring.extendleft(reversed(others))
        return turns

    def _has_ended(self, job: ImageJob) -> bool:
        """Whether a job needs no more work; one that was cancelled or whose time is over ends here."""
        reason = job.ticket.stop_reason
        if reason is not None:
            self.end(job, reason)
        return reason is not None or (job not in self._active and job not in self._arrived)
