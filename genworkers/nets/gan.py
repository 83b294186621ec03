"""Spark: a generator that turns noise, a sentence and a style into a picture in one step, and its discriminator.

For stickers the "picture" is the tokenizer's 8x8 grid of latents; with other sizes in its config the same net draws
pixels. The discriminator is for training only.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genworkers.nets.conditions import ConditionReader

FIRST_PX = 4
GROUP_WIDTH = 16
SLOPE = 0.2


@dataclass(frozen=True)
class SparkConfig:
    """Shape of a generator and its discriminator.

    Args:
        channels: of the picture; 4 for the tokenizer's latents.
        widths: channels at 4 px, 8 px and so on, each twice the size before; the last is the picture's size.
        num_styles: how many styles a picture may mix.
        sentence_width: of the sentence vectors of the text encoder; 10 where a class stands for the sentence.
        noise_width: of the noise.
        condition_width: of what noise, sentence and style are made into, which steers every block.
        num_mixes: residual layers that make it.
        num_blocks: residual blocks at each size.
    """

    channels: int = 4
    widths: tuple[int, ...] = (96, 64)
    num_styles: int = 3
    sentence_width: int = 384
    noise_width: int = 64
    condition_width: int = 448
    num_mixes: int = 3
    num_blocks: int = 1

    @property
    def picture_px(self) -> int:
        """Width and height of what is drawn."""
        return int(FIRST_PX * 2 ** (len(self.widths) - 1))


class Mix(nn.Module):
    """A residual layer of the condition; its second matrix starts small."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, width)
        nn.init.normal_(self.second.weight, std=0.2 / math.sqrt(width))

    def forward(self, condition: Tensor) -> Tensor:
        """(B, D) to the same shape."""
        update: Tensor = self.second(F.leaky_relu(self.first(F.leaky_relu(condition, SLOPE)), SLOPE))
        return condition + update


class SteeredBlock(nn.Module):
    """Residual block of a 1x1, a grouped 3x3 and a 1x1 convolution without normalisation; the last starts at zero.

    Huang, Gokaslan, Kuleshov, Tompkin 2024, "The GAN is dead; long live the GAN! A Modern GAN Baseline"
    (arXiv:2501.05441). Differs from the paper: the condition scales and shifts the block's input too, since a sentence
    says more than a class does.
    """

    def __init__(self, width: int, num_layers: int, condition_width: int = 0) -> None:
        super().__init__()
        inner = 2 * width
        self.expand = nn.Conv2d(width, inner, 1)
        self.spread = nn.Conv2d(inner, inner, 3, padding=1, groups=max(1, inner // GROUP_WIDTH))
        self.contract = nn.Conv2d(inner, width, 1, bias=False)
        gain = math.sqrt(2 / (1 + SLOPE**2)) * num_layers**-0.25
        for layer in (self.expand, self.spread):
            fan_in = layer.weight[0].numel()
            nn.init.normal_(layer.weight, std=gain / math.sqrt(fan_in))
        nn.init.zeros_(self.contract.weight)
        self.steer = nn.Linear(condition_width, 2 * width) if condition_width else None
        if self.steer is not None:
            nn.init.normal_(self.steer.weight, std=0.1 / math.sqrt(condition_width))
            nn.init.zeros_(self.steer.bias)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """(B, C, H, W), steered by (B, condition_width) if the block was made for it, to the same shape."""
        hidden = x
        if self.steer is not None:
            scale, shift = self.steer(condition)[..., None, None].chunk(2, dim=1)
            hidden = x * (1 + scale) + shift
        hidden = F.leaky_relu(self.expand(hidden), SLOPE)
        hidden = F.leaky_relu(self.spread(hidden), SLOPE)
        update: Tensor = self.contract(hidden)
        return x + update


class SparkGenerator(nn.Module):
    """Noise, sentence and style to a picture in one step."""

    def __init__(self, config: SparkConfig) -> None:
        super().__init__()
        self.config = config
        width = config.condition_width
        self.words = ConditionReader(config.sentence_width, config.num_styles, config.condition_width)
        self.noise_in = nn.Linear(config.noise_width, width)
        self.mixes = nn.ModuleList(Mix(width) for _ in range(config.num_mixes))
        self.start = nn.Linear(width, config.widths[0] * FIRST_PX**2)
        num_layers = len(config.widths) * config.num_blocks
        self.changes = nn.ModuleList(
            nn.Conv2d(before, after, 1) if before != after else nn.Identity()
            for before, after in zip((config.widths[0], *config.widths), config.widths, strict=False)
        )
        self.blocks = nn.ModuleList(
            SteeredBlock(width, num_layers, config.condition_width)
            for width in config.widths
            for _ in range(config.num_blocks)
        )
        self.paint = nn.Conv2d(config.widths[-1], config.channels, 1)

    def forward(self, noise: Tensor, sentence: Tensor, style: Tensor) -> Tensor:
        """Draw.

        Args:
            noise: (B, noise_width), standard normal; shorter vectors give plainer pictures.
            sentence: (B, sentence_width), mean token state of the text encoder; zeros for no words.
            style: (B, num_styles) weights that sum to 1.

        Returns:
            (B, channels, picture_px, picture_px) in -1..1.
        """
        condition = self.noise_in(noise) + self.words(sentence, style)
        for mix in self.mixes:
            condition = mix(condition)
        x = self.start(condition).view(len(noise), -1, FIRST_PX, FIRST_PX)
        x = x.contiguous(memory_format=torch.channels_last)
        for size, change in enumerate(self.changes):
            if size:
                x = F.interpolate(change(x), scale_factor=2, mode="bilinear", align_corners=False)
            for block in self.blocks[size * self.config.num_blocks : (size + 1) * self.config.num_blocks]:
                x = block(x, condition)
        return torch.tanh(self.paint(F.leaky_relu(x, SLOPE)).float())


class SparkDiscriminator(nn.Module):
    """How real a picture looks, and how well it fits its sentence and style: one number, higher is more real.

    The condition enters by a dot product: Miyato, Koyama 2018, "cGANs with Projection Discriminator"
    (arXiv:1802.05637), section 3.

    Args:
        config: of the generator; its `widths` are read backwards, its `num_blocks` are those at each size.
    """

    def __init__(self, config: SparkConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths[::-1]
        num_layers = len(widths) * config.num_blocks
        self.look = nn.Conv2d(config.channels, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList(
            SteeredBlock(width, num_layers) for width in widths for _ in range(config.num_blocks)
        )
        self.changes = nn.ModuleList(
            nn.Conv2d(before, after, 1) if before != after else nn.Identity()
            for before, after in zip(widths, (*widths[1:], widths[-1]), strict=True)
        )
        self.words = ConditionReader(config.sentence_width, config.num_styles, config.condition_width)
        self.mix = nn.Linear(config.condition_width, config.condition_width)
        self.judge = nn.Linear(widths[-1] * FIRST_PX**2, config.condition_width)
        self.realness = nn.Linear(config.condition_width, 1)

    def forward(self, pictures: Tensor, sentence: Tensor, style: Tensor) -> Tensor:
        """Pictures (B, channels, px, px) in -1..1 with sentences and style weights to (B,)."""
        x = self.look(pictures.contiguous(memory_format=torch.channels_last))
        for size, change in enumerate(self.changes):
            for block in self.blocks[size * self.config.num_blocks : (size + 1) * self.config.num_blocks]:
                x = block(x)
            if size + 1 < len(self.changes):
                x = change(F.avg_pool2d(x, 2))
        seen = F.leaky_relu(self.judge(F.leaky_relu(x, SLOPE).flatten(1)), SLOPE)
        wanted = self.mix(F.leaky_relu(self.words(sentence, style), SLOPE))
        fit = (seen * wanted).sum(-1).float() / math.sqrt(self.config.condition_width)
        judged: Tensor = self.realness(seen)[:, 0].float() + fit
        return judged
