"""What the text screen learns from: texts with labels that may be unknown, in groups that are held out together."""

import gzip
import hashlib
import json
import lzma
import re
import string
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from genworkers.contract.safety import TEXT_CATEGORIES, TextCategory
from genworkers.training.screen_labels import Labels, labels_of, labels_of_tweet, labels_of_votes, none_of
from genworkers.training.screen_sentences import GROUPS, HARMLESS, POSITIVE, expanded
from genworkers.training.sticker_data import read_captions

UNKNOWN = -1
HELD_OUT = 0
CALIBRATING = (1, 2)
NO_FOLD = -1
NUM_PROFANE = 5_000
NUM_PROMPTS = 12_000
TIMES_POSITIVE, TIMES_HATE, TIMES_HARMLESS = 14, 30, 24
NUM_INSERTED, NUM_FOREIGN, NUM_NOISE, NUM_PROSE, NUM_WORDS = 3_000, 3_000, 2_500, 12_000, 8_000
PROSE_CHARS, MIN_PROSE_CHARS = 320, 12
MAX_FILLINGS = 5
NEAR = 0.86
BLOCK = 1024
_WORD = re.compile(r"\b[a-z]{2,15}\b")
_SENTENCE = re.compile(r"[^.!?;]+[.!?;]?")
_PERSON = re.compile(r"\b(?:man|woman|person|girl|boy|lady|guy|child|people|men|women)\b")
_STUDIO = ("a sticker of {}", "an icon of {}", "{} in flat style", "draw {}", "pixel art of {}", "{}, cute")
WRITTEN = "written"
# A written sentence of the one may be the other, too: no label then.
UNSURE_BESIDE: Mapping[TextCategory, tuple[TextCategory, ...]] = {
    "hate": ("harassment", "violence"),
    "violence": ("harassment", "illicit", "hate/threatening", "violence/graphic"),
    "harassment": ("violence", "hate"),
    "self-harm": ("violence", "violence/graphic"),
    "sexual/minors": ("illicit", "harassment"),
}
NOTHING: Labels = dict.fromkeys(TEXT_CATEGORIES, False)
# Share-alike, and written by a net whose licence would name ours: prompts that are only measured on.
NEVER_LEARNT = frozenset({"dolly", "stories"})


@dataclass(frozen=True, slots=True)
class ScreenRow:
    """One text and what is known about it.

    Args:
        group: what must be held out together with it; rows of a source with unsafe texts are joined by `grouped`.
    """

    text: str
    labels: Labels
    source: str
    group: str

    @property
    def targets(self) -> list[int]:
        """1, 0 or UNKNOWN for each of TEXT_CATEGORIES."""
        return [int(self.labels[name]) if name in self.labels else UNKNOWN for name in TEXT_CATEGORIES]

    @property
    def fold(self) -> int:
        """That of its group; NO_FOLD for what may only be measured on and is not in the tenth that is."""
        fold = fold_of(self.group)
        return fold if fold == HELD_OUT or self.source not in NEVER_LEARNT else NO_FOLD

    @property
    def is_positive(self) -> bool:
        """Whether it is of some category."""
        return any(self.labels.values())


def fold_of(group: str) -> int:
    """HELD_OUT for the tenth that is never touched, CALIBRATING for two more, the rest trains: sha256 modulo ten."""
    return int(hashlib.sha256(group.encode("utf-8", "replace")).hexdigest(), 16) % 10


def read_rows(corpus: Path, seed: int = 0) -> list[ScreenRow]:
    """All rows of the corpus, each text once, groups not joined yet."""
    random = np.random.default_rng(seed)
    safety = corpus / "safety"
    rows = [
        *_of_union(_lines(safety / "union.jsonl.xz")),
        *_of_tweets(_lines(safety / "tweets-davidson.jsonl.xz"), random),
        *_of_votes(_lines(safety / "nibbler-votes.jsonl.xz")),
        *_of_studio(corpus, random),
        *written_rows(),
        *_of_languages(corpus, np.random.default_rng(seed)),
        *_of_books(corpus / "text", np.random.default_rng(seed)),
        *noise_rows(NUM_NOISE, np.random.default_rng(seed)),
    ]
    rows += inserted_groups(rows, NUM_INSERTED, random)
    return list({row.text.casefold(): row for row in reversed(rows) if row.labels}.values())[::-1]


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with lzma.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def _row(text: str, labels: Labels, source: str, group: str = "") -> ScreenRow:
    text = " ".join(text.split())
    return ScreenRow(text, labels, source, group or text.casefold())


def _of_union(lines: Iterable[Mapping[str, Any]]) -> Iterator[ScreenRow]:
    for line in lines:
        yield _row(line["text"], labels_of(line), line["source"])


def _of_tweets(lines: Iterable[Mapping[str, Any]], random: Generator) -> Iterator[ScreenRow]:
    rows = [(line["class"], _row(line["text"], labels_of_tweet(line), "davidson")) for line in lines]
    profane = [row for kind, row in rows if kind == "offensive" and row.labels]
    yield from (row for kind, row in rows if kind != "offensive")
    yield from (profane[place] for place in random.permutation(len(profane))[:NUM_PROFANE])


def _of_votes(lines: Iterable[Mapping[str, Any]]) -> Iterator[ScreenRow]:
    """Prompts made to look harmless, and what their authors meant by them: one group."""
    for line in lines:
        prompt = _row(line["prompt"], labels_of_votes(line, line["prompt"], is_meaning=False), "nibbler")
        yield prompt
        if len(line["rewritten"]) > 3:
            meant = line["rewritten"]
            yield _row(meant, labels_of_votes(line, meant, is_meaning=True), "nibbler_rewritten_intent", prompt.group)


def _of_studio(corpus: Path, random: Generator) -> Iterator[ScreenRow]:
    """What people ask of this studio: names of stickers with and without a frame, and prompts for texts."""
    for caption in read_captions(corpus).values():
        frame = str(random.choice(_STUDIO))
        for text in (caption.name, frame.format(caption.name), " ".join(caption.keywords[:6]), *caption.keywords[:2]):
            yield _row(text, NOTHING, "stickers", caption.key)
    prompts = [line["prompt"] for line in _lines(corpus / "text" / "instruct-stories.jsonl.xz")]
    kinds = Counter(_shape(prompt) for prompt in prompts)
    chances = np.array([1.0 / kinds[_shape(prompt)] ** 0.7 for prompt in prompts])
    chosen = random.choice(len(prompts), size=min(NUM_PROMPTS, len(prompts)), replace=False, p=chances / chances.sum())
    for place in chosen:
        yield _row(prompts[place][:1000], NOTHING, "stories")


def _of_languages(corpus: Path, random: Generator) -> Iterator[ScreenRow]:
    """Names of stickers in other languages, so that a foreign word is not odd."""
    with gzip.open(corpus / "stickers" / "names_keywords_28_languages.jsonl.gz", "rt", encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    for place in random.permutation(len(lines))[:NUM_FOREIGN].tolist():
        names = {language: entry for language, entry in lines[place].items() if isinstance(entry, dict)}
        entry = names[str(random.choice(sorted(names)))]
        text = entry["name"] if random.random() < 0.5 else ", ".join(entry["keywords"][:5])
        yield _row(text or entry["name"], NOTHING, "languages", lines[place]["codepoints"])


def _of_books(texts: Path, random: Generator) -> Iterator[ScreenRow]:
    """Words, sentences and passages of books: mostly nothing to worry about.

    A category is unknown where a plain word of it stands there, hate in all classics, for the words of their time.
    """
    books: list[tuple[str, str]] = []
    for name, title in (("classics", "title"), ("fairytales", "name"), ("textbooks", "module")):
        for line in _lines(texts / f"{name}.jsonl.xz"):
            text = line["text"] if "text" in line else " ".join(line["sections"])
            books.append((f"{name} {line[title]}", " ".join(text.split())))
    # A word alone is what a studio for stickers is asked for most, and far from every sentence.
    counts = Counter(word for title, text in books if title[:8] != "classics" for word in _WORD.findall(text))
    yield from (_row(word, none_of(word), "books") for word, _ in counts.most_common(NUM_WORDS))
    # Long books would be all there is, short ones all too often the same.
    chances = np.sqrt([len(text) for _, text in books])
    for place in random.choice(len(books), size=NUM_PROSE, p=chances / chances.sum()).tolist():
        title, text = books[place]
        start = int(random.integers(max(1, len(text) - PROSE_CHARS)))
        piece = text[start : start + PROSE_CHARS]
        if random.random() < 0.5:
            piece = str(random.choice(_SENTENCE.findall(text[start : start + 2 * PROSE_CHARS])))
        if len(piece) >= MIN_PROSE_CHARS:
            labels = none_of(piece)
            if title.startswith("classics"):
                labels = {name: no for name, no in labels.items() if not name.startswith("hate")}
            yield _row(piece, labels, "books", title)


def noise_rows(count: int, random: Generator) -> Iterator[ScreenRow]:
    """What nobody means anything by: signs, digits, letters and emoji, alone, repeated and mixed."""
    signs = (
        string.punctuation,
        string.digits,
        string.ascii_lowercase,
        string.printable,
        "😀🦊🌲🚗❤️⭐🍎🐱",
        "äéñßøçλжשع中の",
    )
    for _ in range(count):
        chosen = signs[int(random.integers(len(signs)))]
        length, kinds = int(random.geometric(0.03)), int(random.integers(1, 12))
        some = random.choice(list(chosen), size=kinds)
        text = "".join(random.choice(some, size=length))
        yield _row(text if random.random() < 0.5 else " ".join(text), NOTHING, "noise")


def _shape(prompt: str) -> str:
    """The first two words: there are tens of thousands of sums and of spelling questions."""
    return " ".join(prompt.split()[:2])


def written_rows() -> Iterator[ScreenRow]:
    """The sentences of `screen_sentences.py`; all fillings of a sentence are one group."""
    for categories, sentences in POSITIVE.items():
        unsure = {beside for category in categories for beside in UNSURE_BESIDE.get(category, ())} - {*categories}
        labels: Labels = {name: name in categories for name in TEXT_CATEGORIES if name not in unsure}
        for sentence in sentences:
            for text in expanded(sentence, TIMES_HATE if "hate" in categories else TIMES_POSITIVE):
                yield _row(text, labels, WRITTEN, sentence)
    for sentence in HARMLESS:
        for text in expanded(sentence, TIMES_HARMLESS):
            yield _row(text, NOTHING, WRITTEN, sentence)


def inserted_groups(rows: Sequence[ScreenRow], count: int, random: Generator) -> list[ScreenRow]:
    """Harmless texts about people with a group's name before the first of them: counterfactuals of the same group."""
    about_people = [
        row
        for row in rows
        if not row.is_positive
        and len(row.labels) > 6
        and row.source not in NEVER_LEARNT
        and _PERSON.search(row.text.lower())
    ]
    chosen = random.permutation(len(about_people))[:count]
    return [_inserted(about_people[place], str(random.choice([one for one, _ in GROUPS]))) for place in chosen]


def _inserted(row: ScreenRow, adjective: str) -> ScreenRow:
    return replace(row, text=_PERSON.sub(lambda word: f"{adjective} {word[0]}", row.text.lower(), count=1))


def grouped(rows: Sequence[ScreenRow], embeddings: Tensor) -> list[ScreenRow]:
    """The rows with groups joined where two texts say nearly the same, so that none is held out without the other.

    Args:
        embeddings: (M, D), of length 1; a product above NEAR joins two groups.
    """
    parent: dict[str, str] = {}

    def root(group: str) -> str:
        while (above := parent.setdefault(group, group)) != group:
            group = above
        return group

    for begin in range(0, len(rows), BLOCK):
        near = (embeddings[begin : begin + BLOCK] @ embeddings.T > NEAR).nonzero().tolist()
        for here, there in near:
            low, high = sorted((root(rows[begin + here].group), root(rows[there].group)))
            parent[high] = low
    return [replace(row, group=root(row.group)) for row in rows]


def calibrating_rows(rows: Sequence[ScreenRow]) -> list[ScreenRow]:
    """Those that calibrate; of a written sentence a few fillings only, which say nearly the same."""
    taken: Counter[str] = Counter()
    chosen = []
    for row in rows:
        if row.fold in CALIBRATING:
            taken[row.group] += row.source == WRITTEN
            if taken[row.group] <= MAX_FILLINGS:
                chosen.append(row)
    return chosen


def targets_of(rows: Sequence[ScreenRow]) -> Tensor:
    """(M, categories) int8: 1, 0 or UNKNOWN."""
    return torch.tensor([row.targets for row in rows], dtype=torch.int8)
