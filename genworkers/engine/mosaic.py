"""How a mosaic picture comes into being, one step at a time: nets and tensors, no threads and no tickets."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from genworkers.codecs.image_bytes import Floats, enlarge_flat, unpremultiply
from genworkers.codecs.wordpiece import WordPiece
from genworkers.nets.encoder import TextEncoder
from genworkers.nets.fsq_tokenizer import FsqTokenizer
from genworkers.nets.masked_transformer import Captions, MaskedTransformer, pack_captions
from genworkers.sampling import schedules

MAX_SEED = 2**63 - 1


@dataclass(frozen=True)
class Sampling:
    """How boldly to draw; stored with the checkpoint, found by looking at pictures.

    Attributes:
        choice_temperature: noise on which tiles are decided first; falls to 0 over the steps.
        temperature: of every draw.
    """

    choice_temperature: float = 4.5
    temperature: float = 1.0


@dataclass
class Picture:
    """One picture on its way: its prompt, its own random numbers, and the tiles decided so far.

    Its noise is drawn on the CPU from its own generator, so that neither company nor device changes it.
    """

    captions: Captions
    guidance: float
    num_steps: int
    seed: int
    generator: torch.Generator
    codes: Tensor
    is_masked: Tensor
    step: int = 0

    @property
    def is_finished(self) -> bool:
        """Whether every tile is decided."""
        return self.step == self.num_steps

    @property
    def num_decided(self) -> int:
        """How many tiles are decided."""
        return int((~self.is_masked).sum())


class Mosaic:
    """The nets of one checkpoint on one device.

    Args:
        lanes: every pass of the Transformer holds exactly this many pictures, the last one repeated if need be. Equal
            shapes mean equal rounding, so a picture comes out the same alone and in company.
        styles: names in the order of the Transformer's style table.
    """

    def __init__(
        self,
        tokenizer: FsqTokenizer,
        transformer: MaskedTransformer,
        encoder: TextEncoder,
        wordpiece: WordPiece,
        *,
        styles: tuple[str, ...],
        sampling: Sampling,
        lanes: int,
        device: torch.device,
    ) -> None:
        self.styles = styles
        self.lanes = lanes
        self._sampling = sampling
        self._device = device
        self._wordpiece = wordpiece
        self._tokenizer = tokenizer.to(device).eval()
        self._transformer = transformer.to(device).eval()
        self._encoder = encoder.to(device).eval()
        config = tokenizer.config
        with torch.inference_mode():
            nothing = torch.zeros(1, 4, config.image_px, config.image_px, device=device)
            self._empty_codes = self._tokenizer.encode(nothing)[0].cpu()

    @torch.inference_mode()
    def begin(
        self, prompt: str, style: str, *, guidance: float, num_steps: int, seed: int, num_images: int
    ) -> list[Picture]:
        """Pictures with nothing decided yet; the i-th one has seed + i, wrapping below 2^63."""
        states = self._encoder.encode([self._wordpiece.encode(prompt)])[0]
        number = self.styles.index(style)
        captions = pack_captions([states, states[:0]], [number, number], self._transformer.config.caption_tokens)
        num_tiles = self._transformer.config.num_tiles
        pictures = []
        for index in range(num_images):
            own_seed = (seed + index) & MAX_SEED
            pictures.append(
                Picture(
                    captions=captions,
                    guidance=guidance,
                    num_steps=num_steps,
                    seed=own_seed,
                    generator=torch.Generator().manual_seed(own_seed),
                    codes=torch.full((num_tiles,), self._transformer.mask_code),
                    is_masked=torch.ones(num_tiles, dtype=torch.bool),
                )
            )
        return pictures

    @torch.inference_mode()
    def advance(self, pictures: list[Picture]) -> None:
        """Decide some more tiles of each picture; they may be at different steps.

        Args:
            pictures: 1 to `lanes` unfinished ones.
        """
        padded = pictures + pictures[-1:] * (self.lanes - len(pictures))
        visible = [picture.codes.masked_fill(picture.is_masked, self._transformer.mask_code) for picture in padded]
        codes = torch.stack(visible).repeat_interleave(2, 0).to(self._device)
        captions = Captions(
            torch.cat([p.captions.states for p in padded]),
            torch.cat([p.captions.is_token for p in padded]),
            torch.cat([p.captions.sentence for p in padded]),
            torch.cat([p.captions.style for p in padded]),
        )
        logits = self._transformer(codes, captions).float().cpu()  # (2 * lanes, N, K): with prompt, without, ...
        for row, picture in enumerate(pictures):
            num_tiles = len(picture.codes)
            weight = schedules.guidance_at(picture.num_decided / num_tiles, picture.guidance)
            cooling = 1.0 - (picture.step + 1) / picture.num_steps
            picture.codes, picture.is_masked = schedules.decide_tiles(
                schedules.guide(logits[2 * row], logits[2 * row + 1], weight),
                picture.codes,
                picture.is_masked,
                num_masked_next=schedules.num_masked_after(picture.step, picture.num_steps, num_tiles),
                choice_temperature=self._sampling.choice_temperature * cooling,
                temperature=self._sampling.temperature,
                generator=picture.generator,
            )
            picture.step += 1

    def preview(self, picture: Picture) -> NDArray[np.uint8]:
        """The tiles decided so far, (64, 64, 4) straight alpha; undecided tiles are transparent."""
        painted = self._paint(picture)
        return unpremultiply(F.avg_pool2d(painted, painted.shape[-1] // 64)[0].permute(1, 2, 0).numpy())

    def develop(self, picture: Picture, size_px: int) -> NDArray[np.uint8]:
        """The finished picture enlarged to (size_px, size_px, 4), straight alpha."""
        premultiplied: Floats = self._paint(picture)[0].permute(1, 2, 0).numpy()
        return unpremultiply(enlarge_flat(premultiplied, size_px))

    @torch.inference_mode()
    def _paint(self, picture: Picture) -> Tensor:
        # Undecided tiles are painted as what an empty picture has there, so that they lend no colour to their
        # neighbours, and then cut out.
        codes = torch.where(picture.is_masked, self._empty_codes, picture.codes)
        painted = self._tokenizer.decode(codes[None].to(self._device)).cpu()
        grid = self._tokenizer.config.grid
        is_decided = (~picture.is_masked).float().view(1, 1, grid, grid)
        return painted * F.interpolate(is_decided, scale_factor=painted.shape[-1] // grid, mode="nearest")
