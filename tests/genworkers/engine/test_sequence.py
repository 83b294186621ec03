"""A text ends where it should, and no stop string slips through."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genworkers.engine.sequence import StopStrings
from tests.genworkers.engine.test_scheduler import sequence


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


SHORT = st.text("ab", min_size=1, max_size=5)


@given(st.lists(SHORT, max_size=4), st.lists(SHORT, max_size=12))
def test_what_is_shown_is_the_text_before_the_first_stop_string(stops: list[str], pieces: list[str]) -> None:
    watch = StopStrings(stops)
    shown = ""
    whole = ""
    for piece in pieces:
        whole += piece
        shown += watch.push(piece)
        hits = [at for stop in stops if (at := whole.find(stop)) >= 0]
        if hits:
            assert watch.is_hit
            assert shown == whole[: min(hits)]
            return
        assert whole.startswith(shown)
        assert not watch.is_hit
        assert not any(whole[len(shown) :].startswith(stop) for stop in stops)
    assert shown + watch.flush() == whole


def test_long_stop_strings_cost_microseconds() -> None:
    watch = StopStrings(["a" * 99 + str(n) for n in range(8)])
    began = time.thread_time()
    for _ in range(1000):
        watch.push("aaaa")
    assert time.thread_time() - began < 1.0
