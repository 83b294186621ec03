"""Who goes first: users share the device, nobody starves, preempted texts lose nothing. Counted in steps."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genworkers.engine.blocks import BlockPool
from genworkers.engine.config import EngineConfig
from genworkers.engine.scheduler import Chunk, Scheduler
from genworkers.engine.sequence import StopStrings, TextSequence
from genworkers.engine.ticket import Ticket

SIZE = 4


class Letters:
    """Token n is the n-th letter."""

    def push(self, token_id: int) -> str:
        return chr(ord("a") + token_id % 25)

    def flush(self) -> str:
        return ""


def sequence(num_prompt: int, *, user: str = "", first_id: int = 0, **changes: object) -> TextSequence[None]:
    fields: dict[str, object] = {
        "ids": [first_id] * num_prompt,
        "max_tokens": 5,
        "context_tokens": 1000,
        "end_ids": frozenset({25}),
        "draw": None,
        "ticket": Ticket(deadline_s=60),
        "detokenizer": Letters(),
        "stops": StopStrings([]),
        "user": user,
    }
    return TextSequence(**(fields | changes))  # type: ignore[arg-type]


def scheduler(*, num_blocks: int = 200, **sizes: int) -> Scheduler[None]:
    return Scheduler(EngineConfig(**({"max_running": 4, "step_tokens": 8} | sizes)), BlockPool(num_blocks, SIZE))  # type: ignore[arg-type]


def step(plan_of: Scheduler[None], token: Callable[[TextSequence[None]], int] = lambda one: 1) -> list[Chunk[None]]:
    """What the engine does in a step, with a device that only counts."""
    chunks = plan_of.plan()
    for chunk in chunks:
        plan_of.advance(chunk)
        if chunk.is_last:
            chunk.sequence.accept(token(chunk.sequence))
            if chunk.sequence.finish_reason is not None:
                plan_of.remove(chunk.sequence)
    return chunks


def spans(chunks: list[Chunk[None]]) -> list[tuple[TextSequence[None], int, int]]:
    return [(chunk.sequence, chunk.start, chunk.end) for chunk in chunks]


def test_one_users_requests_are_served_in_their_order() -> None:
    plan_of = scheduler(max_running=2)
    rows = [sequence(3, first_id=n) for n in range(4)]
    for row in rows:
        plan_of.add(row)
    step(plan_of)
    assert plan_of.running == rows[:2]
    plan_of.remove(rows[1])
    step(plan_of)
    assert plan_of.running == [rows[0], rows[2]]
    assert list(plan_of.waiting) == [rows[3]]


def test_a_step_never_reads_more_than_its_budget() -> None:
    plan_of = scheduler()
    long, short = sequence(10, first_id=1), sequence(3, first_id=2)
    plan_of.add(long)
    plan_of.add(short)
    assert spans(step(plan_of)) == [(long, 0, 8)]
    assert spans(step(plan_of)) == [(long, 8, 10), (short, 0, 3)]
    assert spans(step(plan_of)) == [(long, 10, 11), (short, 3, 4)]


def test_writers_move_every_step_while_a_long_prompt_is_read() -> None:
    plan_of = scheduler()
    writer, reader = sequence(2, max_tokens=100), sequence(350, first_id=1)
    plan_of.add(writer)
    step(plan_of)
    plan_of.add(reader)
    for _ in range(50):
        chunks = step(plan_of)
        assert chunks[0].sequence is writer
        assert sum(chunk.end - chunk.start for chunk in chunks) == 8
    assert reader.num_tokens == 1


def test_prompts_of_two_users_share_the_budget() -> None:
    plan_of = scheduler()
    crowd = [sequence(20, user="a", first_id=n) for n in range(3)]
    for row in crowd:
        plan_of.add(row)
    step(plan_of)
    newcomer = sequence(4, user="b", first_id=9)
    plan_of.add(newcomer)
    assert (newcomer, 0, 4) in spans(step(plan_of))
    assert newcomer.num_tokens == 1


@pytest.mark.parametrize("num_prompt", [1, 8, 30])
def test_a_hundred_jobs_delay_a_newcomer_by_one_step(num_prompt: int) -> None:
    """As many steps as alone on half of each step: its share beside one other user."""
    plan_of = scheduler(max_running=8, step_tokens=32, num_blocks=100)
    for n in range(100):
        plan_of.add(sequence(20, user="crowd", first_id=n, max_tokens=50))
    for _ in range(30):
        step(plan_of)
    newcomer = sequence(num_prompt, user="newcomer", first_id=999)
    plan_of.add(newcomer)
    num_steps = 0
    while not newcomer.num_tokens:
        step(plan_of)
        num_steps += 1
    assert num_steps <= -(-num_prompt // 12)  # (32 - 7 writers) / 2
    while newcomer.finish_reason is None:
        num_before = newcomer.num_tokens
        step(plan_of)
        assert newcomer.num_tokens == num_before + 1, "and then it writes in every step"


def test_places_are_shared_evenly_between_users() -> None:
    plan_of = scheduler(max_running=6, step_tokens=64)
    for n in range(30):
        plan_of.add(sequence(3, user="a", first_id=n, max_tokens=500))
    step(plan_of)
    for user in ("b", "c"):
        for n in range(10):
            plan_of.add(sequence(3, user=user, first_id=n, max_tokens=500))
    step(plan_of)
    assert Counter(one.user for one in plan_of.running) == {"a": 2, "b": 2, "c": 2}
    num_preemptions = plan_of.num_preemptions
    for _ in range(50):
        step(plan_of)
    assert plan_of.num_preemptions == num_preemptions, "once places are even, nobody is sent back"


def test_preempted_sequence_waits_in_front_and_keeps_its_words() -> None:
    plan_of = scheduler(max_running=2)
    rows = [sequence(3, user="a", first_id=n, max_tokens=20) for n in range(3)]
    for row in rows:
        plan_of.add(row)
    for _ in range(6):
        step(plan_of)
    newcomer = sequence(3, user="b", max_tokens=4, first_id=9)
    plan_of.add(newcomer)
    step(plan_of)
    assert plan_of.running == [rows[0], newcomer]
    assert list(plan_of.waiting) == [rows[1], rows[2]]
    num_tokens = rows[1].num_tokens
    assert num_tokens > 0
    while newcomer.finish_reason is None:
        step(plan_of)
    chunks = step(plan_of)
    assert rows[1] in plan_of.running
    assert next(chunk for chunk in chunks if chunk.sequence is rows[1]).start >= SIZE, "its full blocks were kept"
    while rows[1].finish_reason is None:
        step(plan_of)
    assert rows[1].num_tokens == 20


def test_same_prompts_at_once_are_read_once() -> None:
    plan_of = scheduler(step_tokens=64, max_running=8)
    rows = [sequence(21) for _ in range(8)]
    for row in rows:
        plan_of.add(row)
    assert spans(step(plan_of)) == [(rows[0], 0, 21)]
    assert sorted(chunk.end - chunk.start for chunk in step(plan_of)) == [1] * 8
    assert [row.num_cached_tokens for row in rows] == [0] + [20] * 7


def test_next_turn_of_a_chat_finds_its_written_words() -> None:
    plan_of = scheduler()
    first = sequence(6, max_tokens=9)
    plan_of.add(first)
    while not plan_of.is_idle:
        step(plan_of)
    second = sequence(0, ids=[*first.ids, 7, 7, 7])
    plan_of.add(second)
    step(plan_of)
    assert second.num_cached_tokens == 12


def test_sequence_that_never_fits_is_refused() -> None:
    plan_of = scheduler(num_blocks=4)
    with pytest.raises(ValueError, match="17 tokens never fits a cache of 16"):
        plan_of.add(sequence(10, max_tokens=7))
    plan_of.add(sequence(10, max_tokens=7, context_tokens=16))


def test_removing_one_who_waits_leaves_the_others_in_order() -> None:
    plan_of = scheduler(max_running=1)
    rows = [sequence(1, first_id=n) for n in range(3)]
    for row in rows:
        plan_of.add(row)
    plan_of.plan()
    plan_of.remove(rows[1])
    plan_of.remove(rows[1])
    assert [*plan_of.running, *plan_of.waiting] == [rows[0], rows[2]]
    plan_of.remove(rows[0])
    plan_of.remove(rows[2])
    assert plan_of.is_idle
    assert plan_of.pool.num_available == plan_of.pool.num_blocks


ARRIVALS = st.lists(
    st.tuples(
        st.integers(0, 30),  # at which step
        st.sampled_from("abc"),  # whose
        st.integers(1, 30),  # prompt tokens
        st.integers(1, 10),  # tokens to write
        st.integers(0, 2),  # which prompt
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(ARRIVALS, st.integers(10, 16), st.integers(1, 5), st.integers(0, 9))
def test_everybody_ends_whatever_comes(
    arrivals: list[tuple[int, str, int, int, int]], num_blocks: int, max_running: int, spare_tokens: int
) -> None:
    step_tokens = max_running + spare_tokens
    plan_of = scheduler(num_blocks=num_blocks, max_running=max_running, step_tokens=step_tokens)
    rows = [
        (at, sequence(num_prompt, user=user, first_id=text, max_tokens=max_tokens))
        for at, user, num_prompt, max_tokens, text in arrivals
    ]
    num_work = sum(row.most_tokens for _, row in rows)
    for now in range(31 + 20 * num_work):
        for at, row in rows:
            if at == now:
                plan_of.add(row)
        chunks = step(plan_of, lambda one: one.num_tokens % 3)
        assert sum(chunk.end - chunk.start for chunk in chunks) <= step_tokens
        assert len(plan_of.running) <= max_running
        assert len({id(chunk.sequence) for chunk in chunks}) == len(chunks)
        assert chunks or plan_of.is_idle, "while there is work, every step does some"
        if now > 30 and plan_of.is_idle:
            break
    assert all(row.finish_reason == "length" for _, row in rows)
    assert plan_of.pool.num_available == num_blocks


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.integers(1, 30), st.integers(0, 20))
def test_nobody_starves_while_others_keep_coming(num_prompt: int, max_tokens: int, num_ahead: int) -> None:
    plan_of = scheduler(num_blocks=18, max_running=4, step_tokens=16)
    for n in range(num_ahead):
        plan_of.add(sequence(5, user=f"early {n}", first_id=n, max_tokens=6))
    patient = sequence(num_prompt, user="patient", first_id=99, max_tokens=max_tokens)
    plan_of.add(patient)
    for now in range(1000):
        plan_of.add(sequence(5, user=f"user {now}", first_id=now, max_tokens=6))
        step(plan_of)
        if patient.finish_reason is not None:
            return
    pytest.fail(f"after 1000 steps it has {patient.num_tokens} of {max_tokens} tokens")


def test_sizes_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="max_waiting must be at least 1, got 0"):
        EngineConfig(max_waiting=0)
    with pytest.raises(ValueError, match="step_tokens must be at least max_running 64, got 9"):
        EngineConfig(step_tokens=9)
    with pytest.raises(ValueError, match="precision must be one of float32, bfloat16, int8, got 'int4'"):
        EngineConfig(precision="int4")  # type: ignore[arg-type]


def test_scheduling_never_loads_torch() -> None:
    code = (
        "import sys, genworkers.engine.scheduler, genworkers.engine.sequence, genworkers.engine.config;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
