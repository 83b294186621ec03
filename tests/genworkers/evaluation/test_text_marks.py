"""The evaluation of the text mark on a tiny net, and its table."""

import json
import lzma
import random
from dataclasses import asdict
from pathlib import Path

import pytest

from genworkers.checkpoints import CheckpointFacts, save
from genworkers.evaluation import text_marks
from genworkers.evaluation.text_marks import (
    LENGTHS,
    NUM_WRONG_KEYS,
    PASSAGE_CHARS,
    Written,
    edited,
    evaluate,
    fit,
    passages_of,
    table,
)
from tests.genworkers.tiny_decoder import SENTENCES, tiny_codec, tiny_decoder

CODEC = tiny_codec()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    net = tiny_decoder(CODEC.vocab_size, context_tokens=512)
    fields = {"kind": "text", "family": "decoder", "title": "Tiny", "config": asdict(net.config)}
    save(
        tmp_path / "tiny",
        CheckpointFacts(name="tiny", **fields),  # type: ignore[arg-type]
        weights={"net": net.state_dict()},
        other_parts={"tokenizer": ("tokenizer.json", CODEC.to_json())},
        card="# Tiny\n",
    )
    return tmp_path / "tiny"


@pytest.mark.slow
def test_a_net_of_high_entropy_is_found_and_people_are_not(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_marks, "NUM_ALIKE", 3)
    human = [" ".join(SENTENCES) * 20]
    figures = evaluate(folder, human, num_marked=12, num_unmarked=6, num_threads=1)
    drawn = figures["tpr"]["as drawn"]
    assert drawn[50]["num"] >= drawn[200]["num"] > 0
    assert drawn[200]["0.0001"] == 1
    assert figures["fpr"]["human"][400]["num"] == NUM_WRONG_KEYS
    assert figures["fpr"]["unmarked"][50]["0.0001"] < 0.05
    assert figures["entropy_bits"]["mean"] > 1
    lines = table(figures).splitlines()
    assert lines[0] == "| tiny | 50 tokens | 100 tokens | 200 tokens | 400 tokens |"
    assert all(line.count("|") == len(LENGTHS) + 2 for line in lines[:12])
    json.dumps(figures)


def test_one_token_in_ten_is_edited() -> None:
    ids = CODEC.encode(" ".join(SENTENCES) * 40)
    letters = [CODEC.encode(letter)[0] for letter in "xyz"]
    changed = edited(CODEC, ids, letters, random.Random(0))
    assert changed != ids
    assert len(changed) == pytest.approx(len(ids), rel=0.1)
    put_in = sum(token_id in letters for token_id in changed)
    assert put_in == pytest.approx(len(ids) / 15, rel=0.4)


def test_perplexities_are_compared_pair_by_pair() -> None:
    plain = [Written([1, 2], [1.0, 3.0]), Written([1], [5.0]), Written([1], [1.0])]
    marked = [Written([1], [2.5]), Written([1], [5.5])]
    figures = fit(marked, plain)
    assert figures["num"] == 2
    assert figures["difference_nats"] == pytest.approx(0.5)
    assert figures["standard_error"] == pytest.approx(0)


def test_passages_come_from_whole_texts_and_from_sections(tmp_path: Path) -> None:
    rows = [{"text": "a" * (2 * PASSAGE_CHARS + 5)}, {"sections": ["b" * PASSAGE_CHARS, "c" * 10]}, {"text": "short"}]
    with lzma.open(tmp_path / "some.jsonl.xz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    passages = passages_of([tmp_path / "some.jsonl.xz"], 10)
    assert [passage[0] for passage in passages] == ["a", "a", "b"]
    assert {len(passage) for passage in passages} == {PASSAGE_CHARS}
    assert len(passages_of([tmp_path / "some.jsonl.xz"], 2)) == 2
