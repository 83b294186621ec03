"""Measures the text mark on a net: how often it is found, how often where there is none, and what it costs a text.

The net writes through the engine, as it is served. Texts are read again the way a verifier meets them: as text, cut
into tokens anew, whole or edited. Every count stands with its number of texts.
"""

import argparse
import hashlib
import json
import lzma
import math
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice, product
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import torch

from genworkers.codecs.text_bpe import TextCodec
from genworkers.contract.text import TextRequest, token_bytes
from genworkers.engine.config import EngineConfig
from genworkers.engine.loading import Checkpoints
from genworkers.engine.sequence import TextStep
from genworkers.engine.text_engine import TextEngine
from genworkers.evaluation.text_measures import distinct_frac
from genworkers.evaluation.text_samples import SUBJECTS
from genworkers.marks.keys import MarkKey
from genworkers.marks.text_mark import detect
from genworkers.sampling.draws import keep_top_p, largest, weigh
from genworkers.text_checkpoints import load_decoder, open_text_checkpoint

LENGTHS = (50, 100, 200, 400)
LEVELS = (1e-2, 1e-4)
EDITED_FRAC = 0.1
# What most of these nets can write about; each text has a seed of its own, so prompts may come again.
PROMPTS = (
    *(f"Write a story about {subject}." for subject in SUBJECTS),
    *(f"Write a story about {one} and {other}." for one, other in product(SUBJECTS, SUBJECTS) if one != other),
)
NUM_AT_ONCE = 64
NUM_ENTROPY_TEXTS = 12
NUM_ALIKE, NUM_ALIKE_PROMPTS, ALIKE_TOKENS = 16, 4, 100
NUM_WRONG_KEYS = 20
PASSAGE_CHARS = 3000
DEADLINE_S = 36_000.0
Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Written:
    """A text as the net drew it.

    Args:
        ids: its tokens.
        nats: what each costs under the net itself, before temperature and truncation.
    """

    ids: list[int]
    nats: list[float]


def key_number(number: int) -> MarkKey:
    """One of as many keys as are wanted."""
    return MarkKey(f"evaluation {number}", hashlib.sha256(f"evaluation {number}".encode()).digest())


class Writer:
    """A net served by the engine, and the tokens that it drew."""

    def __init__(self, folder: Path, num_threads: int) -> None:
        self.codec = open_text_checkpoint(folder).codec
        self._name = folder.name
        config = EngineConfig(num_threads=num_threads, max_running=NUM_AT_ONCE)
        self._engine = TextEngine(Checkpoints({folder.name: folder}.get, lambda _: {}, config), config)
        self._engine.start()
        # Of tokens that stand for the same bytes the codec would write the first as well.
        self._id_of = {self.codec.bytes_of(one): one for one in reversed(range(self.codec.vocab_size))}

    def close(self) -> None:
        """Stop the engine."""
        self._engine.close()

    def write(self, asked: Sequence[tuple[str, int]], num_tokens: int, keys: Sequence[MarkKey | None]) -> list[Written]:
        """A text for each prompt, seed and key, with the settings that the studio starts with."""
        tickets = [
            self._engine.submit(
                TextRequest(prompt=prompt, net=self._name, max_tokens=num_tokens, num_logprobs=0),
                seed=seed,
                deadline_s=DEADLINE_S,
                user=str(number),
                mark_key=key,
            )
            for number, ((prompt, seed), key) in enumerate(zip(asked, keys, strict=True))
        ]
        texts: list[Written] = []
        for ticket in tickets:
            steps: list[TextStep] = []
            while not ticket.is_done:
                steps += ticket.read(DEADLINE_S)
            drawn = [step.logprob for step in steps if step.logprob is not None]
            ids = [self._id_of[token_bytes(one.token)] for one in drawn]
            texts.append(Written(ids, [-one.logprob for one in drawn]))
        return texts


def read_again(codec: TextCodec, ids: Sequence[int]) -> list[int]:
    """The tokens of a text that somebody else cuts."""
    return codec.encode(codec.decode(ids))


def edited(codec: TextCodec, ids: Sequence[int], others: Sequence[int], chance: random.Random) -> list[int]:
    """The tokens of a text of which a share was replaced, dropped or followed by something else, a third each.

    Args:
        others: tokens to put in.
    """
    changed: list[int] = []
    for token_id in ids:
        kind = chance.choice(("replace", "drop", "add")) if chance.random() < EDITED_FRAC else ""
        if kind != "drop":
            changed.append(chance.choice(others) if kind == "replace" else token_id)
        if kind == "add":
            changed.append(chance.choice(others))
    return read_again(codec, changed)


def found_fracs(tests: Iterable[tuple[Sequence[int], MarkKey]]) -> Figures:
    """Share of texts found at each level, each under its key, and of how many; only that number where there is none."""
    p_values = np.array([detect(ids, key).p_value for ids, key in tests])
    if not len(p_values):
        return {"num": 0}
    return {"num": len(p_values), **{f"{level:g}": float((p_values <= level).mean()) for level in LEVELS}}


def _under_wrong_keys(texts: Sequence[Sequence[int]]) -> Iterator[tuple[Sequence[int], MarkKey]]:
    """Each text under keys that no other is tried with: texts share words, and so coins of one key."""
    for number, ids in enumerate(texts):
        for wrong in range(NUM_WRONG_KEYS):
            yield ids, key_number(-1 - NUM_WRONG_KEYS * number - wrong)


def evaluate(folder: Path, human: Sequence[str], num_marked: int, num_unmarked: int, num_threads: int) -> Figures:
    """Everything that is measured on one net."""
    writer = Writer(folder, num_threads)
    try:
        codec = writer.codec
        asked = list(islice(zip(cycle(PROMPTS), range(10**6), strict=False), max(num_marked, num_unmarked)))
        # Under one key all texts follow the same coins where they come by the same words. So each has a key of its own.
        keys = [key_number(seed) for _, seed in asked[:num_marked]]
        marked = writer.write(asked[:num_marked], max(LENGTHS), keys)
        plain = writer.write(asked[:num_unmarked], max(LENGTHS), [None] * num_unmarked)
        distinct = {name: _distinct(writer, key) for name, key in (("with", keys[0]), ("without", None))}
    finally:
        writer.close()
    chance, others = random.Random(0), [token_id for one in marked for token_id in one.ids]
    tpr: Figures = {"as drawn": {}, "read again": {}, "edited": {}}
    fpr: Figures = {"unmarked": {}, "human": {}}
    for length in LENGTHS:
        whole = [(one.ids[:length], key) for one, key in zip(marked, keys, strict=True) if len(one.ids) >= length]
        tpr["as drawn"][length] = found_fracs(whole)
        tpr["read again"][length] = found_fracs((read_again(codec, ids), key) for ids, key in whole)
        tpr["edited"][length] = found_fracs((edited(codec, ids, others, chance), key) for ids, key in whole)
        drawn = [read_again(codec, one.ids[:length]) for one in plain if len(one.ids) >= length]
        fpr["unmarked"][length] = found_fracs(_under_wrong_keys(drawn))
        passages = [ids[:length] for text in human if len(ids := codec.encode(text)) >= length]
        fpr["human"][length] = found_fracs(_under_wrong_keys(passages))
    return {
        "net": folder.name,
        "tpr": tpr,
        "fpr": fpr,
        "fit": fit(marked, plain),
        "entropy_bits": entropy_bits(folder, asked, plain[:NUM_ENTROPY_TEXTS]),
        "distinct_4": distinct,
        "same_tokens_frac": fmean(read_again(codec, one.ids) == one.ids for one in marked),
    }


def _distinct(writer: Writer, key: MarkKey | None) -> float:
    """Distinct 4-grams of texts to one prompt under one key, the mean over a few prompts."""
    return fmean(
        distinct_frac(
            [
                writer.codec.decode(text.ids)
                for text in writer.write([(prompt, seed) for seed in range(NUM_ALIKE)], ALIKE_TOKENS, [key] * NUM_ALIKE)
            ],
            4,
        )
        for prompt in PROMPTS[:NUM_ALIKE_PROMPTS]
    )


def fit(marked: Sequence[Written], plain: Sequence[Written]) -> Figures:
    """Perplexity of the texts under the net that wrote them, and the paired difference in nats a token."""
    pairs = [
        (fmean(one.nats), fmean(two.nats)) for one, two in zip(marked, plain, strict=False) if one.nats and two.nats
    ]
    differences = [one - two for one, two in pairs]
    return {
        "num": len(pairs),
        "perplexity_with": math.exp(fmean(one for one, _ in pairs)),
        "perplexity_without": math.exp(fmean(two for _, two in pairs)),
        "difference_nats": fmean(differences),
        "standard_error": stdev(differences) / math.sqrt(len(differences)),
    }


@torch.inference_mode()
def entropy_bits(folder: Path, asked: Sequence[tuple[str, int]], texts: Sequence[Written]) -> Figures:
    """Bits a token of what is drawn from: the mean, and the share of tokens where nothing is left to draw."""
    checkpoint = open_text_checkpoint(folder)
    net = load_decoder(checkpoint)
    settings = TextRequest(prompt="a")
    bits: list[float] = []
    for (prompt, _), text in zip(asked, texts, strict=False):
        head = checkpoint.codec.encode_prompt(prompt)
        hidden = net.hidden(torch.tensor([head + text.ids]))[0, len(head) - 1 : -1]
        _, values = largest(net.head(hidden).float().numpy(), settings.top_k)
        weights = weigh(values, values[:, :1], settings.temperature, settings.min_p)
        weights = keep_top_p(weights, settings.top_p, weights.sum(axis=1, keepdims=True))
        shares = weights / weights.sum(axis=1, keepdims=True)
        bits += (-(shares * np.log2(np.where(shares > 0, shares, 1))).sum(axis=1)).tolist()
    return {"mean": fmean(bits), "certain_frac": fmean(one == 0 for one in bits), "num": len(bits)}


def passages_of(files: Iterable[Path], num: int) -> list[str]:
    """Passages that people wrote, of PASSAGE_CHARS each, from files of JSON lines with `text` or `sections`."""
    return list(islice((passage for file in files for passage in _passages(file)), num))


def _passages(file: Path) -> Iterator[str]:
    with lzma.open(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            text = row["text"] if "text" in row else "\n".join(row["sections"])
            for start in range(0, len(text) - PASSAGE_CHARS, PASSAGE_CHARS):
                yield text[start : start + PASSAGE_CHARS]


def table(figures: Figures) -> str:
    """Markdown of one net."""
    lines = [
        f"| {figures['net']} | {' | '.join(f'{length} tokens' for length in LENGTHS)} |",
        "|---" * (len(LENGTHS) + 1) + "|",
    ]
    for group, name, title in (
        ("tpr", "as drawn", "found, tokens as drawn"),
        ("tpr", "read again", "found, cut into tokens anew"),
        ("tpr", "edited", f"found, {EDITED_FRAC:.0%} of tokens edited"),
        ("fpr", "unmarked", "found in the net's texts without a mark"),
        ("fpr", "human", "found in texts of people"),
    ):
        for level in LEVELS:
            cells = [_cell(figures[group][name][length], f"{level:g}", group == "fpr") for length in LENGTHS]
            lines.append(f"| {title}, p <= {level:g} | {' | '.join(cells)} |")
    own, entropy, distinct = figures["fit"], figures["entropy_bits"], figures["distinct_4"]
    return "\n".join(
        [
            *lines,
            "",
            f"* {entropy['mean']:.2f} bits a token are drawn from ({entropy['num']:,} tokens); "
            f"{entropy['certain_frac']:.0%} of tokens leave nothing to draw.",
            f"* Perplexity under the net itself: {own['perplexity_with']:.3f} with the mark, "
            f"{own['perplexity_without']:.3f} without; {own['difference_nats']:+.4f} ± {own['standard_error']:.4f} "
            f"nats a token (paired by prompt and seed, {own['num']} pairs, one standard error).",
            f"* Distinct 4-grams of {NUM_ALIKE} texts to one prompt: {distinct['with']:.3f} with, "
            f"{distinct['without']:.3f} without.",
            f"* {figures['same_tokens_frac']:.0%} of the texts are cut into the tokens that were drawn.",
        ]
    )


def _cell(found: Figures, level: str, is_rate: bool) -> str:
    if not found["num"]:
        return "-"
    if is_rate:
        return f"{found[level]:.2g} (of {found['num']:,})"
    return f"{found[level]:.3f} (of {found['num']})"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `run` reads."""
    parser.add_argument("--net", type=Path, action="append", required=True, help="folder; may be given several times")
    parser.add_argument("--human", type=Path, action="append", default=[], help="JSON lines (xz) of texts by people")
    parser.add_argument("--marked", type=int, default=200, help="texts with a mark")
    parser.add_argument("--unmarked", type=int, default=1000, help="texts without, and passages by people")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="where to keep the figures as JSON")


def run(options: argparse.Namespace) -> None:
    """Print a table for each net."""
    torch.set_num_threads(options.threads)
    human = passages_of(options.human, options.unmarked)
    figures = []
    for folder in options.net:
        figures.append(evaluate(folder, human, options.marked, options.unmarked, options.threads))
        print(table(figures[-1]), end="\n\n", flush=True)
    if options.out:
        options.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
