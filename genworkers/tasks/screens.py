"""The small nets of a worker process, loaded once: the text encoder, and the screens behind the safety verdicts."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
import torch
from django.conf import settings

from genworkers.codecs.image_bytes import Pixels
from genworkers.codecs.wordpiece import WordPiece
from genworkers.contract.checks import ENCODER_MAX_TOKENS
from genworkers.contract.safety import Screening
from genworkers.nets.encoder import TextEncoder, load_minilm, minilm_folder
from genworkers.screening.picture_screen import load_picture_screen
from genworkers.screening.text_screen import load_text_screen


class TextNet(Protocol):
    """What screens texts; safe to call from several threads."""

    def screen(self, texts: Sequence[str]) -> list[Screening]:
        """One screening a text."""


class PictureNet(Protocol):
    """What screens pictures, each (H, W, 4), uint8, straight alpha; safe to call from several threads."""

    def screen(self, pictures: Sequence[Pixels]) -> list[Screening]:
        """One screening a picture."""


@dataclass(frozen=True)
class Screens:
    """What prompts, results and questions are judged with."""

    texts: TextNet
    pictures: PictureNet


@dataclass(frozen=True)
class Embedder:
    """What says where a text lies in the encoder's space: exact, where the screens take a faster precision."""

    encoder: TextEncoder
    wordpiece: WordPiece


@cache
def loaded() -> Screens:
    """The nets, loaded at the first call; a worker calls once before it takes its first task.

    Raises:
        CheckpointError: a screen's checkpoint is missing or not what its manifest says.
        FileNotFoundError: the text encoder's weights are missing.
        ValueError: they are not the ones we know.
    """
    folder = minilm_folder()
    encoder = load_minilm(folder).to(torch.bfloat16)
    texts = load_text_screen(settings.SCREENS_DIR / "text", encoder, WordPiece(folder / "tokenizer.json"))
    del encoder.layers[texts.num_encoder_layers :]  # half of them; nobody else has this copy, and the screen never asks
    return Screens(texts, load_picture_screen(settings.SCREENS_DIR / "picture"))


@cache
def embedder() -> Embedder:
    """The encoder, loaded at the first call; errors as `loaded`. Only the check worker needs it."""
    folder = minilm_folder()
    # One more than is read, so that a longer text can be told from one that just fits.
    return Embedder(load_minilm(folder), WordPiece(folder / "tokenizer.json", max_tokens=ENCODER_MAX_TOKENS + 1))


def sha256_of(content: str | Sequence[Pixels]) -> str:
    """SHA-256 of a text in UTF-8, or of the size and the pixels of pictures: the same before marks and signatures."""
    if isinstance(content, str):
        return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()
    digest = hashlib.sha256()
    for pixels in content:
        digest.update(repr(pixels.shape).encode())
        digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()
