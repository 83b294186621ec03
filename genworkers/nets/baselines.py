"""What spark and drift are compared with: a plain DCGAN and a plain beta-VAE, both on 64 px pixels and both with words.

Pictures are premultiplied, channels first, in -1..1. Neither is served.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genworkers.nets.conditions import ConditionReader

PICTURE_CHANNELS = 4
SENTENCE_WIDTH = 384
NOISE_WIDTH = 64
LATENT_WIDTH = 96
WIDTHS = (192, 128, 64, 32)  # at 4, 8, 16 and 32 px


def _upwards() -> list[nn.Module]:
    """From 4 px to a picture of 64 px."""
    layers: list[nn.Module] = []
    for before, after in zip(WIDTHS, (*WIDTHS[1:], PICTURE_CHANNELS), strict=True):
        layers += [nn.BatchNorm2d(before), nn.ReLU(), nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)]
    return [*layers, nn.Tanh()]


def _downwards(*, has_norm: bool) -> list[nn.Module]:
    """From a picture of 64 px to 4 px."""
    layers: list[nn.Module] = []
    for before, after in zip((PICTURE_CHANNELS, *WIDTHS[::-1]), WIDTHS[::-1], strict=False):
        layers.append(nn.Conv2d(before, after, 4, stride=2, padding=1))
        if has_norm and before != PICTURE_CHANNELS:
            layers.append(nn.BatchNorm2d(after))
        layers.append(nn.LeakyReLU(0.2))
    return layers


class DcganGenerator(nn.Module):
    """Radford, Metz, Chintala 2015, "Unsupervised Representation Learning with Deep Convolutional Generative
    Adversarial Networks" (arXiv:1511.06434). Differs from the paper: words and style are added to the noise.
    """

    def __init__(self, num_styles: int) -> None:
        super().__init__()
        self.words = ConditionReader(SENTENCE_WIDTH, num_styles, 128)
        self.start = nn.Linear(NOISE_WIDTH + 128, WIDTHS[0] * 16)
        self.paint = nn.Sequential(*_upwards())

    def forward(self, noise: Tensor, sentence: Tensor, style: Tensor) -> Tensor:
        """Noise (B, 64), sentences (B, 384) and style weights (B, S) to pictures (B, 4, 64, 64)."""
        x = self.start(torch.cat([noise, self.words(sentence, style)], dim=1)).view(-1, WIDTHS[0], 4, 4)
        painted: Tensor = self.paint(x)
        return painted.float()


class DcganDiscriminator(nn.Module):
    """The same upside down; words and style enter by a dot product, as in spark's discriminator."""

    def __init__(self, num_styles: int) -> None:
        super().__init__()
        self.words = ConditionReader(SENTENCE_WIDTH, num_styles, 128)
        self.look = nn.Sequential(*_downwards(has_norm=True), nn.Flatten(), nn.Linear(WIDTHS[0] * 16, 128))
        self.realness = nn.Linear(128, 1)

    def forward(self, pictures: Tensor, sentence: Tensor, style: Tensor) -> Tensor:
        """Pictures (B, 4, 64, 64) with their words to logits (B,)."""
        seen = F.leaky_relu(self.look(pictures), 0.2)
        judged: Tensor = self.realness(seen)[:, 0] + (seen * self.words(sentence, style)).sum(1) / math.sqrt(128)
        return judged.float()


class BetaVae(nn.Module):
    """Higgins et al. 2017, "beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework", with a
    text prior like drift's.
    """

    def __init__(self, num_styles: int) -> None:
        super().__init__()
        self.look = nn.Sequential(*_downwards(has_norm=True), nn.Flatten(), nn.Linear(WIDTHS[0] * 16, 2 * LATENT_WIDTH))
        self.unfold = nn.Linear(LATENT_WIDTH, WIDTHS[0] * 16)
        self.paint = nn.Sequential(*_upwards())
        self.words = ConditionReader(SENTENCE_WIDTH, num_styles, 384)
        self.prior_hidden = nn.Linear(384, 384)
        self.prior_out = nn.Linear(384, 2 * LATENT_WIDTH)

    def encode(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (B, 4, 64, 64) to the mean and log-variance of their place, each (B, Z)."""
        mean, log_variance = self.look(pictures).float().chunk(2, dim=1)
        return mean, log_variance.clamp(-8.0, 4.0)

    def decode(self, places: Tensor) -> Tensor:
        """Places (B, Z) to pictures (B, 4, 64, 64)."""
        painted: Tensor = self.paint(self.unfold(places).view(-1, WIDTHS[0], 4, 4))
        return painted.float()

    def prior(self, sentence: Tensor, style: Tensor) -> tuple[Tensor, Tensor]:
        """Where pictures of sentences (B, 384) in styles (B, S) lie: mean and log-variance, each (B, Z)."""
        hidden = F.silu(self.words(sentence, style))
        mean, log_variance = self.prior_out(hidden + F.silu(self.prior_hidden(hidden))).float().chunk(2, dim=1)
        return mean, log_variance.clamp(-8.0, 4.0)
