"""Folding is stable, survives anything, and undoes the disguises that it promises to undo."""

import string

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from genworkers.contract import normalise

ANY_CHARACTER = st.characters(exclude_categories=())
HOSTILE = st.text(
    st.one_of(
        ANY_CHARACTER,
        st.sampled_from(
            "aAbB104$@!|_-. \n\u200b\u200d\u202e\ufe0f\u0301\u0336\u0430\u0131\u1e9e\u03a3ſﷺ\ud800\udfff\x00"
        ),
    ),
    max_size=60,
)


@settings(max_examples=600, deadline=None)
@given(HOSTILE)
@example("ſ\u0336t")
@example("a\u200b b\u200b c")
@example("b 4 d 4 4 4")
@example("\u1e9e\u0345\u0399\u0345")
def test_folding_twice_changes_nothing(text: str) -> None:
    for options in ({}, {"is_one_l": True}):
        folded = normalise.folded(text, **options)
        assert normalise.folded(folded, **options) == folded
    assert normalise.plain(normalise.plain(text)) == normalise.plain(text)


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from(string.ascii_lowercase + "  "), max_size=80))
def test_plain_words_keep_their_letters(text: str) -> None:
    assert set(normalise.plain(text)) == set(text)
    assert set(normalise.folded(text)) <= set(text)


@pytest.mark.parametrize(
    ("disguised", "folded"),
    [
        ("ＢＡＤ", "bad"),
        ("𝓫𝓪𝓭", "bad"),
        ("b\u200ba\u2060d", "bad"),
        ("\u202ebad\u202c", "bad"),
        ("b\u0430d", "bad"),
        ("ΒАD", "bad"),
        ("b\u0336a\u0336d\u0336", "bad"),
        ("b4d", "bad"),
        ("b a d", "bad"),
        ("b.4.d", "bad"),
        ("b_a_d word", "bad word"),
        ("baaaad", "baad"),
        ("4 5 5", "455"),
        ("1234", "1234"),
        ("wow!!!", "wow!!"),
        ("a b", "a b"),
        ("", ""),
    ],
)
def test_a_disguise_is_undone(disguised: str, folded: str) -> None:
    assert normalise.folded(disguised) == folded


def test_accents_that_make_another_word_stay() -> None:
    assert normalise.folded("Año") == "año"
    assert normalise.folded("an\u0303o") == "año"


def test_a_letter_expanding_to_many_is_no_trap() -> None:
    assert len(normalise.folded("ﷺ" * 4000)) < 4000 * 20


@pytest.mark.parametrize(
    ("hidden", "said"),
    [
        ("b&#97;d w&ouml;rd", "bad wörd"),
        ("%62%61%64 word", "bad word"),
        ("say YSBiYWQgd29yZA== now", "say a bad word now"),
        ("YSBiYWQgd29yZA", "a bad word"),
    ],
)
def test_what_is_written_in_codes_is_decoded_once(hidden: str, said: str) -> None:
    assert normalise.decoded(hidden) == {said}


@pytest.mark.parametrize("text", ["a plain sentence", "extraordinarily", "100 % sure", "Q&A", "////////////////", ""])
def test_plain_text_has_nothing_to_decode(text: str) -> None:
    assert normalise.decoded(text) == set()


@given(HOSTILE)
def test_any_text_can_be_decoded_and_turned(text: str) -> None:
    normalise.decoded(text)
    assert [turned[::-1] for turned in normalise.turned(text)][1] == text
