"""Measures of what a text net writes. They count words and compare them; none of them says whether a text is good."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

SPAN_SEED_WORDS = 4
MIN_CONTENT_LETTERS = 4
_WORD = re.compile(r"[A-Za-z']+")
_LISTED = re.compile(r"the words (.+?)(?: in a (?:story|scene))?\.?\Z")
_ENDINGS = ("", "s", "es", "d", "ed", "ing", "'s", "ly")
_FUNCTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        """about above after again against also although always among another around because been before began being
        below between both came could during each even ever every from have having here hers herself himself however
        into itself just like made many more most much must myself never only onto other others over same shall should
        since some soon still such than that their theirs them themselves then there these they this those though
        through together toward towards under until upon very were what when where whether which while whom whose will
        with within without would your yours yourself""",
    )
)


def words_in(text: str) -> list[str]:
    """The text's words in small letters."""
    return _WORD.findall(text.lower())


def distinct_frac(texts: Iterable[str], n: int) -> float:
    """Distinct word n-grams over all word n-grams: 1 never repeats itself.

    Li et al. 2016, "A Diversity-Promoting Objective Function for Neural Conversation Models"
    (arXiv:1510.03055), section 5.

    Raises:
        ValueError: the texts hold no n-gram.
    """
    grams = [gram for text in texts for gram in _grams(text, n)]
    if not grams:
        raise ValueError(f"the texts hold no {n} words in a row")
    return len(set(grams)) / len(grams)


def repeated_frac(texts: Iterable[str], n: int) -> float:
    """Share of word n-grams that stood in the same text before, the mean over texts that hold any; 0 for none.

    Welleck et al. 2020, "Neural Text Generation with Unlikelihood Training" (arXiv:1908.04319): seq-rep-n.
    Differs from the paper: words, not tokens.
    """
    shares = [1 - len(set(grams)) / len(grams) for text in texts if (grams := _grams(text, n))]
    return sum(shares) / len(shares) if shares else 0.0


def words_asked_for(prompt: str) -> list[str]:
    """The words that a prompt lists: "Use the words fox, lake and snow in a story." gives fox, lake and snow."""
    listed = _LISTED.search(prompt)
    return re.split(r", | and ", listed.group(1)) if listed else []


def used_frac(words: Sequence[str], text: str) -> float:
    """Share of the words that occur in the text, also with an ending like -s, -ed or -ing.

    Raises:
        ValueError: no words were asked for.
    """
    if not words:
        raise ValueError("no words were asked for")
    found = set(words_in(text))
    return sum(any(word.lower() + ending in found for ending in _ENDINGS) for word in words) / len(words)


def supported_frac(text: str, passage: str) -> float:
    """Share of a text's content words that occur in the passage: a summary that invents nothing comes near 1.

    Content words have four letters or more and are no function words; endings like -s, -ed and -ing may differ.
    """
    content = [word for word in words_in(text) if len(word) >= MIN_CONTENT_LETTERS and word not in _FUNCTION_WORDS]
    stems = {_stem(word) for word in words_in(passage)}
    return sum(_stem(word) in stems for word in content) / max(1, len(content))


def length_ratio(text: str, passage: str) -> float:
    """Words of the text over words of the passage."""
    return len(words_in(text)) / max(1, len(words_in(passage)))


def copied_frac(text: str, passage: str) -> float:
    """Share of a text's words that lie in runs of four or more words of the passage: 1 is a copy."""
    words = words_in(text)
    known = set(_grams(passage, SPAN_SEED_WORDS))
    copied: set[int] = set()
    for start in range(len(words) - SPAN_SEED_WORDS + 1):
        if tuple(words[start : start + SPAN_SEED_WORDS]) in known:
            copied.update(range(start, start + SPAN_SEED_WORDS))
    return len(copied) / max(1, len(words))


def longest_copied_spans(texts: Sequence[str], sources: Iterable[str]) -> list[str]:
    """For each text its longest run of words that stands in one of the sources.

    Runs shorter than four words count as none.
    """
    words_of = [words_in(text) for text in texts]
    places: dict[tuple[str, ...], list[tuple[int, int]]] = defaultdict(list)
    for index, words in enumerate(words_of):
        for start in range(len(words) - SPAN_SEED_WORDS + 1):
            places[tuple(words[start : start + SPAN_SEED_WORDS])].append((index, start))
    longest: list[list[str]] = [[] for _ in texts]
    for source in sources:
        read = words_in(source)
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


def _grams(text: str, n: int) -> list[tuple[str, ...]]:
    words = words_in(text)
    return [tuple(words[start : start + n]) for start in range(len(words) - n + 1)]


def _stem(word: str) -> str:
    for ending in ("'s", "ing", "ed", "es", "s", "ly", "d"):
        if word.endswith(ending) and len(word) - len(ending) >= MIN_CONTENT_LETTERS - 1:
            return word.removesuffix(ending).removesuffix("e")
    return word.removesuffix("e")
