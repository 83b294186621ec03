"""Text that must be JSON and fit a schema: which tokens may come next. The grammar itself is llguidance's.

Every bound here is for schemas that strangers write: what takes too long or too much memory is refused.
"""

import itertools
import json
import math
import threading
import weakref
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper
from numpy.typing import NDArray

from genworkers.codecs.json_closing import ClosingTokens, JsonTail
from genworkers.codecs.json_schema import SchemaError, check_size, plain_reason, walk
from genworkers.codecs.text_bpe import TextCodec

if TYPE_CHECKING:
    from llguidance._lib import JsonCompileOptions

MAX_PLACES_TRIED = 300
MAX_TOKENS_TO_CLOSE = 512
CLOSING_MARGIN_TOKENS = 8

LIMITS = LLParserLimits(
    initial_lexer_fuel=500_000,
    step_lexer_fuel=50_000,
    step_max_items=20_000,
    max_items_in_row=8_000,
    max_lexer_states=20_000,
    verbose_errors=False,
)
# At most one space, and only behind a comma or a colon: a small net that may pad pads forever.
LAYOUT: "JsonCompileOptions" = {
    "item_separator": ", ?",
    "key_separator": ": ?",
    "whitespace_flexible": False,
    "coerce_one_of": False,
    "lenient": False,
}


class Grammar:
    """A compiled schema; `start` as many texts from it as needed."""

    def __init__(self, matcher: LLMatcher, vocabulary: "_Vocabulary") -> None:
        self._matcher = matcher
        self._vocabulary = vocabulary

    @classmethod
    def compile(cls, schema: Mapping[str, Any], codec: TextCodec) -> "Grammar":
        """Prepare a schema for a tokenizer; takes milliseconds, up to a second for the first of a large tokenizer.

        Args:
            schema: JSON schema; {} allows any JSON object.

        Raises:
            SchemaError: the schema is no valid one, uses what is not supported, allows nothing, or is too complex.
        """
        # llguidance reads settings from this key that would let the text be something else than JSON.
        wanted = {key: value for key, value in schema.items() if key != "x-guidance"} or {"type": "object"}
        check_size(wanted)
        vocabulary = _vocabulary_of(codec)
        matcher, error = _matcher(wanted, vocabulary.tokenizer)
        if error:
            raise SchemaError(f"{_blame(wanted, error, vocabulary.tokenizer)}: {error}")
        return cls(matcher, vocabulary)

    def start(self) -> "GrammarState":
        """A text that is still empty."""
        return GrammarState(self._matcher.deep_copy(), self._vocabulary)


class GrammarState:
    """One text on its way through a grammar."""

    def __init__(self, matcher: LLMatcher, vocabulary: "_Vocabulary") -> None:
        self._matcher = matcher
        self._vocabulary = vocabulary
        self._tail = JsonTail()
        self._is_closing = False
        self._check_closing_at: float = math.inf

    @property
    def is_finished(self) -> bool:
        """Whether the JSON value is complete and cannot go on: only end tokens may follow."""
        return self._matcher.is_stopped()

    def mask(self, num_left: int | None = None) -> NDArray[np.bool_]:
        """(codec.vocab_size,), True for each token that may come next; at least one is.

        Numbers get no more digits than a float keeps, unless the schema asks for them.

        Args:
            num_left: how many tokens may still be written; while they are just enough, only those are allowed that
                bring the text to its end. None sets no limit. Call with every number of tokens or with None always.

        Raises:
            SchemaError: following the schema became too complex here.
        """
        mask = self._vocabulary.mask_of(self._matcher)
        self._check()
        mask = self._vocabulary.closing.without_endless_numbers(mask, self._tail)
        if num_left is not None and self._must_close(num_left):
            mask = self._vocabulary.closing.soonest(mask, self._tail)
        return mask

    def accept(self, token_id: int) -> None:
        """Go on by a token that the mask allows, an end token included.

        Raises:
            SchemaError: the token is not allowed here, or following the schema became too complex.
        """
        self._matcher.consume_token(token_id)
        self._check()
        self._tail.push(self._vocabulary.tokens[token_id])

    def _check(self) -> None:
        if self._matcher.is_error():
            raise SchemaError(plain_reason(self._matcher.get_error()))

    def _must_close(self, num_left: int) -> bool:
        """Whether the text must come to its end now; looked at more and more often as the tokens run out."""
        if not self._is_closing and num_left <= min(self._check_closing_at, MAX_TOKENS_TO_CLOSE):
            needed = self._num_needed(num_left)
            if needed is None:
                self._check_closing_at = -1  # out of reach: the text will be cut wherever it is
            else:
                spare = num_left - needed - needed // 4 - CLOSING_MARGIN_TOKENS
                self._is_closing = spare <= 0
                self._check_closing_at = num_left - max(1, spare // 4)
        return self._is_closing

    def _num_needed(self, num_left: int) -> int | None:
        """How many tokens the shortest way to the end takes; None if more than are left."""
        matcher, tail = self._matcher.deep_copy(), replace(self._tail)
        for num_written in range(num_left):
            if matcher.is_stopped():
                return None if matcher.is_error() else num_written
            mask = self._vocabulary.mask_of(matcher)
            token_id = int(self._vocabulary.closing.soonest(mask, tail).argmax())
            matcher.consume_token(token_id)
            tail.push(self._vocabulary.tokens[token_id])
        return None


class _Vocabulary:
    """A codec as llguidance wants to see it; does not keep the codec alive, so that a cache by codec can forget it."""

    def __init__(self, codec: TextCodec) -> None:
        self._codec = weakref.ref(codec)
        self.eos_token_id = codec.end_id
        self.bos_token_id = None
        self.special_token_ids = sorted(codec.special_ids)
        self.tokens = [codec.bytes_of(token_id) for token_id in range(codec.vocab_size)]
        self.closing = ClosingTokens.of(self.tokens, codec.end_ids)
        self.tokenizer = LLTokenizer(
            TokenizerWrapper(self),
            n_vocab=codec.vocab_size,
            eos_token=sorted(codec.end_ids),
            slices=LLTokenizer.json_slices(),
        )

    def mask_of(self, matcher: LLMatcher) -> NDArray[np.bool_]:
        """(V,), True for the tokens that a matcher allows next."""
        bits = np.frombuffer(matcher.compute_bitmask(), np.uint8)
        return np.unpackbits(bits, count=len(self.tokens), bitorder="little").view(np.bool_)

    def __call__(self, text: str) -> list[int]:
        """Ids of a text: the tokens that are forced where the schema leaves no choice."""
        codec = self._codec()
        return [] if codec is None else codec.encode(text)


_vocabularies: "weakref.WeakKeyDictionary[TextCodec, _Vocabulary]" = weakref.WeakKeyDictionary()
_vocabularies_lock = threading.Lock()


def _vocabulary_of(codec: TextCodec) -> _Vocabulary:
    with _vocabularies_lock:
        if codec not in _vocabularies:
            _vocabularies[codec] = _Vocabulary(codec)
        return _vocabularies[codec]


def _matcher(schema: Mapping[str, Any], tokenizer: LLTokenizer) -> tuple[LLMatcher, str]:
    """A matcher at the start of a text, and what is wrong with it, "" if nothing is."""
    grammar = LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides=LAYOUT)
    matcher = LLMatcher(tokenizer, grammar, log_level=0, limits=LIMITS)
    probe = matcher.deep_copy()
    if not probe.is_error():
        probe.compute_bitmask()  # some errors show only here
    return matcher, plain_reason(probe.get_error())


def _blame(schema: Mapping[str, Any], error: str, tokenizer: LLTokenizer) -> str:
    """JSON pointer to the innermost place that is wrong in the same way when it is compiled by itself."""
    shared = {key: schema[key] for key in ("$defs", "definitions", "$schema") if key in schema}
    blamed = "#"
    parts = ((place, part) for place, _, part in walk(schema, "#", 0) if isinstance(part, dict))
    for place, part in itertools.islice(parts, 1, MAX_PLACES_TRIED):
        if place.startswith(blamed + "/") and _matcher({**shared, **part}, tokenizer)[1] == error:
            blamed = place
    return blamed
