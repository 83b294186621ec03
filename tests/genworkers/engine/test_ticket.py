"""A reader of a ticket meets every item and every error."""

import pytest

from genworkers.engine.errors import EngineError
from genworkers.engine.ticket import Ticket


def test_reading_until_done_meets_an_error_that_came_between_two_reads() -> None:
    ticket: Ticket[int] = Ticket(deadline_s=10)
    ticket.put(1)
    assert ticket.read(0.1) == [1]
    ticket.fail(EngineError("out_of_memory", "Too large."))
    assert not ticket.is_done
    with pytest.raises(EngineError, match="Too large"):
        ticket.read(0.1)


def test_done_waits_for_the_last_item_to_be_read() -> None:
    ticket: Ticket[int] = Ticket(deadline_s=10)
    ticket.put(1)
    ticket.finish("done")
    assert not ticket.is_done
    assert ticket.read(0.1) == [1]
    assert ticket.is_done
