"""Measure text nets: `python -m genworkers.evaluation.text --net FOLDER --documents FILE`.

The file is what `genworkers.training.text_data` writes. Every number on a text net's card comes from here: how well
it predicts held-out documents (`text_fit.py`) against an n-gram model (`kneser_ney.py`), and what it writes
(`text_samples.py`) by the counts of `text_measures.py`.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
import torch

from genworkers.codecs.text_bpe import TextCodec
from genworkers.evaluation.kneser_ney import KneserNey
from genworkers.evaluation.text_fit import Document, Fit, fit_by_source, read_documents, scored_ids
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
from genworkers.evaluation.text_samples import SAMPLE_PROMPTS, SUBJECTS, write_many
from genworkers.nets.decoder import Decoder
from genworkers.sampling.logits import Sampling
from genworkers.text_checkpoints import load_decoder, open_text_checkpoint

SEED = 0
SAMPLING = Sampling(temperature=0.8, top_k=50, top_p=0.95)
STORY_TOKENS = 250
SAMPLE_TOKENS = 300
PASSAGE_TOKENS = 120
NUM_WORD_PROMPTS = 48
NUM_PASSAGES = 24
NGRAM_ORDER = 5
Figures = dict[str, Any]


def evaluate(net: Decoder, codec: TextCodec, learnt: Sequence[Document], held_out: Sequence[Document]) -> Figures:
    """Everything that is measured of one net.

    Args:
        learnt: what it was trained on; copies are looked for in there.
        held_out: what it never saw.

    Returns:
        bits_per_byte by source ("" for all), num_bytes, words_used_frac, subject_used_frac, distinct_1, 2 and 4,
        repeated_4, longest_copied_words (the longest) and median_copied_words, longest_copied_span, summaries and
        rephrasings (supported_frac, length_ratio, copied_frac: means over held-out passages), samples.
    """
    fits = fit_by_source(net, codec, held_out, is_bf16=True)
    asked = _spread([document for document in held_out if document.word_prompt], NUM_WORD_PROMPTS)
    story_prompts = [one.word_prompt for one in asked] + [f"Write a story about {one}." for one in SUBJECTS]
    stories = write_many(net, codec, story_prompts, seed=SEED, max_tokens=STORY_TOKENS, sampling=SAMPLING)
    spans = longest_copied_spans(stories, (document.text for document in learnt))
    samples = write_many(net, codec, SAMPLE_PROMPTS, seed=SEED, max_tokens=SAMPLE_TOKENS, sampling=SAMPLING)
    return {
        "bits_per_byte": {source: round(fit.bits_per_byte, 4) for source, fit in fits.items()},
        "num_bytes": {source: fit.num_bytes for source, fit in fits.items()},
        "words_used_frac": mean(
            used_frac(words_asked_for(document.word_prompt), text)
            for document, text in zip(asked, stories[: len(asked)], strict=True)
        ),
        "subject_used_frac": mean(
            used_frac([_head_noun(subject)], text)
            for subject, text in zip(SUBJECTS, stories[len(asked) :], strict=True)
        ),
        **{f"distinct_{n}": distinct_frac(stories, n) for n in (1, 2, 4)},
        "repeated_4": repeated_frac(stories, 4),
        "longest_copied_words": max(len(span.split()) for span in spans),
        "median_copied_words": median(len(span.split()) for span in spans),
        "longest_copied_span": max(spans, key=lambda span: len(span.split())),
        "summaries": _passage_figures(net, codec, held_out, "summaries"),
        "rephrasings": _passage_figures(net, codec, held_out, "paraphrase"),
        "samples": dict(zip(SAMPLE_PROMPTS, samples, strict=True)),
    }


def human_figures(held_out: Sequence[Document]) -> Figures:
    """The same measures of the held-out texts themselves, where they make sense."""
    stories = [one.text[:1000] for one in _spread([one for one in held_out if one.word_prompt], NUM_WORD_PROMPTS)]
    passages = {
        name: _compared([one.text for one in chosen], [_passage_of(one) for one in chosen])
        for name, source in (("summaries", "summaries"), ("rephrasings", "paraphrase"))
        if (chosen := [one for one in held_out if one.source == source])
    }
    return {
        **{f"distinct_{n}": distinct_frac(stories, n) for n in (1, 2, 4)},
        "repeated_4": repeated_frac(stories, 4),
        **passages,
    }


def ngram_figures(
    codec: TextCodec, learnt: Sequence[Document], held_out: Sequence[Document], context_tokens: int
) -> Figures:
    """bits_per_byte by source of an n-gram model of the learnt documents, over the same tokens as `evaluate`."""
    documents = ([*scored_ids(codec, one, context_tokens)[0], codec.end_id] for one in learnt)
    model = KneserNey(documents, codec.vocab_size, NGRAM_ORDER, codec.end_id)
    sums: dict[str, list[float]] = {}
    for document in held_out:
        ids, num_prompt = scored_ids(codec, document, context_tokens)
        if len(ids) > num_prompt:
            nats = -float(np.log(model.probabilities(ids, num_prompt)).sum())
            num_bytes = sum(len(codec.bytes_of(token_id)) for token_id in ids[num_prompt:])
            for name in {document.source, ""}:
                old = sums.get(name, [0, 0, 0])
                sums[name] = [old[0] + nats, old[1] + len(ids) - num_prompt, old[2] + num_bytes]
    return {
        "bits_per_byte": {
            name: round(Fit.of(nats, int(count), int(size)).bits_per_byte, 4)
            for name, (nats, count, size) in sorted(sums.items())
        }
    }


def table(columns: Mapping[str, Figures]) -> str:
    """Markdown: one row a measure, one column a net; a dash where a column has no such figure."""
    sources = [source for source in next(iter(columns.values()))["bits_per_byte"] if source]
    rows: list[tuple[str, list[str], str]] = [
        ("bits per byte, all held-out documents", ["bits_per_byte", ""], ".4f"),
        *((f"bits per byte, {source}", ["bits_per_byte", source], ".3f") for source in sources),
        (f"share of requested words used, {NUM_WORD_PROMPTS} prompts", ["words_used_frac"], ".2f"),
        (f"share of {len(SUBJECTS)} subjects that occur in their story", ["subject_used_frac"], ".2f"),
        *((f"distinct {n}-grams", [f"distinct_{n}"], ".3f") for n in (1, 2, 4)),
        ("4-grams repeated within a text", ["repeated_4"], ".3f"),
        ("longest span copied from a learnt text, words", ["longest_copied_words"], ".0f"),
        ("the same, median over texts", ["median_copied_words"], ".0f"),
    ]
    for task in ("summaries", "rephrasings"):
        rows += [
            (f"{task}: content words that stand in the passage", [task, "supported_frac"], ".2f"),
            (f"{task}: length against the passage", [task, "length_ratio"], ".2f"),
            (f"{task}: words copied in runs of four or more", [task, "copied_frac"], ".2f"),
        ]
    lines = [f"| measure | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for title, path, form in rows:
        cells = [_cell(figures, path, form) for figures in columns.values()]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(figures: Any, path: Sequence[str], form: str) -> str:
    for name in path:
        figures = figures.get(name) if isinstance(figures, dict) else None
    return "-" if figures is None else format(figures, form)


def _passage_figures(net: Decoder, codec: TextCodec, held_out: Sequence[Document], source: str) -> Figures:
    room = net.config.context_tokens - PASSAGE_TOKENS
    fitting = [one for one in held_out if one.source == source and len(codec.encode_prompt(one.prompt)) <= room]
    chosen = _spread(fitting, NUM_PASSAGES)
    prompts = [document.prompt for document in chosen]
    texts = write_many(net, codec, prompts, seed=SEED, max_tokens=PASSAGE_TOKENS, sampling=SAMPLING)
    return _compared(texts, [_passage_of(document) for document in chosen])


def _compared(texts: Sequence[str], passages: Sequence[str]) -> Figures:
    pairs = list(zip(texts, passages, strict=True))
    measures = {"supported_frac": supported_frac, "length_ratio": length_ratio, "copied_frac": copied_frac}
    return {name: mean(measure(*pair) for pair in pairs) for name, measure in measures.items()} if pairs else {}


def _passage_of(document: Document) -> str:
    return document.prompt.partition("\n")[2]


def _head_noun(subject: str) -> str:
    """The noun of "a red balloon", "a cat who cannot sleep", "a baker and her bread"."""
    return subject.split(" who ")[0].split(" and ")[0].split()[-1]


def _spread(documents: Sequence[Document], count: int) -> Sequence[Document]:
    """So many documents at even distances."""
    return documents[:: max(1, len(documents) // count)][:count]


def main() -> None:
    """Print the table of the nets, beside the n-gram model and the held-out texts, and keep all figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", type=Path, action="append", required=True, help="folder; may be given several times")
    parser.add_argument("--documents", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="where to keep the figures and samples as JSON")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    learnt, held_out = read_documents(arguments.documents)
    columns: dict[str, Figures] = {}
    for folder in arguments.net:
        checkpoint = open_text_checkpoint(folder)
        net = load_decoder(checkpoint)
        columns[str(folder)] = evaluate(net, checkpoint.codec, learnt, held_out)
    columns[f"{NGRAM_ORDER}-gram"] = ngram_figures(checkpoint.codec, learnt, held_out, net.config.context_tokens)
    columns["held-out texts"] = human_figures(held_out)
    print(table(columns))
    if arguments.out:
        arguments.out.write_text(json.dumps(columns, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
