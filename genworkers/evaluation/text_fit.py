"""How well a text net predicts documents: bits per byte, in all and by source."""

import json
import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional as F

from genworkers.codecs.text_bpe import TextCodec
from genworkers.nets.decoder import Decoder


@dataclass(frozen=True, slots=True)
class Document:
    """A text and the prompt that asks for it.

    Args:
        source: the set and category it came from.
        word_prompt: a prompt that asks for words of the text, "" for none.
    """

    prompt: str
    text: str
    source: str = ""
    word_prompt: str = ""


@dataclass(frozen=True, slots=True)
class Fit:
    """How well a net predicts documents.

    Args:
        bits_per_byte: bits of the text's tokens over bytes of the same text, without prompts and special tokens.
        nats_per_token: the same losses over tokens.
        num_bytes: of text that was scored.
    """

    bits_per_byte: float
    nats_per_token: float
    num_bytes: int

    @classmethod
    def of(cls, nats: float, num_tokens: int, num_bytes: int) -> "Fit":
        """From sums over tokens."""
        return cls(nats / math.log(2) / num_bytes, nats / num_tokens, num_bytes)


def read_documents(path: Path) -> tuple[list[Document], list[Document]]:
    """Learnt and held-out documents of a file that `python -m genworkers.training.text_data` wrote.

    Raises:
        ValueError: a line is not what that command writes; the message names the file and the line.
    """
    documents: dict[str, list[Document]] = {"learnt": [], "held_out": []}
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if line:
            try:
                row = json.loads(line)
                documents[row["split"]].append(Document(row["prompt"], row["text"], row["source"], row["word_prompt"]))
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(f"{path} line {number}: is no document ({error!r})") from error
    return documents["learnt"], documents["held_out"]


def scored_ids(codec: TextCodec, document: Document, context_tokens: int) -> tuple[list[int], int]:
    """Ids of prompt and text, cut where the context ends, and how many of them are the prompt."""
    head = codec.encode_prompt(document.prompt)
    return [*head, *codec.encode(document.text)][: context_tokens + 1], len(head)


def measure_fit(net: Decoder, codec: TextCodec, documents: Iterable[Document]) -> Fit:
    """Score each document on its own, from its beginning, cut where the context ends."""
    return fit_by_source(net, codec, documents)[""]


@torch.inference_mode()
def fit_by_source(
    net: Decoder, codec: TextCodec, documents: Iterable[Document], *, is_bf16: bool = False
) -> dict[str, Fit]:
    """`measure_fit` of each source, and of all under "".

    Args:
        is_bf16: multiply in bfloat16, as in training.
    """
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0, 0])
    for document in documents:
        ids, num_prompt = scored_ids(codec, document, net.config.context_tokens)
        scored = ids[num_prompt:]
        if not scored:
            continue
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_bf16):
            hidden = net.hidden(torch.tensor([ids[:-1]]))[0, num_prompt - 1 :]  # (T, D)
            logits = net.head(hidden)  # (T, V)
        nats = F.cross_entropy(logits.float(), torch.tensor(scored), reduction="sum").item()
        num_bytes = sum(len(codec.bytes_of(token_id)) for token_id in scored)
        for name in {document.source, ""}:
            for place, value in enumerate((nats, len(scored), num_bytes)):
                sums[name][place] += value
    return {name: Fit.of(nats, int(count), int(size)) for name, (nats, count, size) in sorted(sums.items())}
