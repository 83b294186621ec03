"""Story data: what is taken, how it is asked for, what is held out and how it is batched."""

import json
import lzma
from pathlib import Path

import pytest

from genworkers.training.text_data import (
    MIN_STORY_CHARS,
    Corpus,
    Story,
    clean_text,
    is_held_out,
    rare_word_frac,
    read_stories,
    storybook_credits,
    subjects_of,
)
from tests.genworkers.tiny_decoder import tiny_codec

TALE = "Once upon a time, there was a brave little boat named Bo. " + "The boat sailed to a small island. " * 6


def write_lines(path: Path, rows: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with lzma.open(path, "wt", encoding="utf-8") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pairs = [
        {"category": "child", "prompt": "Tell the child-appropriate tale called `Bo`.", "response": TALE},
        {"category": "child", "prompt": "too short", "response": "No."},
        {"category": "bedtime", "prompt": "hard", "response": "Perspicacious obfuscation ululates hereby. " * 9},
        {"category": "bedtime", "prompt": "easy", "response": TALE},
        {"category": "sql", "prompt": "select", "response": TALE},
    ]
    book: dict[str, object] = {
        "lang": "en",
        "id": "7",
        "src": "asp",
        "title": "Too  tall ",
        "author": "A. Writer",
        "pages": [TALE, "End."],
    }
    write_lines(tmp_path / "text" / "instruct-stories.jsonl.xz", [dict(pair) for pair in pairs])
    write_lines(tmp_path / "text" / "storybooks.jsonl.xz", [book, book | {"lang": "sw", "id": "8"}])
    return tmp_path


def test_simple_stories_are_taken_and_others_left(folder: Path) -> None:
    stories = read_stories(folder)
    assert [(story.source, story.key) for story in stories] == [
        ("bedtime", "easy"),
        ("child", "Tell the child-appropriate tale called `Bo`."),
        ("storybooks", "7"),
    ]
    assert all(len(story.text) >= MIN_STORY_CHARS for story in stories)
    assert storybook_credits(folder) == ["Too  tall, by A. Writer (African Storybook)"]


def test_a_story_can_be_asked_for_by_its_hero(folder: Path) -> None:
    prompts = read_stories(folder)[1].prompts
    assert prompts[:2] == ("Tell the child-appropriate tale called `Bo`.", "Write a story about Bo.")
    assert any("a brave little boat" in prompt for prompt in prompts[2:])


def test_subjects_are_the_hero_and_what_comes_back_often() -> None:
    assert subjects_of(TALE, set()) == ["a brave little boat named Bo", "a brave little boat", "a small island"]
    assert subjects_of(TALE, {"boat"})[1:] == ["a small island"]


def test_headings_and_curly_quotes_are_cleaned() -> None:
    assert clean_text("**The Boat**\n\n\u201cAhoy,\u201d said Bo.\u00a0 ") == '"Ahoy," said Bo.'
    assert clean_text("The boat sailed.\n\nIt came home.") == "The boat sailed.\n\nIt came home."


def test_names_are_no_rare_words() -> None:
    assert rare_word_frac("the boat met Zebulon", {"the", "boat", "met"}) == 0
    assert rare_word_frac("the boat met zebulon", {"the", "boat", "met"}) == 0.25


def test_one_key_in_ten_is_held_out_and_stays_so() -> None:
    held_out = [key for key in map(str, range(1000)) if is_held_out(key)]
    assert len(held_out) == 94
    assert held_out[:3] == ["18", "72", "74"]


def test_batches_hold_every_story_once_and_nothing_longer_than_the_context() -> None:
    codec = tiny_codec()
    stories = [Story(str(n), "child", ("ask", "tell"), "boat " * (n % 17 + 1)) for n in range(60)]
    corpus = Corpus.build(codec, stories, context_tokens=24)
    batches = list(corpus.epoch(seed=3, batch_tokens=100))
    assert sum(map(len, batches)) == 60
    for batch in batches:
        longest = max(len(ids) for ids, _ in batch)
        assert longest <= 25
        assert len(batch) * longest <= 100 or len(batch) == 1
    assert list(corpus.epoch(3, 100)) == batches
    assert list(corpus.epoch(4, 100)) != batches
