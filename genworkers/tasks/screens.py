"""The nets behind the safety verdicts, as this worker process asks them: the one place that loads them.

Every call answers with one `Screening` for each text or picture, in their order; with none at all while no net is
loaded, and then the verdicts say that nothing but the rules was asked.
"""

import hashlib
from collections.abc import Sequence
from functools import cache
from typing import Protocol

import numpy as np

from genworkers.codecs.image_bytes import Pixels
from genworkers.contract.safety import Screening


class TextNet(Protocol):
    """What screens texts."""

    def screen(self, texts: Sequence[str]) -> list[Screening]:
        """One screening a text."""


class PictureNet(Protocol):
    """What screens pictures: each (H, W, 4), uint8, straight alpha."""

    def screen(self, pictures: Sequence[Pixels]) -> list[Screening]:
        """One screening a picture."""


def prompt(text: str) -> list[Screening]:
    """What the text net says of a prompt with all that was typed beside it."""
    return texts([text])


def texts(texts: Sequence[str]) -> list[Screening]:
    """What the text net says of each text."""
    net = _text_net()
    return [] if net is None else net.screen(texts)


def pictures(pictures: Sequence[Pixels]) -> list[Screening]:
    """What the picture net says of each picture."""
    net = _picture_net()
    return [] if net is None else net.screen(pictures)


@cache
def _text_net() -> TextNet | None:
    return None


@cache
def _picture_net() -> PictureNet | None:
    return None


def sha256_of(content: str | Sequence[Pixels]) -> str:
    """SHA-256 of a text in UTF-8, or of the size and the pixels of pictures: the same before marks and signatures."""
    if isinstance(content, str):
        return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()
    digest = hashlib.sha256()
    for pixels in content:
        digest.update(repr(pixels.shape).encode())
        digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()
