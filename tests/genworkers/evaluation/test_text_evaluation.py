"""The whole evaluation of a tiny net, and its table."""

import pytest

from genworkers.evaluation.text import evaluate, human_figures, ngram_figures, table
from genworkers.evaluation.text_fit import Document
from genworkers.evaluation.text_samples import SAMPLE_PROMPTS
from tests.genworkers.tiny_decoder import SENTENCES, tiny_codec, tiny_decoder

STORIES = [
    Document(f"tell {number}", sentence * 2, "child", "Write a story with the words boat and home.")
    for number, sentence in enumerate(SENTENCES * 3)
]
PASSAGES = [
    Document(f"Summarise:\n{SENTENCES[0]}", "A brave boat.", "summaries"),
    Document(f"Rephrase:\n{SENTENCES[1]}", "The boat sailed home.", "paraphrase"),
]


@pytest.mark.slow
def test_a_net_an_ngram_model_and_people_stand_in_one_table() -> None:
    codec = tiny_codec()
    net = tiny_decoder(codec.vocab_size, context_tokens=512)
    figures = evaluate(net, codec, STORIES[:3], STORIES[3:] + PASSAGES)
    assert set(figures["bits_per_byte"]) == {"", "child", "paraphrase", "summaries"}
    assert list(figures["samples"]) == list(SAMPLE_PROMPTS)
    assert len(SAMPLE_PROMPTS) == 20
    ngram = ngram_figures(codec, STORIES[:3], STORIES[3:] + PASSAGES, 512)
    assert 0 < ngram["bits_per_byte"]["child"] < figures["bits_per_byte"]["child"]
    people = human_figures(STORIES[3:] + PASSAGES)
    assert people["summaries"]["supported_frac"] == 1
    lines = table({"ours": figures, "5-gram": ngram, "people": people}).splitlines()
    assert lines[0] == "| measure | ours | 5-gram | people |"
    assert all(line.count("|") == 5 for line in lines)
    assert lines[2].endswith("| - |")
