"""The statistics of the bias audit against answers that are known, and its counting on texts made here."""

import numpy as np
import pytest

from genworkers.evaluation.bias_pictures import (
    VARIANTS,
    fit_reader,
    picture_table,
    role_figures,
    variant_keys,
    variants_in,
)
from genworkers.evaluation.bias_prompts import PICTURE_ROLES, TEMPLATES, TEXT_ROLES
from genworkers.evaluation.bias_statistics import binomial_p, chi_square_p, effect_size, holm, sign_flip_p
from genworkers.evaluation.bias_text import main_pronoun, story_counts, story_table


def test_chi_square_agrees_with_the_printed_tables() -> None:
    # The 5 % points of 1 and 2 degrees of freedom are 3.841 and 5.991.
    assert chi_square_p([50, 50], [0.5, 0.5]) == pytest.approx(1.0)
    shift = (3.841 * 100) ** 0.5 / 2
    assert chi_square_p([50 + shift, 50 - shift], [0.5, 0.5]) == pytest.approx(0.05, abs=1e-4)
    assert chi_square_p([10, 20, 30], [1 / 3, 1 / 3, 1 / 3]) == pytest.approx(np.exp(-5.0))  # statistic 10, 2 degrees


def test_chi_square_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="counts must be of shares that sum to 1"):
        chi_square_p([0, 0], [0.5, 0.5])
    with pytest.raises(ValueError, match="sum to 1"):
        chi_square_p([1, 2], [0.5, 0.6])


def test_effect_size_is_0_for_the_expected_and_1_for_all_on_one_of_two() -> None:
    assert effect_size([30, 30], [0.5, 0.5]) == 0.0
    assert effect_size([60, 0], [0.5, 0.5]) == pytest.approx(1.0)


def test_binomial_p_counts_both_tails() -> None:
    assert binomial_p(5, 10) == 1.0
    assert binomial_p(0, 5) == binomial_p(5, 5) == pytest.approx(2 / 32)
    assert binomial_p(1, 5) == pytest.approx(12 / 32)


def test_sign_flips_of_values_on_one_side_leave_two_ways_of_all() -> None:
    assert sign_flip_p(np.array([1.0, 2.0, 3.0, 4.0])) == pytest.approx(2 / 16)
    assert sign_flip_p(np.array([1.0, -1.0])) == 1.0
    assert sign_flip_p(np.full(30, 2.0)) < 1e-3


def test_holm_multiplies_by_the_number_of_tests_that_are_left() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}


def test_variants_are_found_where_all_three_are_there() -> None:
    keys = ["1f9d1", "1f468", "1f469", "1f46e", "1f46e-200d-2642", "1f46e-200d-2640", "1f9d1-200d-1f33e", "1f415"]
    assert variants_in(keys) == {
        "1f9d1": ("1f9d1", "person"),
        "1f468": ("1f9d1", "man"),
        "1f469": ("1f9d1", "woman"),
        "1f46e": ("1f46e", "person"),
        "1f46e-200d-2642": ("1f46e", "man"),
        "1f46e-200d-2640": ("1f46e", "woman"),
    }
    assert variant_keys(PICTURE_ROLES["a nurse"])["woman"] == "1f469-200d-2695"


def test_a_reader_of_clear_features_is_right_for_roles_it_never_saw() -> None:
    random = np.random.default_rng(0)
    variants = np.tile([0, 1, 2], 30)
    features = 3.0 * np.eye(3)[variants] @ random.normal(size=(3, 12)) + 0.2 * random.normal(size=(90, 12))
    reader = fit_reader(features, variants, [str(place // 3) for place in range(90)])
    assert reader.accuracy == 1.0
    assert reader.read(features).tolist() == variants.tolist()


def test_a_role_that_is_always_a_man_stands_out_and_even_thirds_do_not() -> None:
    random = np.random.default_rng(0)
    features = 3.0 * np.eye(3)[np.tile([0, 1, 2], 30)] + 0.1 * random.normal(size=(90, 3))
    reader = fit_reader(features, np.tile([0, 1, 2], 30), [str(place // 3) for place in range(90)])
    figures = role_figures({"a doctor": np.zeros(30, np.int64), "a person": np.tile([0, 1, 2], 10)}, reader)
    doctor, person = figures["a doctor"], figures["a person"]
    assert (doctor["man"], doctor["woman_minus_man"]["value"]) == (30, -1.0)
    assert doctor["p_holm"] < 1e-6
    assert person["p"] == pytest.approx(1.0, abs=1e-6)
    assert picture_table(figures).splitlines()[2].startswith("| a doctor | 30 | 1.00 | 0.00 | 0.00 | -1.00 (")
    assert VARIANTS == ("man", "woman", "person")


def test_the_main_pronoun_is_the_most_frequent_and_a_tie_is_none() -> None:
    assert main_pronoun("She took her bag. He waved, and she smiled.") == "she"
    assert main_pronoun("They lost their way.") == "they"
    assert main_pronoun("He saw her.") == ""
    assert main_pronoun("Nobody came.") == ""


def test_stories_are_counted_by_role_with_corrected_p() -> None:
    figures = story_counts({"nurse": ["she"] * 10, "pilot": ["he", "she", "", "they"]})
    assert figures["nurse"]["p"] == pytest.approx(2 / 1024)
    assert figures["nurse"]["p_holm"] == pytest.approx(4 / 1024)
    assert (figures["pilot"]["num"], figures["pilot"]["p"]) == (4, 1.0)
    assert story_table(figures).splitlines()[-1].startswith("| nurse | 10 | 0 | 10 | 0 | +1.00 (+1.00 to +1.00)")


def test_the_prompt_list_has_nothing_twice_and_every_template_names_the_role() -> None:
    assert len(set(TEXT_ROLES)) == len(TEXT_ROLES)
    assert all(template.count("{role}") == 1 for template in TEMPLATES)
    assert "doctor" in TEXT_ROLES
    assert "a nurse" in PICTURE_ROLES
