"""Measures of a text net, against counts made by hand."""

import json
import math
from pathlib import Path

import pytest
import torch

from genworkers.evaluation.text_fit import Document, fit_by_source, measure_fit, read_documents
from genworkers.evaluation.text_measures import (
    copied_frac,
    distinct_frac,
    length_ratio,
    longest_copied_spans,
    repeated_frac,
    supported_frac,
    used_frac,
    words_asked_for,
)
from genworkers.evaluation.text_samples import write, write_many
from genworkers.nets.decoder import Decoder
from genworkers.sampling.logits import Sampling
from tests.genworkers.tiny_decoder import tiny_codec, tiny_decoder

CODEC = tiny_codec()


def test_a_net_that_knows_nothing_needs_the_log_of_its_vocabulary() -> None:
    net = Decoder(tiny_decoder(CODEC.vocab_size).config)
    for parameter in net.parameters():
        torch.nn.init.zeros_(parameter)
    documents = [Document("a", "the boat sailed home"), Document("b", "🚀 x")]
    num_tokens = sum(len(CODEC.encode(document.text)) for document in documents)
    num_bytes = sum(len(document.text.encode()) for document in documents)
    fit = measure_fit(net, CODEC, documents)
    assert fit.num_bytes == num_bytes
    assert fit.nats_per_token == pytest.approx(math.log(CODEC.vocab_size), rel=1e-4)
    assert fit.bits_per_byte == pytest.approx(math.log2(CODEC.vocab_size) * num_tokens / num_bytes, rel=1e-4)


def test_documents_are_cut_where_the_context_ends() -> None:
    net = tiny_decoder(CODEC.vocab_size, context_tokens=16)
    fit = measure_fit(net, CODEC, [Document("a", "x" * 100)])
    assert fit.num_bytes == 17 - len(CODEC.encode_prompt("a"))


def test_distinct_counts_word_runs() -> None:
    assert distinct_frac(["The boat, the boat"], 1) == 0.5
    assert distinct_frac(["the boat the boat"], 2) == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="3 words in a row"):
        distinct_frac(["two words"], 3)


def test_longest_copied_span_is_found_word_for_word() -> None:
    sources = ["He said: the old boat sailed home at night.", "the old boat sailed away"]
    texts = ["One day THE OLD boat sailed home at noon.", "nothing of the kind here"]
    assert longest_copied_spans(texts, sources) == ["the old boat sailed home at", ""]


def test_writing_is_repeatable_and_bounded() -> None:
    net = tiny_decoder(CODEC.vocab_size)
    texts = {write(net, CODEC, "a boat", seed=3, max_tokens=1000, sampling=Sampling()) for _ in range(2)}
    assert len(texts) == 1
    assert write(net, CODEC, "a boat", seed=3, max_tokens=0, sampling=Sampling()) == ""


def test_writing_together_is_writing_alone() -> None:
    net = tiny_decoder(CODEC.vocab_size)
    prompts = [f"a boat {'and ' * (index % 3)}{index}" for index in range(30)]
    together = write_many(net, CODEC, prompts, seed=3, max_tokens=12, sampling=Sampling())
    alone = [write(net, CODEC, prompt, seed=3, max_tokens=12, sampling=Sampling()) for prompt in prompts[::9]]
    assert together[::9] == alone


def test_fit_by_source_adds_up_to_all() -> None:
    net = tiny_decoder(CODEC.vocab_size)
    documents = [Document("a", "the boat sailed", "child"), Document("b", "home at night", "scenes")]
    fits = fit_by_source(net, CODEC, documents)
    assert set(fits) == {"", "child", "scenes"}
    assert fits[""].num_bytes == fits["child"].num_bytes + fits["scenes"].num_bytes
    bits = sum(fits[name].bits_per_byte * fits[name].num_bytes for name in ("child", "scenes"))
    assert bits == pytest.approx(fits[""].bits_per_byte * fits[""].num_bytes)
    assert fits["child"] == measure_fit(net, CODEC, documents[:1])


def test_documents_are_read_by_split_and_a_wrong_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "documents.jsonl"
    row = {"split": "held_out", "prompt": "p", "text": "t", "source": "child", "word_prompt": ""}
    path.write_text(json.dumps(row) + "\n" + json.dumps(row | {"split": "learnt"}) + "\n")
    assert read_documents(path) == ([Document("p", "t", "child")], [Document("p", "t", "child")])
    path.write_text(json.dumps(row) + '\n{"split": "other"}\n')
    with pytest.raises(ValueError, match="line 2"):
        read_documents(path)


def test_repetition_is_counted_within_a_text_alone() -> None:
    assert repeated_frac(["the boat the boat"], 1) == 0.5
    assert repeated_frac(["the boat", "the boat"], 1) == 0
    assert repeated_frac(["boat"], 4) == 0


def test_words_of_a_prompt_are_looked_for_in_the_text() -> None:
    assert words_asked_for("Use the words fox, lake and snow in a story.") == ["fox", "lake", "snow"]
    assert words_asked_for("Write a short scene with the words fox and lake.") == ["fox", "lake"]
    assert words_asked_for("Write a story about the moon") == []
    assert used_frac(["fox", "lake", "snow"], "Two foxes crossed the LAKE.") == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="no words"):
        used_frac([], "text")


def test_a_summary_is_compared_with_its_passage() -> None:
    passage = "The old boat sailed home through the storm and the sailors cheered."
    assert supported_frac("Sailors sail a boat.", passage) == 1
    assert supported_frac("A dragon burned the boat.", passage) == pytest.approx(1 / 3)
    assert length_ratio("The boat came home.", passage) == pytest.approx(4 / 12)
    assert copied_frac("Then the old boat sailed home.", passage) == pytest.approx(5 / 6)
    assert copied_frac("", passage) == supported_frac("", passage) == 0
