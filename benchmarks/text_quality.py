"""What fewer bits cost: how well the served decoder of the house net predicts held-out stories in each precision."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch.nn import functional as F

from genworkers.engine.config import EngineConfig, Precision
from genworkers.engine.loading import paged_decoder
from genworkers.nets.paged_decoder import Piece
from genworkers.text_checkpoints import open_text_checkpoint
from genworkers.training.text_data import Story, read_stories

CHUNK_TOKENS = 256


def held_out_stories(corpus: Path, num_stories: int) -> list[Story]:
    """Stories that no house net has learnt from, spread evenly over all of them."""
    stories = [story for story in read_stories(corpus) if story.is_held_out]
    return stories[:: max(1, len(stories) // num_stories)][:num_stories]


def nats_per_token(folder: Path, stories: Sequence[Story], precision: Precision, num_threads: int) -> float:
    """Mean loss of the stories' tokens, each story after its prompt and from its beginning, as it is served."""
    checkpoint = open_text_checkpoint(folder)
    config = EngineConfig(precision=precision, num_threads=num_threads)
    num_blocks = -(-checkpoint.config.context_tokens // config.block_tokens)
    decoder = paged_decoder(checkpoint, num_blocks, config)
    nats, num_tokens = 0.0, 0
    for story in stories:
        head = checkpoint.codec.encode_prompt(story.prompts[0])
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
