"""Accuracy of characters: what is counted, and how the table reads."""

import pytest

from genworkers.evaluation.characters import accuracy_by_attribute, accuracy_table

ASKED = [{"skin": "Ivory", "top": "Red"}, {"skin": "Brown", "top": "Red"}]


def test_each_attribute_and_flawless_pictures_are_counted() -> None:
    shares = accuracy_by_attribute(ASKED, [{"skin": "Ivory", "top": "Red"}, {"skin": "Brown", "top": "Tan"}])
    assert shares == {"skin": 1.0, "top": 0.5, "all of them": 0.5}


def test_pictures_must_pair_up() -> None:
    with pytest.raises(ValueError, match="asked for 2 pictures, got 1"):
        accuracy_by_attribute(ASKED, ASKED[:1])


def test_the_table_has_a_row_an_attribute_in_percent() -> None:
    shares = accuracy_by_attribute(ASKED, ASKED)
    assert accuracy_table({"drawn": shares, "real": shares})[2] == "| skin | 100.0 | 100.0 |"
