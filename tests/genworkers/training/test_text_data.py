"""Story data: what is taken, how it is asked for, what is held out and how it is batched."""

import json
import lzma
import random
from pathlib import Path

import pytest

from genworkers.training.text_batches import FIRST_USE_WEIGHT, PADDING, Corpus, pack, padding_frac, to_batch
from genworkers.training.text_data import (
    MIN_STORY_CHARS,
    Story,
    clean_text,
    is_held_out,
    rare_word_frac,
    read_stories,
    storybook_credits,
)
from genworkers.training.text_prompts import asked_words, story_prompts, subjects_of, word_prompt_in
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
        {"category": "scenes", "prompt": "script", "response": TALE + "\n\nTom: Ahoy!\n\nBo: Ahoy!"},
        {"category": "scenes", "prompt": "Write a scene called `Bo`.", "response": "CHAPTER 1: BO\n\n" + TALE},
        {"category": "paraphrase", "prompt": f"Rephrase this story:\n{TALE}", "response": "A boat sailed."},
        {"category": "summaries", "prompt": f"Describe this story:\n{TALE}", "response": "Bo sails."},
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
    assert [(story.source, story.key) for story in stories if story.source != "descriptions"] == [
        ("bedtime", "easy"),
        ("child", "Tell the child-appropriate tale called `Bo`."),
        ("paraphrase", f"Rephrase this story:\n{TALE}"),
        ("scenes", "Write a scene called `Bo`."),
        ("storybooks", "7"),
        ("summaries", f"Describe this story:\n{TALE}"),
    ]
    assert all(len(story.text) >= MIN_STORY_CHARS for story in stories if story.source in ("bedtime", "child"))
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
        assert all(len(row) == 1 for row in batch)
        longest = max(len(ids) for [(ids, _)] in batch)
        assert longest <= 25
        assert len(batch) * longest <= 100 or len(batch) == 1
    assert list(corpus.epoch(3, 100)) == batches
    assert list(corpus.epoch(4, 100)) != batches


def test_a_scene_is_asked_for_as_a_scene_and_has_no_chapter_line(folder: Path) -> None:
    scene = next(story for story in read_stories(folder) if story.source == "scenes")
    assert scene.text.startswith("Once upon a time")
    assert not any("story" in prompt for prompt in scene.prompts)


def test_a_passage_comes_with_the_prompts_of_its_task(folder: Path) -> None:
    tasks = {story.source: story for story in read_stories(folder)}
    assert f"Rephrase:\n{TALE.strip()}" in tasks["paraphrase"].prompts
    assert f"Summarize:\n{TALE.strip()}" in tasks["summaries"].prompts
    assert f"Describe this story:\n{TALE.strip()}" in tasks["summaries"].prompts


def test_words_that_are_asked_for_stand_in_the_text() -> None:
    text = "The curious fox crossed a frozen river and found a lantern under the willow. The fox kept the lantern."
    for seed in range(20):
        words = asked_words(text, {"found"}, random.Random(seed))
        assert 2 <= len(words) <= 4
        assert all(word in text and word != "found" for word in words)
    assert asked_words("The fox ran.", set(), random.Random(0)) == []
    prompts = story_prompts("Tell it.", "child", text, set())
    assert " the words " in word_prompt_in(prompts)
    assert word_prompt_in(prompts[:1]) == ""


def test_packing_loses_nothing_and_marks_where_documents_end() -> None:
    examples = [([5] * length, 1) for length in (9, 4, 7, 3, 2)]
    rows = pack(examples, row_tokens=8)
    assert sorted(len(ids) for row in rows for ids, _ in row) == [2, 3, 4, 7, 9]
    assert [[len(ids) - 1 for ids, _ in row] for row in rows] == [[8], [3, 1], [6, 2]]
    batch = to_batch(rows, pad_id=0, row_tokens=8)
    assert batch.documents is not None
    assert batch.positions is not None
    assert batch.documents[1].tolist() == [0, 0, 0, 1, *[PADDING] * 4]
    assert batch.positions[2].tolist() == [0, 1, 2, 3, 4, 5, 0, 1]
    assert padding_frac([rows], row_tokens=8) == pytest.approx(4 / 24)


def test_a_passage_that_does_not_fit_is_left_out() -> None:
    stories = [Story("a", "summaries", ("Summarise:\n" + "boat " * 90,), "A boat."), Story("b", "child", ("x",), "y")]
    assert [story.key for story in Corpus.build(tiny_codec(), stories, 48).stories] == ["b"]


def test_the_opening_of_a_story_is_asked_for_as_a_description(folder: Path) -> None:
    descriptions = [story for story in read_stories(folder) if story.source == "descriptions"]
    assert descriptions
    for story in descriptions:
        assert TALE.startswith(story.text)
        assert all(" boat" in prompt or " island" in prompt or "Bo" in prompt for prompt in story.prompts[:-2])


def test_a_packed_row_of_one_document_is_still_packed() -> None:
    batch = to_batch([[([1, 5, 6, 2], 2)]], pad_id=0, row_tokens=8)
    assert batch.documents is not None
    assert batch.documents.tolist() == [[0, 0, 0, *[PADDING] * 5]]


def test_the_first_use_of_what_the_prompt_names_counts_more() -> None:
    batch = to_batch([[([1, 7, 8, 2, 7, 9, 8, 7, 3], 4)]], pad_id=0, common_ids={8})
    assert batch.weights[0].tolist() == [1, 1, 1, FIRST_USE_WEIGHT, 1, 1, 1, 1]
    assert batch.targets[0, 3] == 7
    plain = to_batch([[([1, 7, 8, 2, 7, 9, 8, 7, 3], 4)]], pad_id=0)
    assert plain.weights.sum() == 8


def test_words_of_every_prompt_are_common() -> None:
    codec = tiny_codec()
    stories = [Story(str(n), "child", ("ask",), "boat" if n else "boat Q") for n in range(40)]
    common_ids = Corpus.build(codec, stories, 48).common_ids
    assert set(codec.encode("Summarise:")) <= common_ids
    assert not set(codec.encode("Q")) & common_ids
