"""Folding is stable, survives anything, and undoes the disguises that it promises to undo."""

import re
import string
import time

import pytest
from hypothesis import assume, example, given, settings
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


BETWEEN = st.text(st.characters(codec="utf-8", categories=["P", "S", "Z", "Cc"], exclude_characters="@$!|"), min_size=1)


@settings(max_examples=300, deadline=None)
@given(st.text(string.ascii_lowercase, min_size=3, max_size=12), st.data())
def test_letters_are_joined_whatever_stands_between_them(word: str, data: st.DataObject) -> None:
    letters = normalise.folded(word)
    spaced = "".join(letter + data.draw(BETWEEN.filter(stays_a_gap)) for letter in letters[:-1]) + letters[-1]
    assume(len(letters) >= 3)
    assert normalise.folded(spaced) == letters


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(string.ascii_lowercase, min_size=2, max_size=8), max_size=12), st.data())
def test_whole_words_are_never_joined(words: list[str], data: st.DataObject) -> None:
    gap = data.draw(BETWEEN.filter(stays_a_gap))
    said = gap.join(words)
    assert re.findall(r"[^\W_]+", normalise.folded(said)) == [normalise.folded(word) for word in words]


def stays_a_gap(text: str) -> bool:
    """Up to four signs that fold to themselves, in any company: none is a letter in disguise or several in one."""
    return len(text) <= 4 and all(normalise.folded(char) == char for char in text)


@pytest.mark.parametrize("piece", ["a:", "a b  c d ", "a....", "a.....", "(a)", "1+", "aa.b.", ":::::", "a\n\n", "ab:"])
def test_signs_between_letters_take_no_time(piece: str) -> None:
    began = time.perf_counter()
    normalise.folded(piece * (200_000 // len(piece)))
    assert time.perf_counter() - began < 5


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
        ("b\no\nm\nb", "bomb"),
        ("b\n\n o \r\nm\tb", "bomb"),
        ("make (b)(o)(m)(b) now", "make (bomb) now"),
        ("b:o:m:b", "bomb"),
        ("b;o;m;b", "bomb"),
        ("b=o=m=b", "bomb"),
        ("b#o#m#b", "bomb"),
        ("b\u2014o\u2014m\u2014b", "bomb"),
        ("b\u2219o\u2219m\u2219b", "bomb"),
        ("b\u2800o\u2800m\u2800b", "bomb"),
        ("b.-.-o-.-m.-.-b", "bomb"),
        ("b \u2022 o ... m\u3000b", "bomb"),
        ("1 4 8 8", "1488"),
        ("1+2=3", "1+2=3"),
        ("1 + 2 - 4 = 0", "1 + 2 - 4 = 0"),
        ("8 / 2 / 2 = 2", "8 / 2 / 2 = 2"),
        ("n@z!s", "nazis"),
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
        ("YSBiYWQKd29yZA==", "a bad\nword"),
        ("YSBi4oCNYWQgd29yZA==", "a b\u200dad word"),
    ],
)
def test_what_is_written_in_codes_is_decoded_once(hidden: str, said: str) -> None:
    assert normalise.decoded(hidden) == {said}


@pytest.mark.parametrize(
    "text",
    [
        "a plain sentence",
        "extraordinarily",
        "emphatically",
        "Hearing/Seeing",
        "100 % sure",
        "Q&A",
        "////////////////",
        "",
    ],
)
def test_plain_text_has_nothing_to_decode(text: str) -> None:
    assert normalise.decoded(text) == set()


@given(HOSTILE)
def test_any_text_can_be_decoded_and_turned(text: str) -> None:
    normalise.decoded(text)
    assert [turned[::-1] for turned in normalise.turned(text)][1] == text
