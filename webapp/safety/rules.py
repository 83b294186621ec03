"""The rules screen: a workspace's own words and phrases, found through their disguises. Reads; writes nothing."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, TypeAlias
from uuid import UUID

from genworkers.contract import normalise
from webapp.safety.models import Action, BlockedTerm

Stage: TypeAlias = Literal["prompt", "input", "output"]
Words: TypeAlias = tuple[str, ...]

SCREEN = "rules"
RULES_VERSION = "1"
SEVERITY = {action: severity for severity, action in enumerate(Action.values)}

# Scripts that write no spaces between words: each character stands for itself, so a term is found inside a sentence.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003fffd"
)
_TOKEN = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+|[^\w\s]|_")


@dataclass(frozen=True, slots=True)
class ScreenResult:
    """What one screen said of one text or picture, and what follows from it.

    `matched` holds the workspace's terms as they were entered, or for a net the categories that fired, severest first;
    a net also has its `scores`, 0..1, and the number of the policy that weighed them. `content_sha256` is of what was
    judged, before anything was marked or signed, so that the same content is known again; empty where nobody asks.
    `may_be_kept` is False where what blocks is of a kind of which nothing may stay.
    """

    action: str
    screen: str
    version: str
    stage: Stage
    matched: list[str] = field(default_factory=list)
    scores: dict[str, float] = field(default_factory=dict)
    policy_number: int | None = None
    content_sha256: str = ""
    may_be_kept: bool = True


def severest(results: Iterable[ScreenResult]) -> str:
    """The action that wins over all others; allow when nobody said anything."""
    return max((result.action for result in results), key=SEVERITY.__getitem__, default=Action.ALLOW.value)


def _split(text: str) -> Words:
    return tuple(_TOKEN.findall(text))


def _only_words(tokens: Words) -> Words:
    return tuple(token for token in tokens if token[0].isalnum())


@lru_cache(maxsize=20_000)
def keys_of(term: str) -> frozenset[Words]:
    """The token sequences that stand for this term; empty when nothing visible is left of it."""
    return frozenset(_split(spelling) for spelling in normalise.spellings(term)) - {()}


def _views(text: str) -> set[Words]:
    """The text as it may have been meant: with and without its punctuation, in each strength of folding."""
    sequences = {_split(spelling) for spelling in normalise.spellings(text)}
    return sequences | {_only_words(tokens) for tokens in sequences}


def matching_terms(text: str, terms: Iterable[str]) -> list[str]:
    """The terms that stand in the text as whole words, in the order given."""
    terms = list(terms)
    keys_by_first: dict[str, list[tuple[Words, str]]] = defaultdict(list)
    for term in terms:
        for key in keys_of(term):
            keys_by_first[key[0]].append((key, term))
    found = set()
    for tokens in _views(text):
        for position, token in enumerate(tokens):
            for key, term in keys_by_first.get(token, ()):
                if tokens[position : position + len(key)] == key:
                    found.add(term)
    return [term for term in terms if term in found]


def terms_of(workspace_id: UUID) -> dict[str, str]:
    """The workspace's terms, each with the action that it demands."""
    terms = BlockedTerm.objects.filter(workspace_id=workspace_id).order_by("term")
    return dict(terms.values_list("term", "action"))


def judge(text: str, terms: Mapping[str, str], *, stage: Stage) -> ScreenResult:
    """The verdict of these terms on this text; the severest matching action wins.

    The version names the rules and, after the slash, the list of terms that was in force.
    """
    terms_digest = hashlib.sha256(repr(list(terms.items())).encode("utf-8", "backslashreplace")).hexdigest()[:8]
    matched = matching_terms(text, terms) if terms else []
    action = max((terms[term] for term in matched), key=SEVERITY.__getitem__, default=Action.ALLOW.value)
    return ScreenResult(action, SCREEN, f"{RULES_VERSION}/{terms_digest}", stage, matched)


def screen(text: str, *, workspace_id: UUID, stage: Stage) -> ScreenResult:
    """The verdict of the workspace's terms, as they are now, on this text."""
    return judge(text, terms_of(workspace_id), stage=stage)
