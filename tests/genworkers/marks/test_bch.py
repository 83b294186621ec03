"""The code of the picture mark: its polynomial is the published one, and it corrects what it promises and more."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genworkers.marks import bch

PAYLOADS = st.integers(0, (1 << bch.NUM_PAYLOAD_BITS) - 1)


def _sent(payload: int) -> bch.Soft:
    return 1.0 - 2.0 * bch.encode(payload).astype(np.float64)


def test_generator_is_the_published_one_and_divides_x63_minus_1() -> None:
    """Lin, Costello 2004, table 6.4, gives 1033500423 (octal) for BCH(63, 36)."""
    generator = bch.generator_polynomial()
    assert generator == 0o1033500423
    rest = 1 << 63 | 1
    while rest.bit_length() >= generator.bit_length():
        rest ^= generator << rest.bit_length() - generator.bit_length()
    assert rest == 0


@settings(deadline=None)
@given(PAYLOADS, PAYLOADS)
def test_two_codewords_differ_in_eleven_bits_at_least(one: int, other: int) -> None:
    num_different = int((bch.encode(one) != bch.encode(other)).sum())
    assert num_different == 0 if one == other else num_different >= 2 * bch.NUM_CORRECTED + 1


@pytest.mark.slow
@settings(deadline=None)
@given(PAYLOADS, st.sets(st.integers(0, 62), max_size=bch.NUM_CORRECTED))
def test_any_five_wrong_bits_are_corrected_when_none_is_known_to_be_weak(payload: int, wrong: set[int]) -> None:
    sent = _sent(payload)
    sent[list(wrong)] *= -1.0
    # Wrong bits only a little weaker than right ones: their places are not given away.
    sent[list(wrong)] *= 0.999
    assert bch.decode(sent)[0] == payload


def test_weak_wrong_bits_are_corrected_far_beyond_five() -> None:
    chance = np.random.default_rng(0)
    for payload in chance.integers(1 << bch.NUM_PAYLOAD_BITS, size=20).tolist():
        sent = _sent(payload)
        sent[chance.permutation(63)[:12]] *= -0.1
        assert bch.decode(sent)[0] == payload


@pytest.mark.parametrize("payload", [-1, 1 << 36])
def test_payload_out_of_range_is_refused_with_its_value(payload: int) -> None:
    with pytest.raises(ValueError, match=rf"payload must be 0 .. 2\*\*36 - 1, got {payload}"):
        bch.encode(payload)
