"""Measures of a text net: bits per byte, variety, copied spans. Every number on its card comes from here."""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from genworkers.codecs.text_bpe import TextCodec
from genworkers.nets.decoder import Decoder, KeyValueCache
from genworkers.sampling.logits import Sampling, choose_token, uniform_at

SPAN_SEED_WORDS = 4
_WORD = re.compile(r"[A-Za-z']+")


@dataclass(frozen=True, slots=True)
class Document:
    """A story and the prompt that asks for it."""

    prompt: str
    text: str


@dataclass(frozen=True, slots=True)
class Fit:
    """How well a net predicts documents.

    Args:
        bits_per_byte: bits of the text's tokens over bytes of the same text, without prompts and special tokens.
        nats_per_token: the same losses over tokens.
        num_bytes: of text that was scored.
    """

    bits_per_byte: float
    nats_per_token: float
    num_bytes: int


@torch.inference_mode()
def measure_fit(net: Decoder, codec: TextCodec, documents: Iterable[Document]) -> Fit:
    """Score each document on its own, from its beginning, cut where the context ends."""
    nats, num_bytes, num_tokens = 0.0, 0, 0
    for document in documents:
        head = codec.encode_prompt(document.prompt)
        ids = [*head, *codec.encode(document.text)][: net.config.context_tokens + 1]
        scored = ids[len(head) :]
        if not scored:
            continue
        logits = net(torch.tensor([ids[:-1]]))[0, len(head) - 1 :]  # (T, V)
        nats += F.cross_entropy(logits.float(), torch.tensor(scored), reduction="sum").item()
        num_bytes += sum(len(codec.bytes_of(token_id)) for token_id in scored)
        num_tokens += len(scored)
    return Fit(nats / math.log(2) / num_bytes, nats / num_tokens, num_bytes)


@torch.inference_mode()
def write(net: Decoder, codec: TextCodec, prompt: str, *, seed: int, max_tokens: int, sampling: Sampling) -> str:
    """One answer, by a plain loop over one sequence."""
    ids = codec.encode_prompt(prompt)
    cache = KeyValueCache.empty(net.config, 1, net.dtype)
    logits = net.extend(torch.tensor(ids), cache, 0, 0)
    written: list[int] = []
    while len(written) < max_tokens and len(ids) + len(written) < net.config.context_tokens:
        token = choose_token(logits, sampling, uniform_at(seed, len(written)))
        if token == codec.end_id:
            break
        written.append(token)
        logits = net.step(torch.tensor([token]), cache, [0], [len(ids) + len(written) - 1])[0]
    return codec.decode(written)


def distinct_frac(texts: Iterable[str], n: int) -> float:
    """Distinct word n-grams over all word n-grams: 1 never repeats itself.

    Li et al. 2016, "A Diversity-Promoting Objective Function for Neural Conversation Models"
    (arXiv:1510.03055), section 5.

    Raises:
        ValueError: the texts hold no n-gram.
    """
    grams = [tuple(words[i : i + n]) for words in map(_words, texts) for i in range(len(words) - n + 1)]
    if not grams:
        raise ValueError(f"the texts hold no {n} words in a row")
    return len(set(grams)) / len(grams)


def longest_copied_spans(texts: Sequence[str], sources: Iterable[str]) -> list[str]:
    """For each text its longest run of words that stands in one of the sources.

    Runs shorter than four words count as none.
    """
    words_of = [_words(text) for text in texts]
    places: dict[tuple[str, ...], list[tuple[int, int]]] = defaultdict(list)
    for index, words in enumerate(words_of):
        for start in range(len(words) - SPAN_SEED_WORDS + 1):
            places[tuple(words[start : start + SPAN_SEED_WORDS])].append((index, start))
    longest: list[list[str]] = [[] for _ in texts]
    for source in sources:
        read = _words(source)
        for at in range(len(read) - SPAN_SEED_WORDS + 1):
            for index, start in places.get(tuple(read[at : at + SPAN_SEED_WORDS]), ()):
                own = words_of[index]
                length = SPAN_SEED_WORDS
                while (
                    start + length < len(own) and at + length < len(read) and own[start + length] == read[at + length]
                ):
                    length += 1
                if length > len(longest[index]):
                    longest[index] = own[start : start + length]
    return [" ".join(span) for span in longest]


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
