"""The tokenizer of palette pictures: 64 px of at most 255 colours become 8x8 codes and come back in those very colours.

It has the public face of `FsqTokenizer`. Each pixel is a choice among the palette, so nothing is ever blurred.
Pictures here are premultiplied RGBA, channels first, 0..1, and enlarge by whole factors with their nearest neighbour.
"""

from dataclasses import dataclass
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genworkers.nets.fsq_tokenizer import FiniteScalarQuantiser
from genworkers.nets.masked_transformer import MosaicConfig, MosaicLayer

SHARPNESS = 4.0


@dataclass(frozen=True)
class PaletteTokenizerConfig:
    """Shape of a palette tokenizer.

    Attributes:
        num_colours: of the palette; colour 0 is transparent.
        levels: of the codes of figure tiles.
        colour_width, detail_width: features of a pixel, where it is read and where it is painted.
        encoder_width: of the hidden layers that read one tile.
        width, num_layers, num_heads: of the Transformer that paints.
        figure: the tiles where a figure may stand: rows from, to, columns from, to. All others show the ground.
    """

    num_colours: int
    levels: tuple[int, ...] = (4, 4, 4, 4, 4, 2)
    colour_width: int = 12
    detail_width: int = 32
    encoder_width: int = 384
    width: int = 192
    num_layers: int = 4
    num_heads: int = 6
    figure: tuple[int, int, int, int] = (1, 8, 2, 6)
    image_px: int = 64
    decoded_px: int = 64
    grid: int = 8

    @property
    def num_figure_codes(self) -> int:
        """How many codes tell a piece of a figure; those after them tell a tile of one colour."""
        return prod(self.levels)

    @property
    def num_codes(self) -> int:
        """Size of the vocabulary."""
        return self.num_figure_codes + self.num_colours

    @property
    def num_tiles(self) -> int:
        """How many codes one picture has."""
        return self.grid * self.grid

    @property
    def tile_px(self) -> int:
        """Side of a tile."""
        return self.image_px // self.grid


class TileEncoder(nn.Module):
    """Reads each tile on its own, so that a code says what its tile shows and a caption can foretell it."""

    def __init__(self, config: PaletteTokenizerConfig) -> None:
        super().__init__()
        hidden = config.encoder_width
        self.read = nn.Linear(config.colour_width * config.tile_px**2, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.up = nn.Linear(hidden, 2 * hidden)
        self.down = nn.Linear(2 * hidden, hidden)
        self.out_norm = nn.LayerNorm(hidden)
        self.out = nn.Linear(hidden, len(config.levels))

    def forward(self, tiles: Tensor) -> Tensor:
        """(..., pixels * colour_width) to latents (..., D)."""
        x = F.gelu(self.read(tiles))
        x = x + self.down(F.gelu(self.up(self.norm(x))))
        latent: Tensor = self.out(self.out_norm(x))
        return latent


class FigureDecoder(nn.Module):
    """A Transformer over the tiles of the figure; each may look at all others before it is painted."""

    def __init__(self, config: PaletteTokenizerConfig) -> None:
        super().__init__()
        self.tile_px = config.tile_px
        top, bottom, left, right = config.figure
        self.read = nn.Linear(len(config.levels), config.width)
        self.positions = nn.Parameter(torch.zeros((bottom - top) * (right - left), config.width))
        shape = MosaicConfig(num_codes=1, width=config.width, num_heads=config.num_heads)
        self.layers = nn.ModuleList(MosaicLayer(shape) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(config.width)
        self.paint = nn.Linear(config.width, config.detail_width * config.tile_px**2)
        nn.init.normal_(self.positions, std=0.5)

    def forward(self, values: Tensor) -> Tensor:
        """Latents (B, D, h, w), quantised, zero at flat tiles, to features of pixels (B, C, H, W)."""
        batch, _, rows, columns = values.shape
        x = self.read(values.flatten(2).transpose(1, 2)) + self.positions
        for layer in self.layers:
            x = layer(x)
        painted = F.silu(self.paint(self.norm(x)))
        tiles = painted.view(batch, rows, columns, self.tile_px, self.tile_px, -1)
        return tiles.permute(0, 5, 1, 3, 2, 4).reshape(batch, -1, rows * self.tile_px, columns * self.tile_px)


class PaletteTokenizer(nn.Module):
    """Encoder, quantiser and decoder; the palette is part of the checkpoint.

    A tile of one colour has a code that says which: the ground is told exactly and never disturbs the figure. All else
    goes through the nets, with colour 0 in place of the ground.
    """

    palette: Tensor

    def __init__(self, config: PaletteTokenizerConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("palette", torch.zeros(config.num_colours, 4, dtype=torch.uint8))
        self.quantiser = FiniteScalarQuantiser(config.levels)
        self.colours = nn.Embedding(config.num_colours, config.colour_width)
        self.encoder = TileEncoder(config)
        self.decoder = FigureDecoder(config)
        self.choose = nn.Linear(config.detail_width, config.num_colours)

    @torch.no_grad()
    def start_from(self, palette: Tensor) -> None:
        """Set the palette, (P, 4) uint8 straight RGBA with row 0 transparent, before training.

        Colours begin with their RGB values as the first channels of what is read, and the choice among them as the
        nearest one, so that alike colours need not first be found to be alike.
        """
        self.palette.copy_(palette)
        place = palette.float() / 127.5 - 1.0  # (P, 4) in -1..1
        place[0] = torch.tensor([0.0, 0.0, 0.0, -1.0])
        self.colours.weight.mul_(0.3)
        self.colours.weight[:, :4] = 1.5 * place
        self.choose.weight.mul_(0.5)
        self.choose.weight[:, :4] = SHARPNESS * place
        self.choose.weight[:, 4:8] = -SHARPNESS * place  # SiLU gives hardly any negative values
        self.choose.bias.copy_(-0.5 * SHARPNESS * place.square().sum(1))

    def encode(self, pictures: Tensor) -> Tensor:
        """Premultiplied pictures (B, 4, 64, 64) in 0..1 to codes (B, N) int64, row by row."""
        return self.encode_indices(self.to_indices(pictures))

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, N) int64 to premultiplied pictures (B, 4, 64, 64) in 0..1, every pixel a colour of the palette."""
        chosen = (self.palette.float() / 255.0)[self.decode_indices(codes)]  # (B, 64, 64, 4)
        return torch.cat([chosen[..., :3] * chosen[..., 3:], chosen[..., 3:]], -1).permute(0, 3, 1, 2)

    def to_indices(self, pictures: Tensor) -> Tensor:
        """The nearest palette colour of each pixel: premultiplied (B, 4, H, W) to (B, H, W) int64.

        What is less than half opaque becomes transparent.
        """
        alpha = pictures[:, 3]
        straight = (pictures[:, :3] / alpha.clamp(min=1e-4)[:, None]).permute(0, 2, 3, 1)  # (B, H, W, 3)
        distance = torch.cdist(straight.flatten(0, 2)[None], (self.palette[1:, :3].float() / 255.0)[None])[0]
        nearest = distance.argmin(-1).view(alpha.shape) + 1
        return nearest.masked_fill(alpha < 0.5, 0)

    def encode_indices(self, indices: Tensor) -> Tensor:
        """Palette numbers (B, 64, 64) int64 to codes (B, N) int64.

        What lies outside the figure's tiles is taken for ground of its commonest colour.
        """
        grid, tile_px = self.config.grid, self.config.tile_px
        top, bottom, left, right = self.config.figure
        is_outside = torch.ones(grid, grid, dtype=torch.bool, device=indices.device)
        is_outside[top:bottom, left:right] = False
        tiles = indices.unflatten(2, (grid, tile_px)).unflatten(1, (grid, tile_px)).transpose(2, 3)
        ground = tiles[:, is_outside].flatten(1).mode(1).values  # (B)
        codes: Tensor = (self.config.num_figure_codes + ground)[:, None, None].repeat(1, grid, grid)
        part = self.figure_part(indices)
        figure_codes = self._quantise(part.masked_fill(part == ground[:, None, None], 0))[1]
        codes[:, top:bottom, left:right] = torch.where(
            self._is_flat(part), self.config.num_figure_codes + part[:, ::tile_px, ::tile_px], figure_codes
        )
        return codes.flatten(1)

    def decode_indices(self, codes: Tensor) -> Tensor:
        """Codes (B, N) int64 to palette numbers (B, 64, 64) int64."""
        grid, tile_px = self.config.grid, self.config.tile_px
        top, bottom, left, right = self.config.figure
        codes = codes.reshape(-1, grid, grid)
        colour = codes - self.config.num_figure_codes  # (B, grid, grid), negative where a figure is
        is_flat = colour >= 0
        ground = colour.flatten(1).masked_fill(~is_flat.flatten(1), 0).mode(1).values
        # A figure tile outside the figure's part cannot be painted: it shows the ground.
        flat = torch.where(is_flat, colour, ground[:, None, None])
        painted = flat.repeat_interleave(tile_px, 1).repeat_interleave(tile_px, 2)
        part = codes[:, top:bottom, left:right]
        is_figure = part < self.config.num_figure_codes
        values = self.quantiser.codes_to_values(part.clamp(max=self.config.num_figure_codes - 1))
        logits: Tensor = self.choose(self.paint(values * is_figure[..., None]))
        chosen = logits.argmax(-1)
        chosen = torch.where(chosen == 0, ground[:, None, None], chosen)
        is_figure = is_figure.repeat_interleave(tile_px, 1).repeat_interleave(tile_px, 2)
        inner = self.figure_part(painted)  # a view
        inner.copy_(torch.where(is_figure, chosen, inner))
        return painted

    def figure_part(self, indices: Tensor) -> Tensor:
        """The view of (B, 64, 64) where a figure may stand."""
        top, bottom, left, right = (edge * self.config.tile_px for edge in self.config.figure)
        return indices[:, top:bottom, left:right]

    def forward(self, part: Tensor) -> tuple[Tensor, Tensor]:
        """Reconstruct for training.

        Args:
            part: palette numbers (B, H, W) of the figure's part, 0 for the ground.

        Returns:
            What the `choose` layer reads, (B, H, W, C), and which pixels are painted from it: (B, H, W) bool.
        """
        is_figure = ~self._is_flat(part)
        features = self.paint(self._quantise(part)[0] * is_figure[..., None])
        return features, is_figure.repeat_interleave(self.config.tile_px, 1).repeat_interleave(self.config.tile_px, 2)

    def paint(self, values: Tensor) -> Tensor:
        """Latents of the tiles (B, h, w, D), quantised, zero at flat ones, to features of pixels (B, H, W, C)."""
        features: Tensor = self.decoder(values.permute(0, 3, 1, 2))
        return features.permute(0, 2, 3, 1)

    def _is_flat(self, part: Tensor) -> Tensor:
        """(B, H, W) palette numbers to (B, h, w) bool: tiles of one colour."""
        tile_px = self.config.tile_px
        same = part == part[:, ::tile_px, ::tile_px].repeat_interleave(tile_px, 1).repeat_interleave(tile_px, 2)
        rows, columns = part.shape[1] // tile_px, part.shape[2] // tile_px
        is_flat: Tensor = same.reshape(-1, rows, tile_px, columns, tile_px).all(4).all(2)
        return is_flat

    def _quantise(self, part: Tensor) -> tuple[Tensor, Tensor]:
        tile_px = self.config.tile_px
        seen = self.colours(part).unflatten(2, (-1, tile_px)).unflatten(1, (-1, tile_px))  # (B, h, p, w, p, E)
        latent = self.encoder(seen.transpose(2, 3).flatten(3)).float()
        quantised, codes = self.quantiser(latent)  # (B, h, w, D), (B, h, w)
        return quantised, codes
