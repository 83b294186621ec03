"""A ticket: what a caller holds while the engine thread works on its request. No tensors here."""

import threading
import time
from collections import deque
from typing import Generic, Literal, TypeAlias, TypeVar

from genworkers.engine.errors import EngineError

Item = TypeVar("Item")
FinishReason: TypeAlias = Literal["stop", "length", "done", "cancelled", "deadline"]


class Ticket(Generic[Item]):
    """A one-way street from the engine thread (`put`, `finish`, `fail`) to one caller (`read`, `cancel`).

    Args:
        deadline_s: seconds from now after which the engine ends the request with "deadline".
    """

    def __init__(self, *, deadline_s: float) -> None:
        self._deadline = time.monotonic() + deadline_s
        self._changed = threading.Condition()
        self._items: deque[Item] = deque()
        self._error: EngineError | None = None
        self._is_cancelled = False
        self.finish_reason: FinishReason | None = None
        self.energy_j = 0.0

    @property
    def is_done(self) -> bool:
        """Whether the request has ended normally and every item has been read.

        A failed request is never done: whoever reads until it is done meets the error in `read`.
        """
        with self._changed:
            return not self._items and self.finish_reason is not None

    @property
    def stop_reason(self) -> FinishReason | None:
        """What the engine must check after every step: "cancelled", "deadline" or None to go on."""
        if self._is_cancelled:
            return "cancelled"
        return "deadline" if time.monotonic() >= self._deadline else None

    @property
    def left_s(self) -> float:
        """Seconds until the deadline, 0 when it has passed."""
        return max(0.0, self._deadline - time.monotonic())

    def cancel(self) -> None:
        """Ask the engine to end this request at the next step; calling twice is fine."""
        self._is_cancelled = True

    def put(self, item: Item) -> None:
        """Hand one item to the caller."""
        with self._changed:
            self._items.append(item)
            self._changed.notify()

    def spend(self, joules: float) -> None:
        """Put energy down to this request, before its last item; from any thread."""
        with self._changed:
            self.energy_j += joules

    def finish(self, reason: FinishReason) -> None:
        """End the request normally."""
        with self._changed:
            self.finish_reason = reason
            self._changed.notify()

    def fail(self, error: EngineError) -> None:
        """End the request with an error, which `read` raises once the items before it are read."""
        with self._changed:
            self._error = error
            self._changed.notify()

    def read(self, timeout_s: float) -> list[Item]:
        """Everything that has arrived; waits for the first item or the end.

        Returns:
            The items in order, empty when the time ran out or the request ended.

        Raises:
            EngineError: the request failed.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._items or self.finish_reason is not None or self._error is not None, timeout_s
            )
            if not self._items and self._error is not None:
                raise self._error
            items = list(self._items)
            self._items.clear()
            return items
