"""What fewer bits cost: how well the served decoder of the house net predicts held-out stories in each precision."""

import json
import lzma
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.nn import functional as F

from genworkers.engine.config import EngineConfig, Precision
from genworkers.engine.loading import paged_decoder
from genworkers.evaluation.text_fit import Document
from genworkers.nets.paged_decoder import Piece
from genworkers.text_checkpoints import open_text_checkpoint
from genworkers.training.text_data import clean_text, is_held_out

CATEGORY = "child"
CHUNK_TOKENS = 256


def held_out_stories(corpus: Path, num_stories: int) -> list[Document]:
    """The first stories for children in the corpora that no house net has learnt from."""
    stories: list[Document] = []
    with lzma.open(corpus / "text" / "instruct-stories.jsonl.xz", "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            if row["category"] == CATEGORY and is_held_out(row["prompt"]):
                stories.append(Document(row["prompt"], clean_text(row["response"])))
                if len(stories) == num_stories:
                    break
    return stories


def nats_per_token(folder: Path, stories: Sequence[Document], precision: Precision, num_threads: int) -> float:
    """Mean loss of the stories' tokens, each story after its prompt and from its beginning, as it is served."""
    checkpoint = open_text_checkpoint(folder)
    config = EngineConfig(precision=precision, num_threads=num_threads)
    num_blocks = -(-checkpoint.config.context_tokens // config.block_tokens)
    decoder = paged_decoder(checkpoint, num_blocks, config)
    nats, num_tokens = 0.0, 0
    for story in stories:
        head = checkpoint.codec.encode_prompt(story.prompt)
        ids = [*head, *checkpoint.codec.encode(story.text)][: checkpoint.config.context_tokens + 1]
        for start in range(0, len(ids) - 1, CHUNK_TOKENS):
            end = min(start + CHUNK_TOKENS, len(ids) - 1)
            logits = decoder.read(
                [Piece([ids[at]], at, range(num_blocks), wants_logits=at >= len(head) - 1) for at in range(start, end)]
            )
            scored = torch.tensor(ids[max(start, len(head) - 1) + 1 : end + 1])
            nats += F.cross_entropy(logits, scored, reduction="sum").item() if len(scored) else 0.0
            num_tokens += len(scored)
    return nats / num_tokens
