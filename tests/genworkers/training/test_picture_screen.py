"""The recipe of the picture screen on a few pictures made here: labels, composed pictures, calibration, a folder."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from genworkers.contract.safety import PictureCategory
from genworkers.evaluation.picture_safety import corpus_figures, figures_of, judge_mixed, net_figures, table
from genworkers.evaluation.screen_measures import average_precision, bootstrapped, bootstrapped_mean
from genworkers.nets.picture_tagger import PictureTagger, PictureTaggerConfig
from genworkers.screening.calibration import fit_isotonic
from genworkers.screening.picture_screen import load_picture_screen
from genworkers.training.picture_calibration import calibrate, fit_platt, recommend, with_prior
from genworkers.training.picture_concepts import (
    KNOWN,
    NO,
    STICKERS,
    UNSURE,
    UNSURE_STICKERS,
    YES,
    icon_concept,
    icon_labels,
    sticker_labels,
)
from genworkers.training.picture_mixing import SEVERAL, Shelf, mixed, plain
from genworkers.training.picture_screen_folder import write_screen
from genworkers.training.picture_table import Part, PictureTable, tabulate
from genworkers.training.train_picture_screen import NOT_NAMED, Names, Pupil, category_loss, fixed_loss_of, loss_of

WIDTHS = (8, 8, 16, 16)
PARTS: tuple[Part, ...] = ("calibrating", "reported")


def label(icon_set: str, name: str, category: PictureCategory, tags: tuple[str, ...] = ()) -> int:
    """One icon's label for one category."""
    return icon_labels(icon_set, name, tags)[KNOWN.index(category)]


@pytest.fixture(scope="module")
def tiny() -> PictureTable:
    """Of each category forty concepts, a bar in its own place, in two sources; and as many without a category."""
    random = np.random.default_rng(0)
    pictures, labels, concepts, sources = [], [], [], []
    for concept in range(40 * (len(KNOWN) + 1)):
        place = concept % (len(KNOWN) + 1)
        for source in ("noto", "fxemoji", "emojitwo", "mdi"):
            picture = np.zeros((64, 64, 4), np.uint8)
            picture[4 + 7 * place : 11 + 7 * place, 8 : 40 + int(random.integers(16)), 3] = 255
            pictures.append(picture)
            labels.append([YES if other == place else NO for other in range(len(KNOWN))])
            concepts.append(f"concept {concept}")
            sources.append(source)
    return tabulate(np.stack(pictures), labels, concepts, concepts, sources)


def test_every_category_that_is_known_is_listed_once_and_no_sticker_is_sure_and_unsure() -> None:
    assert set(STICKERS) == set(UNSURE_STICKERS) == set(KNOWN)
    assert all(not STICKERS[category].keys() & UNSURE_STICKERS[category].keys() for category in KNOWN)


def test_stickers_are_labelled_by_their_keys() -> None:
    assert sticker_labels("1f595") == [YES if category == "gestures" else NO for category in KNOWN]
    assert sticker_labels("1f431") == [NO] * len(KNOWN)
    assert sticker_labels("2665")[KNOWN.index("gambling")] == UNSURE
    headscarf, wheelchair = sticker_labels("1f9d5"), sticker_labels("1f9bd")
    assert headscarf == wheelchair == [NO] * len(KNOWN)


def test_icons_are_labelled_by_whole_words_of_their_names() -> None:
    assert label("game_icons", "lorc__axe-swing", "weapons") == YES
    assert label("phosphor_fill", "fork-knife", "weapons") != YES
    assert label("mdi", "format-list-bulleted", "weapons") == NO
    assert label("mdi", "smoking-off", "alcohol-tobacco") == UNSURE
    assert label("mdi", "glass-wine", "alcohol-tobacco") == YES
    assert label("mdi", "cross", "religion") == YES
    assert label("lucide", "cross", "religion") == UNSURE
    assert label("lucide", "armchair", "weapons") == NO
    assert label("lucide", "thing", "death", ("Halloween",)) == UNSURE


def test_variants_of_an_icon_are_one_concept() -> None:
    assert icon_concept("lorc__axe-swing") == "axe-swing"
    assert {icon_concept(name) for name in ("beer", "beer-off", "beer-fill", "beer-outline")} == {"beer"}


def test_composed_pictures_carry_the_labels_of_what_is_in_them(tiny: PictureTable) -> None:
    rows = tiny.rows(held_out_concepts=False, held_out_sources=False)
    made = mixed(tiny, Shelf(tiny, rows), 200, torch.Generator().manual_seed(0), category_chance=0.5)
    assert made.pictures.shape == (200, 3, 64, 64)
    assert (float(made.pictures.min()), float(made.pictures.max())) >= (0.0, 0.5)
    assert float(made.pictures.max()) <= 1.0
    alone = made.single != SEVERAL
    assert 0.6 < float(alone.float().mean()) < 0.9
    assert torch.equal(made.labels[alone], tiny.labels[made.single[alone]])
    assert int((made.labels[~alone] == YES).sum(1).max()) > 1
    again = mixed(tiny, Shelf(tiny, rows), 200, torch.Generator().manual_seed(0), category_chance=0.5)
    assert torch.equal(made.pictures, again.pictures)


def test_held_out_concepts_and_sources_are_never_drawn(tiny: PictureTable) -> None:
    rows = tiny.rows(held_out_concepts=False, held_out_sources=False)
    assert {tiny.sources[row] for row in rows} == {"noto", "mdi"}
    assert not bool(tiny.is_held_out[rows].any())
    held_out = {tiny.concepts[row] for row in tiny.rows(held_out_concepts=True, held_out_sources=False)}
    assert held_out
    assert not held_out & {tiny.concepts[row] for row in rows}


def test_what_figures_are_reported_of_has_no_part_in_calibration_or_thresholds(tiny: PictureTable) -> None:
    torch.manual_seed(0)
    net = PictureTagger(PictureTaggerConfig(KNOWN, WIDTHS))
    calibrations = calibrate(net, tiny, 200)
    levels = recommend(net, calibrations, tiny)
    for part in PARTS:
        rows = [
            row
            for concepts, sources in ((True, False), (False, True), (True, True))
            for row in tiny.rows(held_out_concepts=concepts, held_out_sources=sources, part=part)
        ]
        noisy = tiny.pictures.clone()
        noisy[rows] = torch.randint(0, 256, noisy[rows].shape, dtype=torch.uint8)
        other = replace(tiny, pictures=noisy)
        is_same = calibrate(net, other, 200) == calibrations and recommend(net, calibrations, other) == levels
        assert is_same == (part == "reported")


def test_each_held_out_row_is_of_one_part_or_of_none(tiny: PictureTable) -> None:
    for concepts, sources in ((True, False), (False, True), (True, True)):
        every = tiny.rows(held_out_concepts=concepts, held_out_sources=sources)
        parts = [set(tiny.rows(held_out_concepts=concepts, held_out_sources=sources, part=part)) for part in PARTS]
        assert all(parts)
        assert not parts[0] & parts[1]
        assert parts[0] | parts[1] <= set(every)


def test_what_is_unsure_teaches_nothing() -> None:
    logits = torch.tensor([[2.0, -1.0], [0.5, 3.0]], requires_grad=True)
    category_loss(logits, torch.tensor([[YES, UNSURE], [NO, UNSURE]])).backward()
    assert logits.grad is not None
    assert bool((logits.grad[:, 1] == 0.0).all())
    assert bool((logits.grad[:, 0] != 0.0).all())


@pytest.mark.slow
def test_a_few_steps_lower_the_loss_and_the_folder_can_be_screened_with(tiny: PictureTable, tmp_path: Path) -> None:
    torch.manual_seed(0)
    rows = tiny.rows(held_out_concepts=False, held_out_sources=False)
    net = PictureTagger(PictureTaggerConfig(KNOWN, WIDTHS))
    of_row = torch.full((len(tiny.names),), NOT_NAMED)
    of_row[rows] = torch.arange(len(rows)) % 5
    names = Names(F.normalize(torch.randn(5, 12), dim=1), of_row)
    pupil = Pupil(net, names)
    loss_of_batch, fixed = loss_of(pupil, tiny, names, rows), fixed_loss_of(net, tiny, rows)
    optimiser = torch.optim.AdamW(pupil.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    before = float(fixed(generator).detach())
    for _ in range(25):
        optimiser.zero_grad()
        loss_of_batch(generator).backward()
        optimiser.step()
    net.eval()
    assert float(fixed(generator).detach()) < 0.8 * before

    calibrations = calibrate(net, tiny, 800)
    write_screen(tmp_path / "picture", net, calibrations, recommend(net, calibrations, tiny), {"num_steps": 25})
    screen = load_picture_screen(tmp_path / "picture")
    assert screen.categories == KNOWN
    assert screen.thresholds["gestures"]["review_at"] is not None
    assert "never" in (tmp_path / "picture" / "card.md").read_text(encoding="utf-8")
    figures = corpus_figures(screen, tiny, 200)
    assert set(figures) == {"held_out_concepts", "held_out_styles", "held_out_scenes"}
    assert table(figures).startswith("| category | held_out_concepts |")
    held_out = tiny.rows(held_out_concepts=True, held_out_sources=False)
    judged = judge_mixed(screen, plain(tiny, held_out), [tiny.concepts[row] for row in held_out])
    assert set(figures_of(judged, screen)) <= set(KNOWN)
    blank = np.full((9, 9, 3), 255, np.uint8)
    own, _ = net_figures(screen, [blank, blank, blank], ["a pistol", "a cat", "a skull"])
    assert own["neutral"]["num"] == 1
    assert own["weapons"]["num"] == 2  # that a skull is asked for says nothing of weapons


def test_platt_finds_the_curve_that_made_the_labels() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=20000) * 3.0
    is_positive = random.random(20000) < 1.0 / (1.0 + np.exp(-(0.7 * logits - 1.0)))
    calibration = fit_platt(logits, is_positive)
    for logit in (-3.0, 0.0, 3.0):
        assert float(calibration(logit)) == pytest.approx(1.0 / (1.0 + np.exp(-(0.7 * logit - 1.0))), abs=0.02)


def test_platt_of_parted_and_of_inverted_classes_stays_sound() -> None:
    parted = fit_platt(np.array([-2.0, -1.0, 1.0, 2.0]), np.array([False, False, True, True]))
    inverted = fit_platt(np.array([-2.0, -1.0, 1.0, 2.0]), np.array([True, True, False, False]))
    assert 0.0 < float(parted(-2.0)) < 0.5 < float(parted(2.0)) < 1.0
    assert float(inverted(-9.0)) == float(inverted(9.0))


def test_another_prior_moves_the_odds_and_keeps_the_order() -> None:
    calibration = fit_isotonic(np.arange(100.0), np.arange(100) >= 50)
    rare = with_prior(calibration, 0.5, 0.05)
    for logit in (20.0, 50.0, 80.0):
        before, after = float(calibration(logit)), float(rare(logit))
        assert after <= before
    halves = with_prior(fit_platt(np.zeros(10), np.arange(10) < 5), 0.5, 0.05)
    assert float(halves(0.0)) == pytest.approx(0.05, abs=1e-3)


def test_average_precision_of_known_orders() -> None:
    is_positive = np.array([True, False, True, False])
    assert average_precision(np.array([4.0, 3.0, 2.0, 1.0]), is_positive) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(np.array([4.0, 1.0, 3.0, 2.0]), is_positive) == 1.0
    assert average_precision(np.zeros(4), is_positive) == 0.5  # a tie is one step, in whatever order the rows stand
    with pytest.raises(ValueError, match="at least one True"):
        average_precision(np.zeros(2), np.array([False, False]))


def test_resampling_groups_is_wider_than_resampling_rows_that_repeat_each_other() -> None:
    values = np.repeat([0.0, 1.0] * 5, 20)
    by_row = bootstrapped_mean(values)
    by_group = bootstrapped(lambda rows: float(values[rows].mean()), [str(row // 20) for row in range(200)])
    assert by_row.value == by_group.value == 0.5
    assert by_row.low <= 0.5 <= by_row.high
    assert by_group.high - by_group.low > 2 * (by_row.high - by_row.low)
