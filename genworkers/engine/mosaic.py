"""How a mosaic picture comes into being, a few tiles at a time: from nothing, from a start picture, under a mask."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from genworkers.codecs.image_bytes import Floats, Pixels, contain, contain_mask, retouch
from genworkers.contract.image import Explanation, ImageRequest
from genworkers.engine.canvas import Canvas, fast_precision
from genworkers.engine.explaining import explanation_of
from genworkers.engine.painter import Inputs, Picture, seeds_of, style_weights
from genworkers.engine.prompt_reader import PromptReader, ReadPrompt
from genworkers.nets.masked_transformer import Captions, MaskedTransformer, pack_captions
from genworkers.sampling import schedules

# A mask that covers less than this share of a pixel of the net's square does not touch it.
MIN_TOUCH_FRAC = 0.02
# With less to be seen a picture is nothing: transparent tiles are the surest, and of a small thing all may be.
LEAST_COVERAGE = 0.003  # share of its pixels that are more opaque than not


@dataclass(frozen=True)
class Sampling:
    """How boldly to draw; stored with the checkpoint, found by looking at pictures.

    Attributes:
        choice_temperature: noise on which tiles are decided first; falls to 0 over the steps.
        temperature: of every draw.
        max_redraws: how often a picture that came out as nothing is begun again.
    """

    choice_temperature: float = 4.5
    temperature: float = 1.0
    max_redraws: int = 3


@dataclass(kw_only=True)
class MosaicPicture(Picture):
    """The tiles decided so far.

    Attributes:
        prompt: as it was read, for the explanation.
        captions: two rows: the prompt, and what guidance leads away from.
        codes: (N) int64, `mask_code` or anything where undecided.
        is_masked: (N) bool, True where undecided.
        num_to_decide: how many were undecided at first.
        heed: (N, caption_tokens) float32: how much each tile read each caption token when it was decided.
        inputs: the start picture and the mask that the result is laid into.
        num_redraws: how often it came out as nothing and was begun again.
    """

    prompt: ReadPrompt
    captions: Captions
    codes: Tensor
    is_masked: Tensor
    num_to_decide: int
    heed: Tensor
    inputs: Inputs
    num_redraws: int = 0

    @property
    def num_decided(self) -> int:
        """How many tiles are decided."""
        return self.num_tiles - int(self.is_masked.sum())

    @property
    def explanation(self) -> Explanation | None:
        """Which words drew which tiles; None without words, or where every tile was kept."""
        return explanation_of(self.heed, self.prompt.words)


class MosaicPainter:
    """The nets of one mosaic checkpoint on one device.

    Args:
        styles: names in the order of the Transformer's style table.
        lanes: every pass of the Transformer holds exactly this many pictures, the last one repeated if need be. Equal
            shapes mean equal rounding, so a picture comes out the same alone and in company.
    """

    def __init__(
        self,
        transformer: MaskedTransformer,
        canvas: Canvas,
        reader: PromptReader,
        *,
        styles: tuple[str, ...],
        sampling: Sampling,
        lanes: int = 1,
    ) -> None:
        self.styles = styles
        self.lanes = lanes
        self._sampling = sampling
        self._canvas = canvas
        self._reader = reader
        self._precision = fast_precision(canvas.device)
        self._transformer = transformer.to(canvas.device, self._precision).eval()

    @torch.inference_mode()
    def begin(self, request: ImageRequest, seed: int, inputs: Inputs) -> list[MosaicPicture]:
        """The request's pictures with the tiles decided that they keep of the start picture.

        Without a mask a share `strength` of all tiles, each picture's own choice, is drawn anew: 0 gives the start
        picture as the tokenizer sees it, 1 ignores it. With a mask the same share of the tiles that it touches is, and
        outside the mask the result has the start picture's own pixels.
        """
        prompt = self._reader.read(request.prompt)
        captions = self._captions(
            prompt, self._reader.read(request.negative_prompt), style_weights(request, self.styles)
        )
        kept_codes, may_change = self._start(inputs)
        pictures = []
        for index, own_seed in enumerate(seeds_of(request, seed)):
            num_tiles = self._canvas.num_tiles
            picture = MosaicPicture(
                request=request,
                index=index,
                seed=own_seed,
                num_steps=1,
                num_tiles=num_tiles,
                prompt=prompt,
                captions=captions,
                codes=kept_codes,
                is_masked=may_change,
                num_to_decide=0,
                heed=torch.zeros(num_tiles, self._transformer.config.caption_tokens),
                inputs=inputs,
            )
            if inputs.start is not None:
                picture.is_masked = _share_of(may_change, request.strength, picture.generator)
            picture.num_to_decide = int(picture.is_masked.sum())
            picture.num_steps = max(1, min(request.steps, picture.num_to_decide))
            pictures.append(picture)
        return pictures

    def _start(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """Codes (N) to keep, and the tiles (N) that may change at all."""
        num_tiles = self._canvas.num_tiles
        may_change = torch.ones(num_tiles, dtype=torch.bool)
        if inputs.start is None:
            return torch.full((num_tiles,), self._transformer.mask_code), may_change
        if inputs.mask is not None:
            grid = self._canvas.grid
            coverage = contain_mask(inputs.mask, self._canvas.image_px)
            tile_px = self._canvas.image_px // grid
            most = coverage.reshape(grid, tile_px, grid, tile_px).max((1, 3))
            may_change = torch.from_numpy(most.flatten() >= MIN_TOUCH_FRAC)
        return self._canvas.codes_of(inputs.start), may_change

    def _captions(self, prompt: ReadPrompt, negative: ReadPrompt, style: Tensor) -> Captions:
        captions = pack_captions([prompt.states, negative.states], [0, 0], self._transformer.config.caption_tokens)
        return replace(
            captions,
            states=captions.states.to(self._precision),
            sentence=captions.sentence.to(self._precision),
            style=style.to(self._canvas.device, self._precision).expand(2, -1),
        )

    @torch.inference_mode()
    def advance(self, pictures: list[MosaicPicture]) -> None:
        """Decide some more tiles of each picture; they may be at different steps.

        Args:
            pictures: 1 to `lanes` unfinished ones.
        """
        if any(picture.num_to_decide for picture in pictures):
            logits, heed = self._guess(pictures + pictures[-1:] * (self.lanes - len(pictures)))
            for row, picture in enumerate(pictures):
                if picture.num_to_decide:
                    self._decide(picture, logits[2 * row], logits[2 * row + 1], heed[2 * row])
        for picture in pictures:
            picture.step += 1

    def _guess(self, padded: list[MosaicPicture]) -> tuple[Tensor, Tensor]:
        """Logits (2 * lanes, N, K) with the prompt, without, with, ... and what each tile heeded, on the CPU."""
        visible = [picture.codes.masked_fill(picture.is_masked, self._transformer.mask_code) for picture in padded]
        captions = Captions(
            torch.cat([picture.captions.states for picture in padded]),
            torch.cat([picture.captions.is_token for picture in padded]),
            torch.cat([picture.captions.sentence for picture in padded]),
            torch.cat([picture.captions.style for picture in padded]),
        )
        codes = torch.stack(visible).repeat_interleave(2, 0).to(self._canvas.device)
        logits, heed = self._transformer.explain(codes, captions)
        return logits.cpu(), heed.cpu()

    def _decide(self, picture: MosaicPicture, with_prompt: Tensor, without: Tensor, heed: Tensor) -> None:
        was_masked = picture.is_masked
        weight = schedules.guidance_at(picture.num_decided / picture.num_tiles, picture.request.guidance_weight)
        cooling = 1.0 - (picture.step + 1) / picture.num_steps
        picture.codes, picture.is_masked = schedules.decide_tiles(
            schedules.guide(with_prompt[was_masked].float(), without[was_masked].float(), weight),
            picture.codes,
            was_masked,
            num_masked_next=schedules.num_masked_after(picture.step, picture.num_steps, picture.num_to_decide),
            choice_temperature=self._sampling.choice_temperature * cooling,
            temperature=self._sampling.temperature,
            generator=picture.generator,
        )
        is_new = was_masked & ~picture.is_masked & self._canvas.is_painted
        picture.heed = torch.where(is_new[:, None], heed, picture.heed)

    def preview(self, picture: MosaicPicture) -> Pixels:
        """The tiles decided so far; undecided ones are transparent."""
        # Undecided tiles are painted as what an empty picture has there, so that they lend no colour to their
        # neighbours, and then cut out.
        painted = self._canvas.paint(torch.where(picture.is_masked, self._canvas.empty_codes, picture.codes))
        tile_px = len(painted) // self._canvas.grid
        is_decided = (~picture.is_masked).view(self._canvas.grid, self._canvas.grid).numpy()
        shown: Floats = painted * np.kron(is_decided, np.ones((tile_px, tile_px), np.float32))[..., None]
        return self._canvas.thumbnail(shown)

    def develop(self, picture: MosaicPicture) -> list[Pixels] | None:
        """The finished picture, laid into the start picture where there is a mask.

        One that began with nothing and shows nothing begins again, `max_redraws` times at most.
        """
        painted = self._canvas.paint(picture.codes)
        is_nothing = float((painted[..., 3] > 0.5).mean()) < LEAST_COVERAGE
        if picture.inputs.start is None and is_nothing and picture.num_redraws < self._sampling.max_redraws:
            picture.num_redraws += 1
            picture.step = 0
            picture.is_masked = torch.ones_like(picture.is_masked)
            return None
        enlarged = self._canvas.enlarge(painted, picture.request)
        start, mask = picture.inputs.start, picture.inputs.mask
        if start is None or mask is None:
            return [enlarged]
        size_px = len(enlarged)
        return [retouch(contain(start, size_px), enlarged, contain_mask(mask, size_px))]


def _share_of(may_change: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """A share, drawn at random and rounded, of the tiles that are True: bool of the same shape."""
    candidates = may_change.nonzero()[:, 0]
    order = torch.randperm(len(candidates), generator=generator)
    chosen = torch.zeros_like(may_change)
    chosen[candidates[order[: round(share * len(candidates))]]] = True
    return chosen
