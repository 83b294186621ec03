"""The small nets of the check worker: the text encoder with its tokenizer, and the screens. Start at `load`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from genworkers.codecs.image_bytes import Pixels
from genworkers.codecs.wordpiece import WordPiece
from genworkers.contract.checks import ENCODER_MAX_TOKENS
from genworkers.contract.safety import Screening
from genworkers.nets.encoder import TextEncoder, load_minilm, minilm_folder


class TextScreen(Protocol):
    """What a screen of texts can do; safe to call from several threads."""

    def screen(self, texts: Sequence[str]) -> list[Screening]:
        """One screening a text."""


class PictureScreen(Protocol):
    """What a screen of pictures can do; safe to call from several threads."""

    def screen(self, pictures: Sequence[Pixels]) -> list[Screening]:
        """One screening a picture (H, W, 4)."""


@dataclass(frozen=True)
class CheckNets:
    """What questions are answered with; a screen that is not installed is None."""

    encoder: TextEncoder
    wordpiece: WordPiece
    texts: TextScreen | None
    pictures: PictureScreen | None


_loaded: list[CheckNets] = []


def load() -> None:
    """Load everything that this worker process answers with.

    Raises:
        CheckpointError: a screen's checkpoint is not what its manifest says.
        FileNotFoundError: the text encoder's weights are missing.
        ValueError: they are not the ones we know.
    """
    folder = minilm_folder()
    encoder = load_minilm(folder)
    # One more than is read, so that a longer text can be told from one that just fits.
    wordpiece = WordPiece(folder / "tokenizer.json", max_tokens=ENCODER_MAX_TOKENS + 1)
    _loaded[:] = [CheckNets(encoder, wordpiece, _text_screen(encoder, folder), _picture_screen())]


def loaded() -> CheckNets:
    """What `load` has loaded.

    Raises:
        RuntimeError: this process does not serve the queue of questions.
    """
    if not _loaded:
        raise RuntimeError("nothing is loaded here: start a worker with the queue `check`")
    return _loaded[0]


def _text_screen(encoder: TextEncoder, minilm: Path) -> TextScreen | None:
    return None


def _picture_screen() -> PictureScreen | None:
    return None
