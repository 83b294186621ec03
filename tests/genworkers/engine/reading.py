"""Ask a text engine and read what it writes."""

import time

from genworkers.contract.text import TextRequest
from genworkers.engine.sequence import TextStep
from genworkers.engine.text_engine import NetStats, TextEngine
from genworkers.engine.ticket import Ticket
from genworkers.marks.keys import MarkKey


def request(prompt: str = "the boat", **changes: object) -> TextRequest:
    """A short text, any token may be drawn."""
    fields = {"prompt": prompt, "net": "tiny", "max_tokens": 12, "temperature": 1.5, "top_k": 0}
    return TextRequest.model_validate(fields | changes)


def ask(
    engine: TextEngine,
    asked: TextRequest,
    *,
    seed: int = 0,
    user: str = "ann",
    deadline_s: float = 60,
    mark_key: MarkKey | None = None,
) -> Ticket[TextStep]:
    """Submit with the usual values."""
    return engine.submit(asked, seed=seed, deadline_s=deadline_s, user=user, mark_key=mark_key)


def read_all(ticket: Ticket[TextStep]) -> list[TextStep]:
    """Every step of the text, to its end."""
    steps: list[TextStep] = []
    while not ticket.is_done:
        steps.extend(ticket.read(10.0))
    return steps


def text_of(ticket: Ticket[TextStep]) -> str:
    """The whole text."""
    return "".join(step.text for step in read_all(ticket))


def stats_at_rest(engine: TextEngine) -> NetStats:
    """Of the one net, once nobody holds anything any more: a ticket ends a moment before its blocks are free."""
    for _ in range(500):
        (stats,) = engine.stats()
        if not stats.num_running + stats.num_waiting:
            return stats
        time.sleep(0.01)
    raise AssertionError(f"the engine does not come to rest: {stats}")
