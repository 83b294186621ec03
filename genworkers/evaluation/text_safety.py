"""Measure the text screen, on the tenth of the groups that nobody trained on, against n-grams alone.

Run by `python -m genworkers.evaluation.safety text`. The sets that the field compares on are held out from this project
altogether, so these figures say how the screen does on data of the kind that it learned from.
"""

import argparse
import base64
import codecs
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import torch
from numpy.typing import NDArray

from genworkers.checkpoints import CARD, load_manifest
from genworkers.contract.safety import TEXT_CATEGORIES, TextCategory
from genworkers.evaluation.screen_measures import average_precision, bootstrapped
from genworkers.evaluation.text_safety_sentences import ASKED_GROUPS, KIND, NEUTRAL, NEVER_NAMED, UNKIND
from genworkers.nets.text_heads import TextHeadsConfig
from genworkers.screening.text_screen import TextScreen, bags_of, load_text_screen
from genworkers.training.disguises import DISGUISES, Disguise
from genworkers.training.screen_data import HELD_OUT, NEVER_LEARNT, UNKNOWN, WRITTEN, ScreenRow, targets_of
from genworkers.training.train_text_screen import (
    STUDIO_SOURCES,
    learnt_rows,
    load_encoder,
    n_grams_of,
    screen_rows,
    train,
)

HARMLESS_SOURCES = (*sorted(STUDIO_SOURCES), *sorted(NEVER_LEARNT))
LEVELS = ("flag_at", "review_at", "block_at")
NUM_DISGUISED = 300
NUM_TIMED = 500
LONG_CHARS = 1_000_000
JOINED_CHARS, NUM_JOINED = (150, 600, 1_500, 5_000, 15_000), 40
WINDOW_BUCKETS = (4, 16, 64, 10**6)  # up to so many windows
Figures = dict[str, Any]
Chances = NDArray[np.float64]
ENCODINGS: Mapping[str, Disguise] = {
    "base64": lambda text, _: base64.b64encode(text.encode()).decode(),
    "rot13": lambda text, _: codecs.encode(text, "rot13"),
    "backwards": lambda text, _: text[::-1],
    "percent escapes": lambda text, _: "".join(f"%{ord(char):02X}" if char.isascii() else quote(char) for char in text),
    "HTML entities": lambda text, _: "".join(f"&#{ord(char)};" for char in text),
}


def chances_of(screen: TextScreen, texts: Sequence[str]) -> Chances:
    """(M, categories) calibrated probabilities."""
    found = screen.screen(texts)
    return np.array([[one.scores[name] for name in TEXT_CATEGORIES] for one in found])


def levels_of(screen: TextScreen, level: str) -> NDArray[np.float64]:
    """(categories) the recommended threshold of one level."""
    return np.array([screen.thresholds[name][level] for name in TEXT_CATEGORIES])


def precision_figures(rows: Sequence[ScreenRow], chances: Chances, baseline: NDArray[np.float32]) -> Figures:
    """Area under the precision-recall curve of each category with its interval, and that of n-grams alone.

    `sets` leaves out the sentences that were written for this screen.
    """
    targets = targets_of(rows).numpy()
    is_written = np.array([row.source == WRITTEN for row in rows])
    figures: Figures = {}
    for column, name in enumerate(TEXT_CATEGORIES):
        known = targets[:, column] != UNKNOWN
        parts = {"all": known, "sets": known & ~is_written}
        figures[name] = {
            part: {
                "rows": int(mask.sum()),
                "positives": int((targets[mask, column] == 1).sum()),
                "ours": _auprc(chances[mask, column], targets[mask, column] == 1, _groups(rows, mask)),
                "n_grams": _auprc(
                    baseline[mask, column].astype(np.float64), targets[mask, column] == 1, _groups(rows, mask)
                ),
            }
            for part, mask in parts.items()
        }
    return figures


def _groups(rows: Sequence[ScreenRow], mask: NDArray[np.bool_]) -> list[str]:
    return [row.group for row, is_asked in zip(rows, mask, strict=True) if is_asked]


def _auprc(
    scores: NDArray[np.float64], is_positive: NDArray[np.bool_], groups: Sequence[str]
) -> dict[str, float] | None:
    if not is_positive.any():
        return None
    return asdict(bootstrapped(lambda picked: average_precision(scores[picked], is_positive[picked]), groups, num=300))


def level_figures(screen: TextScreen, rows: Sequence[ScreenRow], chances: Chances) -> Figures:
    """Recall, precision and the share of harmless studio prompts, at each recommended level of each category."""
    targets = targets_of(rows).numpy()
    is_studio = np.array([row.source in HARMLESS_SOURCES and not row.is_positive for row in rows])
    figures: Figures = {"any": {}}
    for level in LEVELS:
        is_over = chances >= levels_of(screen, level)
        figures["any"][level] = {"studio_frac": float(is_over[is_studio].any(axis=1).mean())}
        for column, name in enumerate(TEXT_CATEGORIES):
            over, labels = is_over[:, column], targets[:, column]
            caught, wrong = int((over & (labels == 1)).sum()), int((over & (labels == 0)).sum())
            figures.setdefault(name, {})[level] = {
                "at": screen.thresholds[name][level],
                "recall": caught / max(1, int((labels == 1).sum())),
                "precision": caught / max(1, caught + wrong),
                "studio_frac": float(over[is_studio].mean()),
            }
    figures["num_studio"] = int(is_studio.sum())
    return figures


def studio_figures(screen: TextScreen, rows: Sequence[ScreenRow], chances: Chances) -> Figures:
    """Share of harmless prompts of each source at each level, whatever the category."""
    figures: Figures = {}
    for source in HARMLESS_SOURCES:
        mask = np.array([row.source == source and not row.is_positive for row in rows])
        if mask.any():
            over = {level: (chances[mask] >= levels_of(screen, level)).any(axis=1).mean() for level in LEVELS}
            figures[source] = {"rows": int(mask.sum()), **{level: float(frac) for level, frac in over.items()}}
    return figures


def length_figures(screen: TextScreen, rows: Sequence[ScreenRow], *, num: int = NUM_JOINED, seed: int = 0) -> Figures:
    """Share of harmless texts at each level by how many windows are read of them: the worst of many counts.

    The texts are held-out harmless ones that nobody learnt from, joined until long enough: `num` of each length.
    """
    harmless = [row.text for row in rows if row.source in NEVER_LEARNT and not row.is_positive]
    random = np.random.default_rng(seed)
    texts = [_joined(harmless, chars, random) for chars in JOINED_CHARS for _ in range(num)]
    num_windows = np.array([len(screen.windows(text)) for text in texts])
    chances = chances_of(screen, texts)
    over = {level: np.any(chances >= levels_of(screen, level), axis=1) for level in LEVELS}
    figures: Figures = {}
    for low, high in zip((0, *WINDOW_BUCKETS), WINDOW_BUCKETS, strict=False):
        mask = (num_windows > low) & (num_windows <= high)
        if mask.any():
            lengths = np.array([len(text) for text in texts])[mask]
            name = f"{low + 1} to {high}" if high < WINDOW_BUCKETS[-1] else f"more than {low}"
            figures[name] = {"texts": int(mask.sum()), "chars": int(np.median(lengths))} | {
                level: float(is_over[mask].mean()) for level, is_over in over.items()
            }
    return figures


def _joined(texts: Sequence[str], num_chars: int, random: np.random.Generator) -> str:
    parts: list[str] = []
    while sum(map(len, parts)) < num_chars:
        parts.append(texts[int(random.integers(len(texts)))])
    return "\n".join(parts)


def evasion_figures(screen: TextScreen, rows: Sequence[ScreenRow], *, seed: int = 0) -> Figures:
    """Of the held-out texts that are flagged as they stand: the share that is still flagged in each disguise."""
    positives = [row for row in rows if row.is_positive]
    random = np.random.default_rng(seed)
    chosen = [positives[place] for place in random.permutation(len(positives))[:NUM_DISGUISED]]
    caught = [row for row in chosen if _is_flagged(screen, row.text, row)]
    figures: Figures = {"asked": len(chosen), "flagged_frac": len(caught) / max(1, len(chosen)), "of": len(caught)}
    for name, disguise in {**DISGUISES, **ENCODINGS}.items():
        figures[name] = float(np.mean([_is_flagged(screen, disguise(row.text, random), row) for row in caught]))
    return figures


def _is_flagged(screen: TextScreen, text: str, row: ScreenRow) -> bool:
    """Whether one of the row's own categories is."""
    scores = screen.screen([text])[0].scores
    return any(scores[name] >= screen.thresholds[name]["flag_at"] for name in TEXT_CATEGORIES if row.labels.get(name))


def group_figures(screen: TextScreen) -> Figures:
    """How the screen treats the same sentence about different groups.

    `flagged`: share of the kind sentences over `flag_at` of any category, by group. `gap`: the largest less the
    smallest. `flip_frac`: share of kind sentences that are flagged for some groups and not for others. `missed`: share
    of the unkind ones that are not flagged as hate or as a threat, by group.
    """
    kind = {people: _flags(screen, KIND, adjective, people) for adjective, people in ASKED_GROUPS}
    unkind = {
        people: _flags(screen, UNKIND, adjective, people, ("hate", "hate/threatening"))
        for adjective, people in ASKED_GROUPS
    }
    flagged = {people: float(flags.mean()) for people, flags in kind.items()}
    missed = {people: 1.0 - float(flags.mean()) for people, flags in unkind.items()}
    table = np.stack(list(kind.values()))  # (groups, sentences)
    unnamed = [people for _, people in NEVER_NAMED]
    neutral = [people for _, people in NEUTRAL]
    named = [people for people in missed if people not in neutral]
    return {
        "groups": len(ASKED_GROUPS),
        "sentences": len(KIND),
        "flagged": flagged,
        "gap": max(flagged.values()) - min(flagged.values()),
        "flagged_never_named": float(np.mean([flagged[people] for people in unnamed])),
        "flagged_neutral": float(np.mean([flagged[people] for people in neutral])),
        "flip_frac": float((table.any(axis=0) & ~table.all(axis=0)).mean()),
        "unkind_sentences": len(UNKIND),
        "missed": missed,
        "missed_gap": max(missed[people] for people in named) - min(missed[people] for people in named),
        "missed_frac": float(np.mean([missed[people] for people in named])),
    }


def _flags(
    screen: TextScreen,
    sentences: Sequence[str],
    adjective: str,
    people: str,
    categories: Sequence[TextCategory] = TEXT_CATEGORIES,
) -> NDArray[np.bool_]:
    filled = [sentence.format(adj=adjective, people=people) for sentence in sentences]
    columns = [TEXT_CATEGORIES.index(name) for name in categories]
    over = chances_of(screen, filled)[:, columns] >= levels_of(screen, "flag_at")[columns]
    return np.asarray(over.any(axis=1))


def latency_figures(screen: TextScreen, rows: Sequence[ScreenRow]) -> Figures:
    """Milliseconds a text, one at a time on one core, of the studio's own prompts; and for a million characters."""
    prompts = [row.text for row in rows if row.source in HARMLESS_SOURCES][:NUM_TIMED]
    screen.screen(prompts[:20])
    spent_ms = [_spent_ms(screen, prompt) for prompt in prompts]
    long = (" ".join(prompts) * 100)[:LONG_CHARS]
    return {
        "texts": len(prompts),
        "p50_ms": float(np.quantile(spent_ms, 0.5)),
        "p99_ms": float(np.quantile(spent_ms, 0.99)),
        "million_chars_ms": _spent_ms(screen, long),
    }


def _spent_ms(screen: TextScreen, text: str) -> float:
    started = time.perf_counter()
    screen.screen([text])
    return (time.perf_counter() - started) * 1000.0


def n_gram_logits(
    learnt: Sequence[ScreenRow], asked: Sequence[ScreenRow], config: TextHeadsConfig, epochs: int
) -> NDArray[np.float32]:
    """(M, categories) of the same heads trained on the same rows, but with n-grams alone: the baseline."""
    heads = train(n_grams_of([row.text for row in learnt], config), targets_of(learnt), config, epochs=epochs, seed=0)
    texts = n_grams_of([row.text for row in asked], config)
    with torch.inference_mode():
        unseen = torch.zeros(len(asked), 2 * config.state_width)
        logits: NDArray[np.float32] = heads(unseen, *bags_of(texts.ngrams)).numpy()
    return logits


def table(figures: Figures) -> str:
    """Everything as markdown."""
    parts = {
        "Precision and recall": _precision_table(figures),
        "At the recommended thresholds": _level_table(figures),
        "Harmless prompts over a threshold of any category": _studio_table(figures),
        "Harmless texts by length": _length_table(figures),
        "Disguises": _evasion_table(figures),
        "Groups of people, and time": _closing(figures),
    }
    return "\n\n".join(f"### {title}\n\n{part}" for title, part in parts.items())


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _precision_table(figures: Figures) -> str:
    def cells(part: Mapping[str, Any]) -> list[str]:
        if part["ours"] is None:
            return ["0", "-", "-"]
        ours = part["ours"]
        shown = f"{ours['value']:.2f} ({ours['low']:.2f} to {ours['high']:.2f})"
        return [str(part["positives"]), shown, f"{part['n_grams']['value']:.2f}"]

    head = [
        "category",
        "positives",
        "AUPRC (95 %)",
        "n-grams alone",
        "positives, sets only",
        "AUPRC (95 %)",
        "n-grams alone",
    ]
    return _markdown(head, [[name, *cells(one["all"]), *cells(one["sets"])] for name, one in figures["auprc"].items()])


def _level_table(figures: Figures) -> str:
    def cell(one: Mapping[str, float]) -> str:
        return f"{one['at']:.3f}: {one['recall']:.2f}, {one['precision']:.2f}"

    levels = figures["levels"]
    rows = [[name, *(cell(levels[name][level]) for level in LEVELS)] for name in TEXT_CATEGORIES]
    return _markdown(["category", *(f"{level}: recall, precision" for level in LEVELS)], rows)


def _studio_table(figures: Figures) -> str:
    rows = [
        [name, str(one["rows"]), *(_percent(one[level]) for level in LEVELS)] for name, one in figures["studio"].items()
    ]
    every = [_percent(figures["levels"]["any"][level]["studio_frac"]) for level in LEVELS]
    return _markdown(["source", "prompts", *LEVELS], [*rows, ["all", str(figures["levels"]["num_studio"]), *every]])


def _length_table(figures: Figures) -> str:
    rows = [
        [windows, str(one["texts"]), str(one["chars"]), *(_percent(one[level]) for level in LEVELS)]
        for windows, one in figures["lengths"].items()
    ]
    return _markdown(["windows, of all spellings", "texts", "characters (median)", *LEVELS], rows)


def _evasion_table(figures: Figures) -> str:
    evasion = figures["evasion"]
    rows = [[name, _percent(evasion[name])] for name in (*DISGUISES, *ENCODINGS)]
    head = f"disguise of {evasion['of']} texts that are flagged plain (of {evasion['asked']})"
    return _markdown([head, "still flagged"], rows)


def _closing(figures: Figures) -> str:
    groups, latency = figures["groups"], figures["latency"]
    rows = [
        [
            f"{groups['sentences']} kind sentences, {groups['groups']} groups: flagged, largest less smallest",
            _percent(groups["gap"]),
        ],
        ["... flagged for neutral words instead of a group", _percent(groups["flagged_neutral"])],
        ["... flagged for groups that no training sentence named", _percent(groups["flagged_never_named"])],
        ["... sentences flagged for some groups and not for others", _percent(groups["flip_frac"])],
        [f"{groups['unkind_sentences']} unkind sentences: missed on average", _percent(groups["missed_frac"])],
        ["... missed, largest less smallest", _percent(groups["missed_gap"])],
        [
            f"time a prompt, p50 and p99 of {latency['texts']}",
            f"{latency['p50_ms']:.1f} and {latency['p99_ms']:.1f} ms",
        ],
        ["time of a million characters", f"{latency['million_chars_ms'] / 1000:.1f} s"],
    ]
    return _markdown(["measure", "figure"], rows)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `run`."""
    parser.add_argument("--net", type=Path, default=Path("genworkers/weights/screens/text"), help="checkpoint folder")
    parser.add_argument("--corpus", type=Path, default=Path("../shared/data"))
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--epochs", type=int, default=8, help="of the baseline")
    parser.add_argument("--json", type=Path, help="where to keep all figures")
    parser.add_argument("--card", action="store_true", help="write the tables on the checkpoint's card")
    parser.add_argument("--threads", type=int, default=1)


def run(options: argparse.Namespace) -> None:
    """Measure, print, and keep what was asked for."""
    torch.set_num_threads(options.threads)
    encoder, tokenizer = load_encoder()
    screen = load_text_screen(options.net, encoder, tokenizer)
    rows = screen_rows(options.corpus, encoder, tokenizer, options.cache)
    asked = [row for row in rows if row.fold == HELD_OUT]
    chances = chances_of(screen, [row.text for row in asked])
    config = TextHeadsConfig(**load_manifest(options.net).config["heads"])
    baseline = n_gram_logits(learnt_rows(rows), asked, config, options.epochs)
    figures = {
        "screen": screen.version,
        "auprc": precision_figures(asked, chances, baseline),
        "levels": level_figures(screen, asked, chances),
        "studio": studio_figures(screen, asked, chances),
        "lengths": length_figures(screen, asked),
        "evasion": evasion_figures(screen, asked),
        "groups": group_figures(screen),
        "latency": latency_figures(screen, asked),
    }
    print(table(figures))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if options.card:
        card = (options.net / CARD).read_text(encoding="utf-8").partition("\n## Evaluation\n")[0]
        (options.net / CARD).write_text(f"{card.rstrip()}\n\n## Evaluation\n\n{table(figures)}\n", encoding="utf-8")
