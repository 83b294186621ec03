"""Looks for our marks in one file of a stranger, in a process of its own (`webapp/processes.py`): no net, no database.

In: one JSON line (`contract.examination.Question`), then the bytes. Out: one `Examination`. Memory and time are bounded
by the system.
"""

import resource
import sys
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import ImageFile
from tokenizers import Tokenizer

from genworkers.codecs import frames
from genworkers.codecs.image_bytes import Pixels
from genworkers.contract.examination import (
    FALSE_POSITIVE_FRAC,
    MAX_TEXT_CHARS,
    Examination,
    FoundMark,
    Question,
)
from genworkers.marks import fingerprint, image_mark, text_mark
from genworkers.marks.keys import MarkKey

MEMORY_BYTES = 3 * 1024**3
CPU_S = 20
WINDOW_TOKENS = 400
# What every key is tried on with every tokenizer: a million characters take up to a second, and all has to fit CPU_S.
MAX_CHARS_TRIED = 5_000_000
FEWEST_CHARS = 2_000


def examined(question: Question, data: bytes) -> Examination:
    """What these bytes say."""
    keys = [MarkKey(key.key_id, bytes.fromhex(key.secret)) for key in question.keys]
    try:
        if question.medium == "text":
            return _text(data.decode("utf-8", "replace"), keys, question.tokenizers)
        return _pictures(frames.of_film(data) if question.medium == "film" else frames.of_picture(data), keys)
    except frames.UnreadableError as error:
        return Examination(problem=str(error))
    except MemoryError:
        return Examination(problem="it needs more memory than looking at one file may take")
    except frames.BROKEN as error:
        return Examination(problem=f"the file is damaged or ends too early: {error}")


def _pictures(shown: Sequence[Pixels], keys: Sequence[MarkKey]) -> Examination:
    found = image_mark.findings(np.stack(shown), keys)
    marks = [
        FoundMark(key_id=one.key_id, payload=f"{one.payload:09x}" if one.is_agreed else "", p_value=one.p_value)
        for one in found
    ]
    value = fingerprint.of_picture(shown[0])
    return Examination(
        mark=next(iter(marks), None), others=marks[1:], fingerprint=value.hex(), bands=list(fingerprint.bands(value))
    )


def _text(text: str, keys: Sequence[MarkKey], tokenizers: Sequence[str]) -> Examination:
    best: FoundMark | None = None
    most_scored = 0
    text, whole = text[:MAX_TEXT_CHARS], text
    affordable = MAX_CHARS_TRIED // max(1, len(keys) * len(tokenizers))
    looked_at = text[: max(FEWEST_CHARS, affordable)]
    for path in tokenizers:
        spans = list(_spans(_ids(path, looked_at)))
        for span in spans:
            found = text_mark.detect_any(span, keys)
            if found is None:
                continue
            key, score = found
            most_scored = max(most_scored, score.num_scored)
            p_value = min(1.0, score.p_value * len(spans) * len(tokenizers))  # the union bound: parts overlap
            if best is None or p_value < best.p_value:
                best = FoundMark(key_id=key.key_id, p_value=p_value)
    is_marked = best is not None and best.p_value <= FALSE_POSITIVE_FRAC["text"]
    value = fingerprint.of_text(text)
    return Examination(
        mark=best if is_marked else None,
        num_scored=most_scored,
        is_whole=len(looked_at) == len(whole),
        fingerprint=value.hex(),
        bands=list(fingerprint.bands(value)),
    )


def _ids(path: str, text: str) -> list[int]:
    tokenizer = Tokenizer.from_file(path)
    tokenizer.no_truncation()
    tokenizer.encode_special_tokens = True  # "<|end|>" in a stranger's text is text
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return ids


def _spans(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    """The whole, and where it is long also its parts: somebody may have written around what a net wrote."""
    yield ids
    if len(ids) > 2 * WINDOW_TOKENS:
        for start in range(0, len(ids) - WINDOW_TOKENS // 2, WINDOW_TOKENS // 2):
            yield ids[start : start + WINDOW_TOKENS]


def main() -> None:
    """Answer for what is on standard input."""
    ImageFile.LOAD_TRUNCATED_IMAGES = True  # what is left of a damaged picture may still say whose it is
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    head, _, data = sys.stdin.buffer.read().partition(b"\n")
    sys.stdout.write(examined(Question.model_validate_json(head), data).model_dump_json())


if __name__ == "__main__":
    main()
