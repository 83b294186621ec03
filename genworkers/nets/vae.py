"""Drift: a variational autoencoder whose latent space is a place to walk in, and what is known about that place.

For stickers the "picture" is the tokenizer's 8x8 grid of latents; with other sizes in its config the same net reads and
paints pixels. `DriftVae` is the net, `DriftPlaces` its map, directions and scale of strangeness.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genworkers.nets.conditions import ConditionReader
from genworkers.nets.fsq_tokenizer import ResidualBlock

SMALLEST_PX = 4
LOG_VARIANCE_RANGE = (-8.0, 4.0)


@dataclass(frozen=True)
class DriftConfig:
    """Shape of a drift net.

    Args:
        channels: of the picture; 4 for the tokenizer's latents.
        widths: channels from the picture's size down to 4 px, each half the size before.
        latent_width: numbers that a place has.
        num_styles: how many styles the prior may mix.
        sentence_width: of the sentence vectors of the text encoder.
        prior_width: hidden width of the text prior.
        num_paint_blocks: residual blocks of the decoder at each size; the encoder has one.
    """

    channels: int = 4
    widths: tuple[int, ...] = (64, 128)
    latent_width: int = 96
    num_styles: int = 3
    sentence_width: int = 384
    prior_width: int = 384
    num_paint_blocks: int = 2

    @property
    def picture_px(self) -> int:
        """Width and height of what is read and painted."""
        return int(SMALLEST_PX * 2 ** (len(self.widths) - 1))


class DriftVae(nn.Module):
    """Encoder, decoder and the text prior.

    Kingma, Welling 2013, "Auto-Encoding Variational Bayes" (arXiv:1312.6114), appendix B for the Gaussian case.
    """

    def __init__(self, config: DriftConfig) -> None:
        super().__init__()
        self.config = config
        widths, latent_width = config.widths, config.latent_width
        looks: list[nn.Module] = [nn.Conv2d(config.channels, widths[0], 3, padding=1), ResidualBlock(widths[0])]
        for before, after in pairwise(widths):
            looks += [nn.Conv2d(before, after, 4, stride=2, padding=1), ResidualBlock(after)]
        flat_width = widths[-1] * SMALLEST_PX**2
        self.look = nn.Sequential(*looks, nn.GroupNorm(8, widths[-1]), nn.SiLU(), nn.Flatten())
        self.place = nn.Linear(flat_width, 2 * latent_width)
        self.unfold = nn.Linear(latent_width, flat_width)
        paints: list[nn.Module] = [ResidualBlock(widths[-1]) for _ in range(config.num_paint_blocks)]
        for before, after in pairwise(widths[::-1]):
            paints += [nn.Conv2d(before, after * 4, 1), nn.PixelShuffle(2)]
            paints += [ResidualBlock(after) for _ in range(config.num_paint_blocks)]
        paints += [nn.GroupNorm(8, widths[0]), nn.SiLU(), nn.Conv2d(widths[0], config.channels, 3, padding=1)]
        self.paint = nn.Sequential(*paints)
        self.words = ConditionReader(config.sentence_width, config.num_styles, config.prior_width)
        self.prior_hidden = nn.Linear(config.prior_width, config.prior_width)
        self.prior_out = nn.Linear(config.prior_width, 2 * latent_width)

    def encode(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (B, channels, px, px) in -1..1 to the mean and log-variance of their place, each (B, Z)."""
        seen = self.look(pictures.contiguous(memory_format=torch.channels_last))
        return self._mean_and_log_variance(self.place(seen))

    def decode(self, places: Tensor) -> Tensor:
        """Places (B, Z) to pictures (B, channels, px, px) in -1..1."""
        folded = self.unfold(places).view(len(places), -1, SMALLEST_PX, SMALLEST_PX)
        painted: Tensor = self.paint(folded.contiguous(memory_format=torch.channels_last))
        return torch.tanh(painted.float())

    def prior(self, sentence: Tensor, style: Tensor) -> tuple[Tensor, Tensor]:
        """Where pictures of a sentence lie.

        Args:
            sentence: (B, sentence_width), mean token state of the text encoder, of any length; zeros for no words.
            style: (B, num_styles) weights that sum to 1.

        Returns:
            Mean and log-variance of the place, each (B, Z).
        """
        hidden = F.silu(self.words(sentence, style))
        hidden = hidden + F.silu(self.prior_hidden(hidden))
        return self._mean_and_log_variance(self.prior_out(hidden))

    def strangeness(self, pictures: Tensor, error_scale: Tensor | float) -> Tensor:
        """How unlike what was learned: reconstruction error plus divergence from the unit Gaussian, in nats, (B,).

        Args:
            pictures: (B, channels, px, px) in -1..1.
            error_scale: the standard deviation of a usual reconstruction error, a number or (channels,).
        """
        mean, log_variance = self.encode(pictures)
        scale = torch.as_tensor(error_scale, device=pictures.device).view(-1, 1, 1)
        error = 0.5 * ((self.decode(mean) - pictures) / scale).square().flatten(1).sum(1)
        return error + divergence(mean, log_variance).sum(1)

    @staticmethod
    def _mean_and_log_variance(both: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = both.float().chunk(2, dim=-1)
        return mean, log_variance.clamp(*LOG_VARIANCE_RANGE)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Kullback-Leibler divergence of a diagonal Gaussian from the unit one, in nats a dimension: (B, Z) to (B, Z)."""
    return 0.5 * (mean.square() + log_variance.exp() - log_variance - 1.0)


def sample(mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    """The place that standard normal noise (B, Z) picks from a diagonal Gaussian."""
    return mean + (0.5 * log_variance).exp() * noise


class DriftPlaces(nn.Module):
    """What is known about a latent space after training, as tensors that lie in the checkpoint beside the net.

    Attributes:
        anchors: (rows, columns, Z): a place for each tile of the 2-D map, from the top left.
        directions: (A, Z): one step along each attribute; their names are in the manifest.
        error_scale: (channels,): the standard deviation of a usual reconstruction error.
        strangeness_quantiles: (Q,): strangeness of known and of held-out pictures, from the least to the most.
    """

    anchors: Tensor
    directions: Tensor
    error_scale: Tensor
    strangeness_quantiles: Tensor

    def __init__(
        self, latent_width: int, *, map_side: int, num_directions: int, channels: int, num_quantiles: int = 101
    ) -> None:
        super().__init__()
        self.register_buffer("anchors", torch.zeros(map_side, map_side, latent_width))
        self.register_buffer("directions", torch.zeros(num_directions, latent_width))
        self.register_buffer("error_scale", torch.ones(channels))
        self.register_buffer("strangeness_quantiles", torch.linspace(0.0, 1.0, num_quantiles))

    def map_point(self, points: Tensor) -> Tensor:
        """Points on the map (B, 2), right and down, each 0..1, to places (B, Z).

        The centres of the tiles are the anchors; between them four anchors blend, as long as they are on average, since
        a plain mean would fall towards the middle, where nothing was learned.
        """
        side = len(self.anchors)
        at = (points.clamp(0.0, 1.0) * side - 0.5).clamp(0.0, side - 1.0)  # (B, 2) in tiles
        low = at.floor().long().clamp(max=max(0, side - 2))
        column, row = low.unbind(-1)
        right, down = (at - low).unbind(-1)
        next_column, next_row = (column + 1).clamp(max=side - 1), (row + 1).clamp(max=side - 1)
        corners = torch.stack(
            [
                self.anchors[row, column],
                self.anchors[row, next_column],
                self.anchors[next_row, column],
                self.anchors[next_row, next_column],
            ]
        )  # (4, B, Z)
        weights = torch.stack([(1 - right) * (1 - down), right * (1 - down), (1 - right) * down, right * down])[
            ..., None
        ]
        mean, length = (weights * corners).sum(0), (weights * corners.norm(dim=-1, keepdim=True)).sum(0)
        places: Tensor = mean * (length / mean.norm(dim=-1, keepdim=True).clamp(min=1e-6))
        return places

    def percentile(self, strangeness: Tensor) -> Tensor:
        """The share, 0..1, of known pictures that are less strange: (B,) to (B,)."""
        below = torch.searchsorted(self.strangeness_quantiles, strangeness.contiguous()).float()
        return (below / (len(self.strangeness_quantiles) - 1)).clamp(max=1.0)
