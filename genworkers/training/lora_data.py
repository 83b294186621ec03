"""Examples for an adapter from a JSONL file: {"prompt": ..., "response": ...} or {"text": ...} a line."""

import json
from pathlib import Path

from genworkers.codecs.text_bpe import TextCodec
from genworkers.training.text_batches import Example

FIELDS = ({"prompt", "response"}, {"text"})


class LoraDataError(ValueError):
    """A line that cannot be learnt from; the message names file, line and field."""

    def __init__(self, path: Path, line: int, reason: str) -> None:
        super().__init__(f"{path} line {line}: {reason}")


def read_examples(path: Path, codec: TextCodec, context_tokens: int) -> list[Example]:
    """Ids of every row and how many of them are not learnt: the prompt, or the first token of a text.

    Empty lines are passed over.

    Raises:
        LoraDataError: a line is not JSON or no object, lacks a field or has another one, a field is no text or
            empty, or the row does not fit into the context; or the file holds no row.
        OSError: the file cannot be read.
    """
    examples = []
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if line.strip():
            row = _row(path, number, line)
            if "text" in row:
                ids, num_prompt = codec.encode_raw(row["text"]), 1
            else:
                ids = codec.encode_prompt(row["prompt"])
                num_prompt = len(ids)
                ids += codec.encode(row["response"])
            if len(ids) > context_tokens:
                reason = f"{' and '.join(sorted(row))} have {len(ids)} tokens together, the net reads {context_tokens}"
                raise LoraDataError(path, number, reason)
            examples.append(([*ids, codec.end_id], num_prompt))
    if not examples:
        raise LoraDataError(path, 1, "the file holds no row")
    return examples


def _row(path: Path, number: int, line: bytes) -> dict[str, str]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise LoraDataError(path, number, f"is not JSON ({error})") from error
    if not isinstance(row, dict):
        raise LoraDataError(path, number, 'must be an object like {"prompt": "...", "response": "..."}')
    if row.keys() not in FIELDS:
        found = ", ".join(sorted(row)) or "none"
        raise LoraDataError(path, number, f"must have the fields prompt and response, or text alone; it has {found}")
    for name, value in row.items():
        if not isinstance(value, str) or not value.strip():
            raise LoraDataError(path, number, f"field {name!r} must be a text that is not empty")
    return row
