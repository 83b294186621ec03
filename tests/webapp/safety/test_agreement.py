"""Cohen's kappa against a worked example, its limits, and which decisions are judged twice."""

import pytest

from webapp.safety import agreement
from webapp.safety.agreement import MIN_PAIRS, SAMPLE_ONE_IN, agreement_of, is_sampled


def test_kappa_of_a_worked_example() -> None:
    pairs = [(True, True)] * 20 + [(True, False)] * 5 + [(False, True)] * 10 + [(False, False)] * 15
    found = agreement_of(pairs)
    # Observed 35/50, expected .5 * .6 + .5 * .4 = .5, so (0.7 - 0.5) / 0.5.
    assert found.num_pairs == 50
    assert found.observed_frac == pytest.approx(0.7)
    assert found.kappa == pytest.approx(0.4)


def test_perfect_agreement_is_one_and_perfect_disagreement_is_below_zero() -> None:
    assert agreement_of([(True, True), (False, False)] * 10).kappa == pytest.approx(1.0)
    assert agreement_of([(True, False), (False, True)] * 10).kappa == pytest.approx(-1.0)


def test_no_number_is_given_for_few_pairs_nor_where_all_said_the_same() -> None:
    few = agreement_of([(True, False)] * (MIN_PAIRS - 1))
    assert (few.has_too_few, few.kappa) == (True, None)
    same = agreement_of([(True, True)] * MIN_PAIRS)
    assert (same.has_too_few, same.kappa, same.observed_frac) == (False, None, 1.0)
    assert agreement_of([]) == agreement.Agreement(0, 0.0, None)


def test_exactly_one_of_twenty_comes_back_and_the_first_one_soon() -> None:
    for workspace in ("a", "b", "c"):
        sampled = [number for number in range(1, 2001) if is_sampled(workspace, number, key=b"k")]
        assert len(sampled) == 2000 // SAMPLE_ONE_IN
        assert sampled[0] <= agreement.FIRST_SAMPLE_WITHIN
        assert len({(number - 1) // SAMPLE_ONE_IN for number in sampled}) == len(sampled)


def test_which_ones_depends_on_the_key_and_on_nothing_else() -> None:
    def sample(key: bytes) -> list[int]:
        return [number for number in range(1, 201) if is_sampled("a", number, key=key)]

    assert sample(b"k") == sample(b"k")
    assert sample(b"k") != sample(b"other")
