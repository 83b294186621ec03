"""Measures of a text net, against counts made by hand."""

import math

import pytest
import torch

from genworkers.evaluation.text import Document, distinct_frac, longest_copied_spans, measure_fit, write
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
