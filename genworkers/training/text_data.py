"""Stories to learn from: reading, choosing the simple ones, prompts, held-out split, batches.

The corpora stay outside the repository; every script takes their folder as `--corpus`.
"""

import hashlib
import json
import lzma
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from genworkers.codecs.text_bpe import TextCodec

IGNORED_TARGET = -100

# Categories that may be read, simplest first, with the largest share of words outside the
# vocabulary of "child" at which a document is still taken.
RARE_WORD_LIMITS = {"child": 1.0, "stories": 0.13, "slice-of-life": 0.13, "bedtime": 0.13}
COMMON_WORDS = 3000
MIN_STORY_CHARS = 200

_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
_CAPITAL_NAME = re.compile(r"\b[A-Z][a-z]+\b")
_TITLE_IN_PROMPT = re.compile(r"`([^`]+)`")
_HEADING = re.compile(r"\A\s*(?:\*\*|#+ ?|\")?([^\n.!?]{1,90})(?:\*\*|\")?\s*\n\n")
_OPENING = re.compile(
    r"\b(?:was|lived|lives|were|is)\s+(an? [a-z][^.,;:!?\"]{3,60}?)"
    r"(?= (?:who|that|with|lived|in|on|at|and h)\b|[.,;!?])"
)
_STRAIGHT = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u00a0": " "})
_NOT_SUBJECTS = frozenset(
    re.findall(
        r"\w+",
        """day time way moment little big one first next story place world end other others people everyone name once
        upon thing things something nothing eyes eye heart voice hand hands face head life home lot long side back
        night morning afternoon evening while few group sense best special great new old young small good same
        whole rest""",
    )
)
_TEMPLATES = (
    "Write a story about {}.",
    "Write a story about {}",
    "Write a story about {}.",
    "Tell me a story about {}.",
    "Write a short story about {}.",
    "write a story about {}",
    "A story about {}",
    "{}",
)


@dataclass(frozen=True, slots=True)
class Story:
    """One document to learn from.

    Args:
        key: stable name, which decides whether the document is held out.
        source: the set and category it came from.
        prompts: ways to ask for it, at least one.
        text: the story.
    """

    key: str
    source: str
    prompts: tuple[str, ...]
    text: str

    @property
    def is_held_out(self) -> bool:
        """Whether the house holds this document out of every training run."""
        return is_held_out(self.key)


def is_held_out(key: str) -> bool:
    """The house's split: one document in ten, by the sha256 of its key."""
    return int(hashlib.sha256(key.encode()).hexdigest(), 16) % 10 == 0


def read_stories(folder: Path) -> list[Story]:
    """Every story simple enough for a small net, in a fixed order.

    Args:
        folder: of the corpora; holds `text/`.
    """
    rows = [
        row for row in _read_lines(folder / "text" / "instruct-stories.jsonl.xz") if row["category"] in RARE_WORD_LIMITS
    ]
    raw: list[tuple[str, str, str, str]] = []  # key, source, prompt, text
    for row in rows:
        raw.append((row["prompt"], row["category"], row["prompt"], clean_text(row["response"])))
    for row in _read_lines(folder / "text" / "storybooks.jsonl.xz"):
        if row["lang"] == "en":
            text = "\n\n".join(" ".join(page.split()) for page in row["pages"])
            raw.append((row["id"], "storybooks", f"Write a story called `{row['title']}`.", clean_text(text)))

    frequency = Counter(word for _, source, _, text in raw if source == "child" for word in _words(text))
    common = {word for word, _ in frequency.most_common(COMMON_WORDS)}
    chosen = [
        one
        for one in raw
        if len(one[3]) >= MIN_STORY_CHARS
        and "[" not in one[3]
        and "**" not in one[3]
        and rare_word_frac(one[3], common) <= RARE_WORD_LIMITS.get(one[1], 1.0)
    ]
    num_documents_with = Counter(word for _, _, _, text in chosen for word in set(_words(text)))
    too_common = {word for word, count in num_documents_with.items() if count > 0.2 * len(chosen)}
    stories = [
        Story(key=key, source=source, prompts=_prompts_of(prompt, text, too_common), text=text)
        for key, source, prompt, text in chosen
    ]
    return sorted(stories, key=lambda story: (story.source, story.key))


def storybook_credits(folder: Path) -> list[str]:
    """Title, author and publisher of each storybook that `read_stories` may take, as its licence asks."""
    publishers = {"asp": "African Storybook", "pb": "Pratham Books StoryWeaver"}
    return sorted(
        f"{row['title'].strip()}, by {row['author'].strip()} ({publishers[row['src']]})"
        for row in _read_lines(folder / "text" / "storybooks.jsonl.xz")
        if row["lang"] == "en"
    )


def clean_text(text: str) -> str:
    """Straight quotes, no heading line, no trailing space."""
    text = text.translate(_STRAIGHT).replace("\r", "\n").strip()
    return _HEADING.sub("", text, count=1).strip()


def rare_word_frac(text: str, common: set[str]) -> float:
    """Share of the words that are not common; names do not count as words."""
    words = _words(text)
    return sum(word not in common for word in words) / max(1, len(words))


def subjects_of(text: str, too_common: set[str]) -> list[str]:
    """Phrases that say what a story is about: its opening hero and the nouns it keeps coming back to."""
    subjects = []
    opening = _OPENING.search(text[:300])
    if opening:
        subjects.append(opening.group(1))
    for word, count in Counter(_words(text)).most_common():
        if count < 4 or len(subjects) >= 5:
            break
        if word in too_common or word in _NOT_SUBJECTS or len(word) < 3:
            continue
        article = re.search(rf"\b(an? (?:[a-z]+ ){{0,2}}?{word})\b", text)
        if article:
            subjects.append(article.group(1))
    return subjects


@dataclass(slots=True)
class Corpus:
    """Stories as ids, ready to be batched."""

    codec: TextCodec
    stories: Sequence[Story]
    bodies: list[list[int]]
    context_tokens: int

    @classmethod
    def build(cls, codec: TextCodec, stories: Sequence[Story], context_tokens: int) -> "Corpus":
        """Encode every story once; prompts are encoded when they are drawn."""
        return cls(codec, stories, codec.encode_many([story.text for story in stories]), context_tokens)

    @property
    def num_tokens(self) -> int:
        """Tokens of all stories, without prompts."""
        return sum(len(body) for body in self.bodies)

    def example(self, index: int, rng: random.Random | None) -> tuple[list[int], int]:
        """Ids of one conversation and the length of its prompt; without `rng`, its first prompt."""
        prompts = self.stories[index].prompts
        head = self.codec.encode_prompt(prompts[0] if rng is None else rng.choice(prompts))
        return [*head, *self.bodies[index], self.codec.end_id][: self.context_tokens + 1], len(head)

    def epoch(self, seed: int, batch_tokens: int) -> Iterator[list[tuple[list[int], int]]]:
        """Every story once, in batches of similar length.

        One document a row: no document ever sees another, and with rows of similar length nearly
        nothing is padding.

        Args:
            seed: decides the order and the prompts.
            batch_tokens: upper limit of rows times the longest row.
        """
        rng = random.Random(seed)
        examples = [self.example(index, rng) for index in range(len(self.stories))]
        order = sorted(range(len(examples)), key=lambda index: len(examples[index][0]) + rng.random() * 24)
        batches: list[list[int]] = []
        longest = 0
        for index in order:
            longest = max(longest, len(examples[index][0]))
            if not batches or (len(batches[-1]) + 1) * longest > batch_tokens:
                batches.append([])
                longest = len(examples[index][0])
            batches[-1].append(index)
        rng.shuffle(batches)
        for batch in batches:
            yield [examples[index] for index in batch]


def _prompts_of(prompt: str, text: str, too_common: set[str]) -> tuple[str, ...]:
    title = _TITLE_IN_PROMPT.search(prompt)
    prompts = [prompt.translate(_STRAIGHT)]
    if title:
        prompts.append(_TEMPLATES[0].format(title.group(1).translate(_STRAIGHT)))
    subjects = subjects_of(text, too_common)
    rng = random.Random(prompt)
    for subject in subjects:
        prompts.extend(template.format(subject) for template in rng.sample(_TEMPLATES, 2))
    return tuple(prompts)


def _words(text: str) -> list[str]:
    return _WORD.findall(_CAPITAL_NAME.sub(lambda name: name[0] if name.start() == 0 else "", text))


def _read_lines(path: Path) -> Iterator[dict[str, str]]:
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)
