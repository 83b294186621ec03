"""What the house's text net learns from: reading the sets, choosing what is simple enough, the held-out split.

The corpora stay outside the repository; every script takes their folder as `--corpus`. Run as a program,
`python -m genworkers.training.text_data --out FILE`, it writes the documents for `genworkers.evaluation.text`.
"""

import argparse
import hashlib
import json
import lzma
import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from genworkers.training.text_prompts import (
    PASSAGE_TASKS,
    SCENES,
    STRAIGHT_QUOTES,
    description_prompts,
    passage_of,
    passage_prompts,
    story_prompts,
    word_prompt_in,
    words_of,
)

# Categories that may be read, simplest first, with the largest share of words outside the
# vocabulary of "child" at which a document is still taken.
RARE_WORD_LIMITS = {
    "child": 1.0,
    "stories": 0.17,
    "slice-of-life": 0.17,
    "bedtime": 0.17,
    "campfire": 0.13,
    SCENES: 0.19,
}
COMMON_WORDS = 3000
MIN_STORY_CHARS = 200
DESCRIPTIONS = "descriptions"
DESCRIPTION_CHARS = range(160, 801)
DESCRIBED_FRAC = 0.6

_HEADING = re.compile(r"\A\s*(?:\*\*|#+ ?|\")?([^\n.!?]{1,90})(?:\*\*|\")?\s*\n\n")
_CHAPTER = re.compile(r"\A\s*(?:CHAPTER|Chapter|SCENE|Scene|INT\.|EXT\.)[^\n]*\n+")
_SPEAKER = re.compile(r"(?m)^[A-Z][A-Za-z ]{1,30}:")


@dataclass(frozen=True, slots=True)
class Story:
    """One document to learn from.

    Args:
        key: stable name, which decides whether the document is held out.
        source: the set and category it came from, or "descriptions".
        prompts: ways to ask for it, at least one, the set's own first.
        text: the answer.
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
    """Stories, scenes, descriptions, summaries, rephrasings simple enough for a small net, in a fixed order.

    Left out: scripts (a scene in which speakers are named), anything with directions in brackets or with markup.

    Args:
        folder: of the corpora; holds `text/`.
    """
    rows = list(_read_lines(folder / "text" / "instruct-stories.jsonl.xz"))
    raw: list[tuple[str, str, str, str]] = []  # key, source, prompt, text
    for row in rows:
        source, prompt = row["category"], row["prompt"]
        if source in RARE_WORD_LIMITS:
            text = clean_text(_CHAPTER.sub("", row["response"].strip()))
            if source != SCENES or not _SPEAKER.search(text):
                raw.append((prompt, source, prompt, text))
    for row in _read_lines(folder / "text" / "storybooks.jsonl.xz"):
        if row["lang"] == "en":
            text = "\n\n".join(" ".join(page.split()) for page in row["pages"])
            raw.append((row["id"], "storybooks", f"Write a story called `{row['title']}`.", clean_text(text)))

    frequency = Counter(word for _, source, _, text in raw if source == "child" for word in words_of(text))
    common = {word for word, _ in frequency.most_common(COMMON_WORDS)}
    chosen = [
        one
        for one in raw
        if len(one[3]) >= MIN_STORY_CHARS
        and "[" not in one[3]
        and "**" not in one[3]
        and rare_word_frac(one[3], common) <= RARE_WORD_LIMITS.get(one[1], 1.0)
    ]
    num_documents_with = Counter(word for _, _, _, text in chosen for word in set(words_of(text)))
    too_common = {word for word, count in num_documents_with.items() if count > 0.2 * len(chosen)}
    stories = [
        Story(key=key, source=source, prompts=story_prompts(prompt, source, text, too_common), text=text)
        for key, source, prompt, text in chosen
    ]
    descriptions = [one for story in stories if (one := _description(story, too_common)) is not None]
    passages = [_passage_task(row) for row in rows if row["category"] in PASSAGE_TASKS and "[" not in row["response"]]
    return sorted(stories + descriptions + passages, key=lambda story: (story.source, story.key))


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
    text = text.translate(STRAIGHT_QUOTES).replace("\r", "\n").strip()
    return _HEADING.sub("", text, count=1).strip()


def rare_word_frac(text: str, common: set[str]) -> float:
    """Share of the words that are not common; names do not count as words."""
    words = words_of(text)
    return sum(word not in common for word in words) / max(1, len(words))


def _passage_task(row: dict[str, str]) -> Story:
    passage = clean_text(passage_of(row["prompt"]))
    prompts = passage_prompts(row["prompt"], passage)
    return Story(key=row["prompt"], source=row["category"], prompts=prompts, text=clean_text(row["response"]))


def _description(story: Story, too_common: set[str]) -> Story | None:
    """The opening of a story that paints before anybody speaks, asked for as a description."""
    opening = story.text.split("\n\n")[0]
    rng = random.Random(story.key)
    if '"' in opening or len(opening) not in DESCRIPTION_CHARS or rng.random() < 1 - DESCRIBED_FRAC:
        return None
    prompts = description_prompts(story.prompts[0], opening, story.text, too_common, rng)
    return Story(story.key, DESCRIPTIONS, tuple(prompts), opening) if prompts else None


def _read_lines(path: Path) -> Iterator[dict[str, str]]:
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def main() -> None:
    """Write one JSON line a document: split ("learnt" or "held_out"), source, prompt, word_prompt, text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, default=Path("../shared/data"))
    arguments = parser.parse_args()
    with arguments.out.open("w", encoding="utf-8") as lines:
        for story in read_stories(arguments.corpus):
            facts = {
                "split": "held_out" if story.is_held_out else "learnt",
                "source": story.source,
                "prompt": story.prompts[0],
                "word_prompt": word_prompt_in(story.prompts),
                "text": story.text,
            }
            lines.write(json.dumps(facts, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
