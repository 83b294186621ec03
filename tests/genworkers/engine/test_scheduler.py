"""Who goes first: first come, first served; nobody starves; chunks depend on the prompt alone."""

import subprocess
import sys

import pytest

from genworkers.engine.config import EngineConfig
from genworkers.engine.scheduler import Scheduler
from genworkers.engine.sequence import StopStrings, TextSequence
from genworkers.engine.ticket import Ticket


class Letters:
    """Token n is the n-th letter."""

    def push(self, token_id: int) -> str:
        return chr(ord("a") + token_id)

    def flush(self) -> str:
        return ""


def sequence(num_prompt: int, **changes: object) -> TextSequence[None]:
    fields: dict[str, object] = {
        "prompt_ids": [0] * num_prompt,
        "max_tokens": 5,
        "context_tokens": 1000,
        "end_id": 25,
        "seed": 0,
        "sampling": None,
        "ticket": Ticket(deadline_s=60),
        "detokenizer": Letters(),
        "stops": StopStrings([]),
    }
    return TextSequence(**(fields | changes))  # type: ignore[arg-type]


def scheduler(**sizes: int) -> Scheduler[None]:
    return Scheduler(EngineConfig(**({"num_slots": 2, "prefill_chunk_tokens": 4, "prefill_step_tokens": 8} | sizes)))


def test_those_who_came_first_get_the_slots() -> None:
    plan_of = scheduler()
    rows = [sequence(3) for _ in range(4)]
    for row in rows:
        plan_of.add(row)
    plan_of.plan()
    assert plan_of.running == rows[:2]
    assert rows[0].slot != rows[1].slot
    plan_of.remove(rows[1])
    plan_of.plan()
    assert plan_of.running == [rows[0], rows[2]]
    assert list(plan_of.waiting) == [rows[3]]
    assert rows[2].slot == rows[1].slot


def test_chunks_stay_within_the_budget_and_on_fixed_borders() -> None:
    plan_of = scheduler()
    long, short = sequence(10), sequence(3)
    plan_of.add(long)
    plan_of.add(short)
    plan = plan_of.plan()
    assert [(chunk.sequence, chunk.start, chunk.end) for chunk in plan.chunks] == [(long, 0, 4), (long, 4, 8)]
    long.num_read = 8
    plan = plan_of.plan()
    assert [(chunk.sequence, chunk.start, chunk.end) for chunk in plan.chunks] == [(long, 8, 10), (short, 0, 3)]


def test_writers_move_every_step_while_a_long_prompt_is_read() -> None:
    plan_of = scheduler()
    writer, reader = sequence(2), sequence(400)
    plan_of.add(writer)
    plan_of.plan()
    writer.num_read = 2
    plan_of.add(reader)
    for _ in range(50):
        plan = plan_of.plan()
        assert plan.writers == [writer]
        assert sum(chunk.end - chunk.start for chunk in plan.chunks) <= 8
        for chunk in plan.chunks:
            reader.num_read = chunk.end
    assert reader.is_prefilled
    assert plan_of.plan().writers == [writer, reader]


def test_removing_one_who_waits_leaves_the_others_in_order() -> None:
    plan_of = scheduler(num_slots=1)
    rows = [sequence(1) for _ in range(3)]
    for row in rows:
        plan_of.add(row)
    plan_of.plan()
    plan_of.remove(rows[1])
    plan_of.remove(rows[1])
    assert plan_of.sequences == [rows[0], rows[2]]
    plan_of.remove(rows[0])
    plan_of.remove(rows[2])
    assert plan_of.is_idle


def test_sizes_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="num_slots must be at least 1, got 0"):
        EngineConfig(num_slots=0)
    with pytest.raises(ValueError, match=r"prefill_chunk_tokens must be 1\.\.8, got 9"):
        EngineConfig(prefill_chunk_tokens=9, prefill_step_tokens=8)


def test_sequence_ends_by_its_limits() -> None:
    by_tokens = sequence(2, max_tokens=2)
    for token in (0, 1):
        by_tokens.accept(token)
    assert by_tokens.finish_reason == "length"
    by_context = sequence(8, context_tokens=9)
    by_context.accept(0)
    assert by_context.finish_reason == "length"
    by_end = sequence(2)
    by_end.accept(25)
    assert (by_end.finish_reason, by_end.num_tokens) == ("stop", 0)


@pytest.mark.parametrize(
    ("stops", "pieces", "shown"),
    [
        (["END"], ["abE", "N", "Dxyz"], "ab"),
        (["END"], ["abE", "Nd"], "abENd"),
        (["aab"], ["aaa", "b"], "a"),
        (["x", "wx"], ["vw", "x"], "v"),
        (["\n\n"], ["one\n", "\ntwo"], "one"),
        ([], ["a", "b"], "ab"),
    ],
)
def test_stop_strings_are_found_across_token_borders(stops: list[str], pieces: list[str], shown: str) -> None:
    watch = StopStrings(stops)
    text = "".join(watch.push(piece) for piece in pieces)
    assert text + watch.flush() == shown


def test_text_that_may_become_a_stop_string_is_held_back() -> None:
    watch = StopStrings(["END"])
    assert [watch.push(piece) for piece in ("aE", "N", "X")] == ["a", "", "ENX"]


def test_scheduling_never_loads_torch() -> None:
    code = (
        "import sys, genworkers.engine.scheduler, genworkers.engine.sequence, genworkers.engine.config;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
