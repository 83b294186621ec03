"""How a spark picture comes into being: one step from noise, a sentence and a style to latents, which are painted."""

from dataclasses import dataclass

import torch

from genworkers.codecs.image_bytes import Floats, Pixels
from genworkers.contract.image import ImageRequest
from genworkers.engine.canvas import Canvas
from genworkers.engine.painter import Inputs, Picture, seeds_of, style_weights
from genworkers.engine.prompt_reader import PromptReader
from genworkers.nets.gan import SparkGenerator


@dataclass(kw_only=True)
class SparkPicture(Picture):
    """What steers the one step, and what came of it.

    Attributes:
        sentence: (1, D) mean token state of the prompt.
        style: (1, S) weights.
        painted: premultiplied (S, S, 4) in 0..1, once the step is done.
    """

    sentence: torch.Tensor
    style: torch.Tensor
    painted: Floats | None = None

    @property
    def finished(self) -> Floats:
        """The painted picture; an error before the step."""
        if self.painted is None:
            raise ValueError(f"picture {self.index} has not been drawn yet")
        return self.painted


class SparkPainter:
    """The generator of one spark checkpoint on one device.

    Args:
        canvas: of the tokenizer whose latents the net draws.
        styles: names in the order of the net's style table.
        noise_scale: length of the noise against that in training; below 1 pictures are plainer and vary less.
        is_snapped: paint the nearest codes in place of the latents between them.
    """

    lanes = 1

    def __init__(
        self,
        net: SparkGenerator,
        canvas: Canvas,
        reader: PromptReader,
        *,
        styles: tuple[str, ...],
        noise_scale: float = 1.0,
        is_snapped: bool = False,
    ) -> None:
        self.styles = styles
        self._noise_scale = noise_scale
        self._is_snapped = is_snapped
        self._canvas = canvas
        self._reader = reader
        self._net = net.to(canvas.device).eval()

    def begin(self, request: ImageRequest, seed: int, inputs: Inputs) -> list[SparkPicture]:
        """The request's pictures; inputs are not read."""
        sentence = self._reader.read(request.prompt).sentence
        style = style_weights(request, self.styles).to(self._canvas.device)
        return [
            SparkPicture(request=request, index=index, seed=own_seed, num_steps=1, sentence=sentence, style=style)
            for index, own_seed in enumerate(seeds_of(request, seed))
        ]

    @torch.inference_mode()
    def advance(self, pictures: list[SparkPicture]) -> None:
        """Draw each picture, in a pass of its own."""
        for picture in pictures:
            noise = torch.randn(1, self._net.config.noise_width, generator=picture.generator) * self._noise_scale
            latents = self._net(noise.to(self._canvas.device), picture.sentence, picture.style)
            [picture.painted] = self._canvas.paint_latents(self._canvas.snap(latents) if self._is_snapped else latents)
            picture.step += 1

    def preview(self, picture: SparkPicture) -> Pixels:
        """The finished picture, small."""
        return self._canvas.thumbnail(picture.finished)

    def develop(self, picture: SparkPicture) -> list[Pixels]:
        """The finished picture."""
        return [self._canvas.enlarge(picture.finished, picture.request)]
