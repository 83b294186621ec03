"""N-grams of a text as numbers: the same everywhere, and those of its characters, words and pairs of words."""

import pytest

from genworkers.codecs.hashed_ngrams import hashed_ngrams

BUCKETS = 2**20
PINNED = [546126, 760161, 216229, 86305, 674739, 153814, 222123]


def test_one_word_has_its_runs_of_characters_and_itself() -> None:
    # " cat " has three runs of 3, two of 4, one of 5; one word; no pair.
    assert len(hashed_ngrams("cat", BUCKETS)) == 7


def test_case_and_white_space_do_not_count() -> None:
    assert hashed_ngrams("A  Red\nCat ", BUCKETS).tolist() == hashed_ngrams("a red cat", BUCKETS).tolist()


def test_an_n_gram_has_the_same_number_wherever_it_stands() -> None:
    alone = set(hashed_ngrams("cat", BUCKETS).tolist())
    within = set(hashed_ngrams(f"{'a very long way ' * 50}to the cat of my aunt", BUCKETS).tolist())
    assert alone <= within


def test_the_order_of_words_makes_other_pairs() -> None:
    assert set(hashed_ngrams("red cat", BUCKETS).tolist()) != set(hashed_ngrams("cat red", BUCKETS).tolist())


def test_numbers_are_those_that_nets_were_trained_on() -> None:
    assert hashed_ngrams("cat", BUCKETS).tolist() == PINNED


def test_thousands_of_words_hardly_share_buckets() -> None:
    words = [f"w{number:05d}" for number in range(3000)]
    whole_words = {int(hashed_ngrams(word, BUCKETS)[-1]) for word in words}
    assert len(whole_words) > 2980


@pytest.mark.parametrize("text", ["", " \n\t", "\u3000"])
def test_a_blank_text_has_none(text: str) -> None:
    assert len(hashed_ngrams(text, BUCKETS)) == 0


@pytest.mark.parametrize("text", ["\ud800", "a\x00b", "🦊", "é" * 10_000])
def test_any_text_gives_numbers_in_range(text: str) -> None:
    found = hashed_ngrams(text, 64)
    assert 0 <= found.min() <= found.max() < 64


@pytest.mark.parametrize("num_buckets", [0, 1, 1000, 2**33])
def test_buckets_must_be_a_power_of_two(num_buckets: int) -> None:
    with pytest.raises(ValueError, match=f"num_buckets must be a power of two.*{num_buckets}"):
        hashed_ngrams("cat", num_buckets)
