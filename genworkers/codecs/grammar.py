"""Text that must be JSON and fit a schema: which tokens may come next. The grammar itself is llguidance's.

Every bound here is for schemas that strangers write: what takes too long or too much memory is refused.
"""

import itertools
import json
import math
import re
import threading
import weakref
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper
from numpy.typing import NDArray

from genworkers.codecs.text_bpe import TextCodec
from genworkers.contract import MAX_SCHEMA_CHARS, MAX_SCHEMA_DEPTH

if TYPE_CHECKING:
    from llguidance._lib import JsonCompileOptions

MAX_REMAINDERS = 10_000
MAX_WORD_CHARS = 1_000
MAX_PLACES_TRIED = 300
MAX_REASON_CHARS = 300

ANNOTATIONS = ("title", "description", "$comment")
WORDS_FOR_ERRORS = (
    (r"Unimplemented keys: \[(.*)\]", r"not supported: \1"),
    (r"^Unsatisfiable schema: ", "nothing fits it: "),
    (r"^oneOf constraints are not supported", "oneOf is supported only where no value can fit two of its schemas"),
    (r"^Resource '(.*)' is not present.*", r"$ref to \1: only places in the schema itself are read"),
    (
        r"^(lexer error: )?too many expressions constructed|^initial lexer.*|^LexerTooComplex.*",
        "is too complex to follow",
    ),
)

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


class SchemaError(ValueError):
    """A schema that cannot be followed; the message names the place in it and says why."""


class Grammar:
    """A compiled schema; `start` as many texts from it as needed."""

    def __init__(self, matcher: LLMatcher, vocab_size: int) -> None:
        self._matcher = matcher
        self._vocab_size = vocab_size

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
        _check_size(wanted)
        tokenizer = _tokenizer_of(codec)
        matcher, error = _matcher(wanted, tokenizer)
        if error:
            raise SchemaError(f"{_blame(wanted, error, tokenizer)}: {error}")
        return cls(matcher, codec.vocab_size)

    def start(self) -> "GrammarState":
        """A text that is still empty."""
        return GrammarState(self._matcher.deep_copy(), self._vocab_size)


class GrammarState:
    """One text on its way through a grammar."""

    def __init__(self, matcher: LLMatcher, vocab_size: int) -> None:
        self._matcher = matcher
        self._vocab_size = vocab_size

    @property
    def is_finished(self) -> bool:
        """Whether the JSON value is complete and cannot go on: only end tokens may follow."""
        return self._matcher.is_stopped()

    def mask(self) -> NDArray[np.bool_]:
        """(codec.vocab_size,), True for each token that may come next; at least one is.

        Raises:
            SchemaError: following the schema became too complex here.
        """
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        self._check()
        return np.unpackbits(bits, count=self._vocab_size, bitorder="little").view(np.bool_)

    def accept(self, token_id: int) -> None:
        """Go on by a token that the mask allows, an end token included.

        Raises:
            SchemaError: the token is not allowed here, or following the schema became too complex.
        """
        self._matcher.consume_token(token_id)
        self._check()

    def _check(self) -> None:
        if self._matcher.is_error():
            raise SchemaError(_plain(self._matcher.get_error()))


class _Vocabulary:
    """A codec as llguidance wants to see it; does not keep the codec alive, so that a cache by codec can forget it."""

    def __init__(self, codec: TextCodec) -> None:
        self._codec = weakref.ref(codec)
        self.eos_token_id = codec.end_id
        self.bos_token_id = None
        self.special_token_ids = sorted(codec.special_ids)
        self.tokens = [codec.bytes_of(token_id) for token_id in range(codec.vocab_size)]

    def __call__(self, text: str) -> list[int]:
        """Ids of a text: the tokens that are forced where the schema leaves no choice."""
        codec = self._codec()
        return [] if codec is None else codec.encode(text)


_tokenizers: "weakref.WeakKeyDictionary[TextCodec, LLTokenizer]" = weakref.WeakKeyDictionary()
_tokenizers_lock = threading.Lock()


def _tokenizer_of(codec: TextCodec) -> LLTokenizer:
    with _tokenizers_lock:
        if codec not in _tokenizers:
            _tokenizers[codec] = LLTokenizer(
                TokenizerWrapper(_Vocabulary(codec)),
                n_vocab=codec.vocab_size,
                eos_token=sorted(codec.end_ids),
                slices=LLTokenizer.json_slices(),
            )
        return _tokenizers[codec]


def _matcher(schema: Mapping[str, Any], tokenizer: LLTokenizer) -> tuple[LLMatcher, str]:
    """A matcher at the start of a text, and what is wrong with it, "" if nothing is."""
    grammar = LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides=LAYOUT)
    matcher = LLMatcher(tokenizer, grammar, log_level=0, limits=LIMITS)
    probe = matcher.deep_copy()
    if not probe.is_error():
        probe.compute_bitmask()  # some errors show only here
    return matcher, _plain(probe.get_error())


def _plain(error: str) -> str:
    """An error of llguidance in our words: one line, without its hints for programmers; "" stays ""."""
    line = " ".join(part for part in error.splitlines() if part.strip("^ "))
    line = re.split(r"\. Enable |; consider |<non-verbose/>|<state>", line)[0].strip()
    if line.startswith("NoExtension"):
        return "no text fits it"
    for pattern, words in WORDS_FOR_ERRORS:
        line = re.sub(pattern, words, line)
    return line[:MAX_REASON_CHARS]


def _check_size(schema: Mapping[str, Any]) -> None:
    """Refuse what would take too long to even look at.

    Raises:
        SchemaError: too long, too deep, a long string, or a multipleOf that needs too many states.
    """
    try:
        num_chars = len(json.dumps(schema, allow_nan=False))
    except (RecursionError, TypeError, ValueError) as error:
        raise SchemaError(f"#: is not JSON ({error})") from error
    if num_chars > MAX_SCHEMA_CHARS:
        raise SchemaError(f"#: has {num_chars} characters, at most {MAX_SCHEMA_CHARS} are read")
    steps: list[Fraction] = []
    for place, depth, value in _walk(schema, "#", 0):
        if depth > MAX_SCHEMA_DEPTH:
            raise SchemaError(f"#: is nested deeper than {MAX_SCHEMA_DEPTH}")
        for word in value if isinstance(value, dict) else [value]:
            # Where only one text is left, all of it is read again for every token.
            if isinstance(word, str) and len(word) > MAX_WORD_CHARS:
                raise SchemaError(f"{place}: a string has {len(word)} characters, at most {MAX_WORD_CHARS} are read")
        step = value.get("multipleOf") if isinstance(value, dict) else None
        if isinstance(step, int | float) and 0 < step < math.inf:
            steps.append(Fraction(str(step)))
    # Each remainder is a state of its own, and several conditions on one number multiply theirs.
    num_states = math.lcm(*(step.numerator for step in steps)) * math.lcm(*(step.denominator for step in steps))
    if num_states > MAX_REMAINDERS:
        raise SchemaError(f"multipleOf: all of them together need {num_states} remainders, at most {MAX_REMAINDERS}")


def _walk(value: Any, place: str, depth: int) -> Iterator[tuple[str, int, Any]]:
    """Every value in a schema that decides something, with its JSON pointer and depth, outermost first.

    One beyond the deepest allowed is yielded, none below it.
    """
    yield place, depth, value
    if depth > MAX_SCHEMA_DEPTH:
        return
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        if not (key in ANNOTATIONS and isinstance(child, str)):
            yield from _walk(child, f"{place}/{key}", depth + 1)


def _blame(schema: Mapping[str, Any], error: str, tokenizer: LLTokenizer) -> str:
    """JSON pointer to the innermost place that is wrong in the same way when it is compiled by itself."""
    shared = {key: schema[key] for key in ("$defs", "definitions", "$schema") if key in schema}
    blamed = "#"
    parts = ((place, part) for place, _, part in _walk(schema, "#", 0) if isinstance(part, dict))
    for place, part in itertools.islice(parts, 1, MAX_PLACES_TRIED):
        if place.startswith(blamed + "/") and _matcher({**shared, **part}, tokenizer)[1] == error:
            blamed = place
    return blamed
