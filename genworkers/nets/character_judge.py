"""Names what a palette picture of a game character shows, one answer an attribute: it only ever judges, never draws."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genworkers.nets.masked_transformer import MosaicConfig, MosaicLayer

TILE_PX = 8


@dataclass(frozen=True)
class CharacterJudgeConfig:
    """Shape of a judge.

    Attributes:
        num_colours: of the palette.
        answers: for each attribute the names to choose from.
    """

    num_colours: int
    answers: dict[str, tuple[str, ...]]
    picture_px: int = 64
    colour_width: int = 8
    width: int = 192
    num_layers: int = 3
    num_heads: int = 6
    pooled_width: int = 64


class CharacterJudge(nn.Module):
    """A small Transformer over tiles of 8 px with one linear answer an attribute."""

    def __init__(self, config: CharacterJudgeConfig) -> None:
        super().__init__()
        self.config = config
        num_tiles = (config.picture_px // TILE_PX) ** 2
        self.colours = nn.Embedding(config.num_colours, config.colour_width)
        self.read = nn.Linear(config.colour_width * TILE_PX**2, config.width)
        self.positions = nn.Parameter(0.5 * torch.randn(num_tiles, config.width))
        shape = MosaicConfig(num_codes=1, width=config.width, num_heads=config.num_heads)
        self.layers = nn.ModuleList(MosaicLayer(shape) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(config.width)
        self.pool = nn.Linear(config.width, config.pooled_width)
        self.answers = nn.ModuleDict(
            {name: nn.Linear(num_tiles * config.pooled_width, len(choices)) for name, choices in config.answers.items()}
        )

    def forward(self, indices: Tensor) -> dict[str, Tensor]:
        """Palette numbers (B, 64, 64) int64 to logits (B, choices) of each attribute."""
        seen = self.colours(indices).unflatten(2, (-1, TILE_PX)).unflatten(1, (-1, TILE_PX))  # (B, h, p, w, p, E)
        x = F.gelu(self.read(seen.transpose(2, 3).flatten(3).flatten(1, 2))) + self.positions
        for layer in self.layers:
            x = layer(x)
        pooled = F.gelu(self.pool(self.norm(x))).flatten(1)
        return {name: answer(pooled) for name, answer in self.answers.items()}

    @torch.inference_mode()
    def name(self, indices: Tensor) -> list[dict[str, str]]:
        """What each of the pictures (B, 64, 64) shows: attribute to name."""
        named: list[dict[str, str]] = [{} for _ in range(len(indices))]
        for rows in torch.arange(len(indices)).split(32):
            for attribute, logits in self(indices[rows]).items():
                for row, choice in zip(rows.tolist(), logits.argmax(-1).tolist(), strict=True):
                    named[row][attribute] = self.config.answers[attribute][choice]
        return named
