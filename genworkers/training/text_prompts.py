"""How the house's text net is asked: for a story by title, hero, noun or words, for a description, for a summary.

Every prompt is made from the text that answers it, so that a net which reads its prompt is always rewarded.
"""

import random
import re
from collections import Counter

PASSAGE_TASKS = frozenset(("summaries", "paraphrase"))
SCENES = "scenes"
NUM_WORD_PROMPTS = 6
NUM_OPENING_WORD_PROMPTS = 4
OPENING_CHARS = 600

_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
_CAPITAL_NAME = re.compile(r"\b[A-Z][a-z]+\b")
_TITLE_IN_PROMPT = re.compile(r"`([^`]+)`")
_PASSAGE = re.compile(r"\A(Describe|Summarize|Rewrite concisely|Interpret|Rephrase|Paraphrase) this story:\s*")
_OPENING = re.compile(
    r"\b(?:was|lived|lives|were|is)\s+(an? [a-z][^.,;:!?\"]{3,60}?)"
    r"(?= (?:who|that|with|lived|in|on|at|and h)\b|[.,;!?])"
)
STRAIGHT_QUOTES = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u00a0": " "})
_NOT_SUBJECTS = frozenset(
    re.findall(
        r"\w+",
        """day time way moment little big one first next story place world end other others people everyone name once
        upon thing things something nothing eyes eye heart voice hand hands face head life home lot long side back
        night morning afternoon evening while few group sense best special great new old young small good same
        whole rest""",
    )
)
_SUBJECT_WAYS = (
    "Write a story about {}.",
    "Write a story about {}",
    "Write a story about {}.",
    "Tell me a story about {}.",
    "Write a short story about {}.",
    "write a story about {}",
    "A story about {}",
    "{}",
)
_WORD_WAYS = (
    "Write a story with the words {}.",
    "Write a story that uses the words {}.",
    "Use the words {} in a story.",
    "Write a short story with the words {}.",
)
_DESCRIPTION_WAYS = ("Describe {}.", "Describe {}", "Write a description of {}.", "Write a short description of {}.")
_REPHRASE_WAYS = (
    "Rephrase this story:",
    "Paraphrase this story:",
    "Rephrase:",
    "Say this in other words:",
    "Rewrite this passage:",
)
_SUMMARY_WAYS = (
    "Summarize this story:",
    "Summarise:",
    "Summarize:",
    "Describe this story:",
    "What happens in this story?",
    "Rewrite concisely this story:",
)


def words_of(text: str) -> list[str]:
    """The text's words in small letters; names, which are words that begin with a capital, are left out."""
    return _WORD.findall(_CAPITAL_NAME.sub(lambda name: name[0] if name.start() == 0 else "", text))


def subjects_of(text: str, too_common: set[str]) -> list[str]:
    """Phrases that say what a story is about: its hero and the nouns of its opening that it keeps coming back to."""
    subjects = []
    opening = _OPENING.search(text[:300])
    if opening:
        subjects.append(opening.group(1))
    for word, count in Counter(words_of(text)).most_common():
        if count < 4 or len(subjects) >= 5:
            break
        if word in too_common or word in _NOT_SUBJECTS or len(word) < 3:
            continue
        article = re.search(rf"\b(an? (?:[a-z]+ ){{0,2}}?{word})\b", text[:OPENING_CHARS])
        if article:
            subjects.append(article.group(1))
    return subjects


def asked_words(text: str, too_common: set[str], rng: random.Random) -> list[str]:
    """Two to four words of the text, likelier those it uses up to four times; none if it has too few to choose from."""
    counts = Counter(words_of(text))
    words = [word for word in counts if len(word) > 3 and word not in too_common and word not in _NOT_SUBJECTS]
    if len(words) < 4:
        return []
    weights = [min(counts[word], 4) for word in words]
    chosen = list(dict.fromkeys(rng.choices(words, weights, k=8)))
    return chosen[: rng.choice((2, 3, 3, 4))]


def story_prompts(own_prompt: str, source: str, text: str, too_common: set[str]) -> tuple[str, ...]:
    """Ways to ask for a story: as the set does, by its title, by subjects of the text, by words of the text."""
    thing = "scene" if source == SCENES else "story"
    subject_ways = [way.replace("story", thing) for way in _SUBJECT_WAYS]
    word_ways = [way.replace("story", thing) for way in _WORD_WAYS]
    prompts = [own_prompt.translate(STRAIGHT_QUOTES)]
    title = title_in(own_prompt)
    if title:
        prompts.append(subject_ways[0].format(title))
    rng = random.Random(own_prompt)
    for subject in subjects_of(text, too_common):
        prompts.extend(way.format(subject) for way in rng.sample(subject_ways, 2))
    opening = text[:OPENING_CHARS].rpartition(" ")[0]
    for number in range(NUM_WORD_PROMPTS):
        # Words that come soon teach more: what is asked for hundreds of tokens earlier is hard to learn to use.
        words = asked_words(opening if number < NUM_OPENING_WORD_PROMPTS else text, too_common, rng)
        if words:
            prompts.append(rng.choice(word_ways).format(", ".join(words[:-1]) + " and " + words[-1]))
    return tuple(prompts)


def description_prompts(
    own_prompt: str, opening: str, text: str, too_common: set[str], rng: random.Random
) -> list[str]:
    """Ways to ask for a story's opening as a description of what stands in it; none if nothing does."""
    subjects = [subject for subject in subjects_of(opening + " " + text, too_common) if subject.split()[-1] in opening]
    title = title_in(own_prompt)
    if title:
        subjects.append(title)
    return [way.format(subject) for subject in subjects for way in rng.sample(_DESCRIPTION_WAYS, 2)]


def passage_of(own_prompt: str) -> str:
    """The passage that a summary or a rephrasing is of."""
    return _PASSAGE.sub("", own_prompt)


def passage_prompts(own_prompt: str, passage: str) -> tuple[str, ...]:
    """Ways to ask for a summary of the passage, or for a rephrasing where the set's own prompt asks for that."""
    verb = _PASSAGE.match(own_prompt)
    is_rephrasing = verb is not None and verb.group(1) in ("Rephrase", "Paraphrase")
    return tuple(f"{way}\n{passage}" for way in (_REPHRASE_WAYS if is_rephrasing else _SUMMARY_WAYS))


def title_in(own_prompt: str) -> str:
    """The title that the set's own prompt quotes, "" for none."""
    title = _TITLE_IN_PROMPT.search(own_prompt)
    return title.group(1).translate(STRAIGHT_QUOTES) if title else ""


def fixed_texts() -> list[str]:
    """Every way to ask, without what is asked for."""
    ways = [*_SUBJECT_WAYS, *_WORD_WAYS, *_DESCRIPTION_WAYS, *_REPHRASE_WAYS, *_SUMMARY_WAYS]
    return [way.replace("story", thing).format("") for way in ways for thing in ("story", "scene")]


def word_prompt_in(prompts: tuple[str, ...]) -> str:
    """The first of the prompts that asks for words, "" if none does."""
    return next((prompt for prompt in prompts if " the words " in prompt), "")
