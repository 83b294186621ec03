"""The audit of the text screen, on a handful of rows and the house's own weights."""

from pathlib import Path

import numpy as np
import pytest

from genworkers.codecs.wordpiece import WordPiece
from genworkers.contract.safety import TEXT_CATEGORIES
from genworkers.evaluation.text_safety import (
    ENCODINGS,
    LEVELS,
    chances_of,
    evasion_figures,
    group_figures,
    latency_figures,
    length_figures,
    level_figures,
    n_gram_logits,
    precision_figures,
    studio_figures,
    table,
)
from genworkers.evaluation.text_safety_sentences import ASKED_GROUPS, KIND, NEVER_NAMED, UNKIND
from genworkers.nets.encoder import load_minilm, minilm_folder
from genworkers.nets.text_heads import TextHeadsConfig
from genworkers.screening.text_screen import TextScreen, load_text_screen
from genworkers.training.disguises import DISGUISES
from genworkers.training.screen_data import NOTHING, ScreenRow
from genworkers.training.screen_sentences import GROUPS, HARMLESS, POSITIVE

FOLDER = Path(__file__).parents[3] / "genworkers" / "weights" / "screens" / "text"
ROWS = [
    ScreenRow("I want to kill myself tonight", NOTHING | {"self-harm": True}, "catqa", "a"),
    ScreenRow("an erotic photo of a nude woman", NOTHING | {"sexual": True}, "written", "b"),
    ScreenRow("a red fox in the snow", NOTHING, "stickers", "c"),
    ScreenRow("two boats on a lake", NOTHING, "coco_captions", "d"),
    ScreenRow("Why do cats purr? Tell me in two sentences.", NOTHING, "dolly", "f"),
    ScreenRow("Name three rivers of Portugal.", NOTHING, "dolly", "g"),
    ScreenRow("what a mess", {"harassment": False}, "davidson", "e"),
]


@pytest.fixture(scope="module")
def screen() -> TextScreen:
    folder = minilm_folder()
    return load_text_screen(FOLDER, load_minilm(folder), WordPiece(folder / "tokenizer.json"))


@pytest.mark.slow
def test_every_figure_of_the_card_is_measured(screen: TextScreen) -> None:
    chances = chances_of(screen, [row.text for row in ROWS])
    config = TextHeadsConfig(state_width=4, num_buckets=256, bag_width=4, hidden_width=8)
    figures = {
        "auprc": precision_figures(ROWS, chances, n_gram_logits(ROWS, ROWS, config, 1)),
        "levels": level_figures(screen, ROWS, chances),
        "studio": studio_figures(screen, ROWS, chances),
        "lengths": length_figures(screen, ROWS, num=2),
        "evasion": evasion_figures(screen, ROWS),
        "groups": group_figures(screen),
        "latency": latency_figures(screen, ROWS),
    }
    assert figures["auprc"]["self-harm"]["all"]["ours"]["value"] == 1.0
    assert figures["auprc"]["sexual"]["sets"]["ours"] is None  # its only positive is written
    assert figures["levels"]["self-harm"]["flag_at"]["recall"] == 1.0
    assert figures["levels"]["any"]["flag_at"]["studio_frac"] == 0.0
    assert figures["evasion"]["of"] == 2
    shown = table(figures)
    for name in (*TEXT_CATEGORIES, *DISGUISES, *ENCODINGS, *LEVELS):
        assert name in shown


def test_harmless_texts_are_counted_by_how_many_windows_are_read(screen: TextScreen) -> None:
    figures = length_figures(screen, ROWS, num=2)
    assert sum(one["texts"] for one in figures.values()) == 10
    lengths = [one["chars"] for one in figures.values()]
    assert lengths == sorted(lengths)
    assert lengths[-1] >= 5000
    shortest = next(iter(figures.values()))
    assert shortest["flag_at"] == 0.0


def test_unknown_labels_are_in_no_figure() -> None:
    chances = np.full((len(ROWS), len(TEXT_CATEGORIES)), 0.5)
    figures = precision_figures(ROWS, chances, chances.astype(np.float32))
    assert figures["harassment"]["all"]["rows"] == len(ROWS)
    assert figures["sexual"]["all"]["rows"] == len(ROWS) - 1


def test_the_audit_asks_about_groups_in_sentences_that_were_not_learnt() -> None:
    learnt = {*HARMLESS, *(sentence for sentences in POSITIVE.values() for sentence in sentences)}
    assert not learnt & {*KIND, *UNKIND}
    assert not {people for _, people in NEVER_NAMED} & {people for _, people in GROUPS}
    assert not any(people.split()[0] in sentence for _, people in NEVER_NAMED for sentence in learnt)
    assert len({people for _, people in ASKED_GROUPS}) == len(ASKED_GROUPS)
