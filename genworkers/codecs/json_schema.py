"""JSON schemas that strangers write: what is refused before anything is compiled, and errors in plain words."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from genworkers.contract.text import MAX_SCHEMA_CHARS, MAX_SCHEMA_DEPTH

MAX_REMAINDERS = 10_000
MAX_WORD_CHARS = 1_000
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


class SchemaError(ValueError):
    """A schema that cannot be followed; the message names the place in it and says why."""


def check_size(schema: Mapping[str, Any]) -> None:
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
    for place, depth, value in walk(schema, "#", 0):
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


def walk(value: Any, place: str, depth: int) -> Iterator[tuple[str, int, Any]]:
    """Every value in a schema that decides something, with its JSON pointer and depth, outermost first.

    One beyond the deepest allowed is yielded, none below it.
    """
    yield place, depth, value
    if depth > MAX_SCHEMA_DEPTH:
        return
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        if not (key in ANNOTATIONS and isinstance(child, str)):
            yield from walk(child, f"{place}/{key}", depth + 1)


def plain_reason(error: str) -> str:
    """An error of llguidance in our words: one line, without its hints for programmers; "" stays ""."""
    line = " ".join(part for part in error.splitlines() if part.strip("^ "))
    line = re.split(r"\. Enable |; consider |<non-verbose/>|<state>", line)[0].strip()
    if line.startswith("NoExtension"):
        return "no text fits it"
    for pattern, words in WORDS_FOR_ERRORS:
        line = re.sub(pattern, words, line)
    return line[:MAX_REASON_CHARS]
