"""How a drift picture or a walk comes into being: places in a latent space, and what is painted there.

Start at `DriftPainter.begin`, which turns a request into the places to visit.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import overload

import torch
from torch import Tensor

from genworkers.codecs.image_bytes import Floats, Pixels
from genworkers.contract.image import ImageRequest, Walk
from genworkers.engine.canvas import Canvas
from genworkers.engine.errors import EngineError
from genworkers.engine.painter import Inputs, Picture, seeds_of, style_weights
from genworkers.engine.prompt_reader import PromptReader
from genworkers.nets.vae import DriftPlaces, DriftVae, sample
from genworkers.sampling.latent import random_walk, slerp

FRAMES_PER_STEP = 4


@dataclass(kw_only=True)
class DriftPicture(Picture):
    """One picture or one walk.

    Attributes:
        places: (T, Z) on the CPU, one for each frame; a plain picture has one.
        painted: the frames so far, premultiplied, as small as the tokenizer paints them.
    """

    places: Tensor
    painted: list[Floats] = field(default_factory=list, repr=False)

    @property
    def num_decided(self) -> int:
        """Every frame comes all at once."""
        return self.num_tiles if self.painted else 0


class WalkFrames(Sequence[Pixels]):
    """The frames of a picture, each enlarged when it is read: a hundred large ones at once would fill the memory."""

    def __init__(self, picture: DriftPicture, canvas: Canvas) -> None:
        self._picture = picture
        self._canvas = canvas

    def __len__(self) -> int:
        """How many are painted."""
        return len(self._picture.painted)

    @overload
    def __getitem__(self, index: int) -> Pixels: ...
    @overload
    def __getitem__(self, index: slice) -> list[Pixels]: ...
    def __getitem__(self, index: int | slice) -> Pixels | list[Pixels]:
        """One frame, or several, at the size that was asked for."""
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        return self._canvas.enlarge(self._picture.painted[index], self._picture.request)


class DriftPainter:
    """The nets of one drift checkpoint on one device.

    Args:
        canvas: of the tokenizer whose latents the net has learned.
        styles: names in the order of the net's style table.
        directions: names in the order of the directions in `places`.
        temperature: of a picture's own noise around the place of its words; 0 is always the likeliest place.
    """

    lanes = 1

    def __init__(
        self,
        net: DriftVae,
        places: DriftPlaces,
        canvas: Canvas,
        reader: PromptReader,
        *,
        styles: tuple[str, ...],
        directions: tuple[str, ...] = (),
        temperature: float = 1.0,
    ) -> None:
        self.styles = styles
        self.directions = directions
        self._temperature = temperature
        self._canvas = canvas
        self._reader = reader
        self._net = net.to(canvas.device).eval()
        self._places = places.to(canvas.device).eval()

    @torch.inference_mode()
    def begin(self, request: ImageRequest, seed: int, inputs: Inputs) -> list[DriftPicture]:
        """The request's pictures, or its walk, at the places where they begin.

        That is the point of the map, the start picture, or where the prior puts the prompt. `strength` is how far a
        picture goes from its start picture towards its prompt; a walk begins exactly at its start picture.

        Raises:
            EngineError: direction_unknown, style_unknown.
        """
        seen = None if inputs.start is None else self._place_of_picture(inputs.start)
        pictures = []
        for index, own_seed in enumerate(seeds_of(request, seed)):
            noise = torch.randn(1, self._net.config.latent_width, generator=torch.Generator().manual_seed(own_seed))
            places = self._first_place(request, seen, noise)
            if request.walk is not None:
                end = self._last_place(request, request.walk, inputs, places, noise)
                places = _way(request.walk, places, end, own_seed)
            pictures.append(
                DriftPicture(
                    request=request,
                    index=index,
                    seed=own_seed,
                    num_steps=math.ceil(len(places) / FRAMES_PER_STEP),
                    places=places,
                )
            )
        return pictures

    def _first_place(self, request: ImageRequest, seen: Tensor | None, noise: Tensor) -> Tensor:
        """Where a picture or a walk begins, (1, Z) on the CPU."""
        if request.map_point is not None:
            return self._place_on_map(request.map_point)
        if seen is None:
            return self._place_of_words(request.prompt, request, noise)
        if request.walk is not None:
            return seen
        return slerp(seen, self._place_of_words(request.prompt, request, noise), request.strength)

    def _last_place(self, request: ImageRequest, walk: Walk, inputs: Inputs, start: Tensor, noise: Tensor) -> Tensor:
        """Where a walk ends or turns, (1, Z) on the CPU; a random one comes back to its start."""
        if walk.route == "random":
            return start
        if walk.route == "direction":
            return start + walk.distance * self._direction(walk.direction)
        if walk.end_point is not None:
            return self._place_on_map(walk.end_point)
        if inputs.end is not None:
            return self._place_of_picture(inputs.end)
        return self._place_of_words(walk.to_prompt, request, noise)

    def _direction(self, name: str) -> Tensor:
        if name not in self.directions:
            known = ", ".join(self.directions) or "none"
            raise EngineError("direction_unknown", f"The net has no direction {name!r}. Choose one of: {known}.")
        return self._places.directions[self.directions.index(name)].cpu()

    def _place_on_map(self, point: Sequence[float]) -> Tensor:
        return self._places.map_point(torch.tensor([point], device=self._canvas.device)).cpu()

    def _place_of_words(self, prompt: str, request: ImageRequest, noise: Tensor) -> Tensor:
        style = style_weights(request, self.styles).to(self._canvas.device)
        mean, log_variance = self._net.prior(self._reader.read(prompt).sentence, style)
        return sample(mean.cpu(), log_variance.cpu(), self._temperature * noise)

    def _place_of_picture(self, pixels: Pixels) -> Tensor:
        mean, _ = self._net.encode(self._canvas.latents_of(pixels))
        return mean.cpu()

    @torch.inference_mode()
    def advance(self, pictures: list[DriftPicture]) -> None:
        """Paint the next frames of each unfinished picture, each picture on its own."""
        for picture in pictures:
            places = picture.places[len(picture.painted) :][:FRAMES_PER_STEP]
            # A walk is painted so many frames at a time, the last one repeated: equal shapes mean equal rounding.
            num_rows = FRAMES_PER_STEP if picture.request.walk is not None else 1
            padded = torch.cat([places, places[-1:].expand(num_rows - len(places), -1)])
            latents = self._net.decode(padded.to(self._canvas.device))
            picture.painted += self._canvas.paint_latents(latents)[: len(places)]
            picture.step += 1

    def preview(self, picture: DriftPicture) -> Pixels:
        """The newest frame, (PREVIEW_PX, PREVIEW_PX, 4) straight alpha.

        Raises:
            ValueError: no frame is painted yet.
        """
        if not picture.painted:
            raise ValueError("a drift picture has no preview before its first step")
        return self._canvas.thumbnail(picture.painted[-1])

    def develop(self, picture: DriftPicture) -> Sequence[Pixels]:
        """The finished picture alone, or all frames of a walk in order."""
        return WalkFrames(picture, self._canvas)

    @torch.inference_mode()
    def unlikeness(self, pixels: Pixels) -> float:
        """The share, 0..1, of held-out pictures that are more like what was learned than this one of any size."""
        strangeness = self._net.strangeness(self._canvas.latents_of(pixels), self._places.error_scale)
        return float(self._places.percentile(strangeness))


def _way(walk: Walk, start: Tensor, end: Tensor, seed: int) -> Tensor:
    """The places of a walk, (T, Z), from two of (1, Z)."""
    num_frames = walk.num_frames
    if walk.route == "random":
        # The way comes back by itself; half of one twice as long stops at its farthest point.
        return random_walk(start[0], seed, num_frames if walk.is_loop else 2 * num_frames)[:num_frames]
    shares = there_and_back(num_frames) if walk.is_loop else [index / (num_frames - 1) for index in range(num_frames)]
    along = torch.tensor(shares)[:, None]  # (T, 1)
    return start + along * (end - start) if walk.route == "direction" else slerp(start, end, along)


def there_and_back(num_frames: int) -> list[float]:
    """How far along the way each frame of a loop is, 0 to 1: out, to the very end, and back to just before the start.

    An odd number of frames stays at the end for two.

    Args:
        num_frames: 2 or more.
    """
    num_out = (num_frames + 2) // 2
    out = [index / (num_out - 1) for index in range(num_out)]
    back = out[-2:0:-1]
    stay = [1.0] * (num_frames - len(out) - len(back))
    return [*out, *stay, *back]
