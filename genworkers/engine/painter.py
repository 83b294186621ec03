"""What the image engine asks of a family of nets, and what travels between them: inputs, pictures, painters.

The families are in mosaic.py, spark.py and drift.py; the engine's threads and tickets are in image_engine.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genworkers.codecs.image_bytes import Pixels
from genworkers.contract.base import MAX_SEED
from genworkers.contract.image import Explanation, ImageRequest
from genworkers.engine.errors import EngineError

PREVIEW_PX = 64


@dataclass(frozen=True)
class Inputs:
    """The pictures that a request names by id, as pixels.

    Attributes:
        start: (H, W, 4) of any size and shape; it is fitted into the net's square, centred, on nothing.
        mask: (H, W) bool of the start's shape, True where it is drawn anew.
        end: (H, W, 4), where a walk ends.
    """

    start: Pixels | None = None
    mask: NDArray[np.bool_] | None = None
    end: Pixels | None = None


@dataclass(kw_only=True)
class Picture:
    """One picture, or one walk, on its way.

    Its noise is drawn on the CPU from its own generator, so that neither company nor device changes it.

    Attributes:
        index: which of the request's pictures.
        seed: what draws it alone.
        num_steps: how often `advance` takes it until it is finished, 1 or more.
        num_tiles: what a preview is made of; 1 where a picture comes all at once.
        step: how many steps are done.
        stepped_s, shown_s, next_look_at: how long its steps and its previews have taken, and until when the engine asks
            for no other preview, on its own clock.
    """

    request: ImageRequest
    index: int
    seed: int
    num_steps: int
    num_tiles: int = 1
    step: int = 0
    stepped_s: float = 0.0
    shown_s: float = 0.0
    next_look_at: float = 0.0
    generator: torch.Generator = field(init=False)

    def __post_init__(self) -> None:
        """Seed the generator."""
        self.generator = torch.Generator().manual_seed(self.seed)

    @property
    def is_finished(self) -> bool:
        """Whether no step is left."""
        return self.step >= self.num_steps

    @property
    def num_decided(self) -> int:
        """How many tiles are decided."""
        return self.num_tiles * self.step // self.num_steps

    @property
    def explanation(self) -> Explanation | None:
        """Which words drew which tiles, where the family can tell."""
        return None


PictureT = TypeVar("PictureT", bound=Picture)


class Painter(Protocol[PictureT]):
    """One net on one device. Several threads may call it at once, each with other pictures."""

    @property
    def styles(self) -> tuple[str, ...]:
        """Names of the styles, in the order of the net's table."""

    @property
    def lanes(self) -> int:
        """How many pictures `advance` takes at most."""

    def begin(self, request: ImageRequest, seed: int, inputs: Inputs) -> list[PictureT]:
        """The request's pictures before the first step; `seeds_of` says their seeds. A walk is one picture.

        Raises:
            EngineError: the net cannot do what is asked.
        """

    def advance(self, pictures: list[PictureT]) -> None:
        """Take each picture one step further; they may be at different steps, and each comes out as it would alone."""

    def preview(self, picture: PictureT) -> Pixels:
        """What there is so far, (PREVIEW_PX, PREVIEW_PX, 4); undecided tiles are transparent."""

    def develop(self, picture: PictureT) -> Sequence[Pixels] | None:
        """A finished picture at the size that was asked for, alone in a list; of a walk all frames, made when read.

        None for one that came out as nothing and has begun again: it wants more steps.

        The engine lays them on the request's background afterwards. A draft (`request.is_draft`) stays as small as the
        net paints it.
        """


def seeds_of(request: ImageRequest, seed: int) -> list[int]:
    """The i-th picture is the one that seed + i draws first, wrapping below 2^63."""
    return [(seed + index) & MAX_SEED for index in range(request.num_images)]


def style_weights(request: ImageRequest, styles: tuple[str, ...]) -> Tensor:
    """The share of each style in what is asked for, (1, S), adding up to 1; no style means the first.

    Raises:
        EngineError: a style is not among them.
    """
    first = request.style or styles[0]
    for name in (first, request.style_mix or first):
        if name not in styles:
            raise EngineError(
                "style_unknown", f"The net {request.net!r} has no style {name!r}. Choose one of: {', '.join(styles)}."
            )
    weights = torch.zeros(1, len(styles))
    share = request.style_mix_frac if request.style_mix else 0.0
    weights[0, styles.index(first)] += 1.0 - share
    weights[0, styles.index(request.style_mix or first)] += share
    return weights
