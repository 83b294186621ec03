"""An engine without a net: speaks the engine's interface, one item per call of `step`, or all at once."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from genworkers.contract.image import ImageRequest
from genworkers.contract.text import TextRequest
from genworkers.engine.painter import Inputs
from genworkers.engine.ticket import Ticket
from genworkers.marks.keys import MarkKey

Item = TypeVar("Item")
Script = Callable[[Ticket[Item]], None]


class FakeEngine(Generic[Item]):
    """Answers every request by a script, in the caller's thread; keeps what it was asked and the tickets."""

    def __init__(self, script: Script[Item]) -> None:
        self._script = script
        self.tickets: list[Ticket[Item]] = []
        self.requests: list[TextRequest | ImageRequest] = []
        self.inputs: list[Inputs | None] = []
        self.mark_keys: list[MarkKey | None] = []

    def submit(
        self,
        request: TextRequest | ImageRequest,
        *,
        seed: int,
        deadline_s: float,
        user: str = "",
        inputs: Inputs | None = None,
        mark_key: MarkKey | None = None,
    ) -> Ticket[Item]:
        """A ticket on which the script has already said what it has to say."""
        ticket: Ticket[Item] = Ticket(deadline_s=deadline_s)
        self.tickets.append(ticket)
        self.requests.append(request)
        self.inputs.append(inputs)
        self.mark_keys.append(mark_key)
        self._script(ticket)
        return ticket


def saying(items: Sequence[Item]) -> Script[Item]:
    """A script that puts these items and finishes."""

    def script(ticket: Ticket[Item]) -> None:
        for item in items:
            ticket.put(item)
        ticket.finish("stop")

    return script
