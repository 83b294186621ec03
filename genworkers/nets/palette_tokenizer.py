"""The tokenizer of palette pictures: 64 px of at most 255 colours become 16x16 codes and come back in the same colours.

It has the public face of `FsqTokenizer`. A code is the number of the typical tile of 4 px that a tile is most like; the
decoder looks at all of them together and chooses each pixel's colour from the palette, so nothing is ever blurred.
Pictures here are premultiplied RGBA, channels first, 0..1, and enlarge by whole factors with their nearest neighbour.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genworkers.nets.masked_transformer import MosaicConfig, MosaicLayer

SHARPNESS = 40.0


@dataclass(frozen=True)
class PaletteTokenizerConfig:
    """Shape of a palette tokenizer.

    Attributes:
        num_colours: of the palette; colour 0 is transparent.
        num_figure_codes: how many typical tiles there are; the codes after them tell a tile of one colour.
        detail_width: features of a painted pixel.
        width, num_layers, num_heads: of the Transformer that paints.
        figure: the tiles where a figure may stand: rows from, to, columns from, to. All others show the ground.
    """

    num_colours: int
    num_figure_codes: int = 2048
    detail_width: int = 32
    width: int = 128
    num_layers: int = 2
    num_heads: int = 4
    figure: tuple[int, int, int, int] = (2, 16, 4, 12)
    image_px: int = 64
    decoded_px: int = 64
    grid: int = 16

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


class FigureDecoder(nn.Module):
    """A Transformer over the tiles of the figure; each may look at all others before it is painted."""

    def __init__(self, config: PaletteTokenizerConfig) -> None:
        super().__init__()
        self.tile_px = config.tile_px
        top, bottom, left, right = config.figure
        self.positions = nn.Parameter(torch.zeros((bottom - top) * (right - left), config.width))
        shape = MosaicConfig(num_codes=1, width=config.width, num_heads=config.num_heads)
        self.layers = nn.ModuleList(MosaicLayer(shape) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(config.width)
        self.paint = nn.Linear(config.width, config.detail_width * config.tile_px**2)
        nn.init.normal_(self.positions, std=0.5)

    def forward(self, codes: Tensor) -> Tensor:
        """Embedded codes (B, width, h, w) to features of pixels (B, C, H, W)."""
        batch, _, rows, columns = codes.shape
        painted = self.paint_tiles(self.look_around(codes))
        tiles = painted.view(batch, rows, columns, self.tile_px, self.tile_px, -1)
        return tiles.permute(0, 5, 1, 3, 2, 4).reshape(batch, -1, rows * self.tile_px, columns * self.tile_px)

    def look_around(self, codes: Tensor) -> Tensor:
        """Embedded codes (B, width, h, w) to what each tile knows: (B, h * w, width)."""
        x = codes.flatten(2).transpose(1, 2) + self.positions
        for layer in self.layers:
            x = layer(x)
        known: Tensor = self.norm(x)
        return known

    def paint_tiles(self, known: Tensor) -> Tensor:
        """(..., width) to features of each pixel of a tile, row by row: (..., pixels, C)."""
        painted: Tensor = F.silu(self.paint(known)).unflatten(-1, (self.tile_px**2, -1))
        return painted


class PaletteTokenizer(nn.Module):
    """Typical tiles and a decoder; the palette is part of the checkpoint.

    A tile of one colour has a code that says which: the ground is told exactly and never disturbs the figure. All else
    is compared and painted with colour 0 in place of the ground.
    """

    palette: Tensor
    typical: Tensor

    def __init__(self, config: PaletteTokenizerConfig) -> None:
        super().__init__()
        self.config = config
        pixels = config.tile_px**2
        self.register_buffer("palette", torch.zeros(config.num_colours, 4, dtype=torch.uint8))
        self.register_buffer("typical", torch.zeros(config.num_figure_codes, pixels, 4))
        self.codes = nn.Embedding(config.num_codes, config.width)
        self.decoder = FigureDecoder(config)
        self.choose = nn.Linear(config.detail_width + 4, config.num_colours)

    @torch.no_grad()
    def start_from(self, palette: Tensor, typical: Tensor) -> None:
        """Set the palette and the typical tiles before training.

        The choice of a pixel's colour begins as the nearest one to that pixel of the typical tile.

        Args:
            palette: (P, 4) uint8 straight RGBA; row 0 is transparent.
            typical: (K, pixels, 4) premultiplied 0..1.
        """
        self.palette.copy_(palette)
        self.typical.copy_(typical.bfloat16())  # as it will be stored
        colours = self.premultiplied()
        looks = torch.cat([self.typical, colours[:, None].expand(-1, typical.shape[1], -1)]).flatten(1)
        self.codes.weight.copy_(looks @ torch.randn(looks.shape[1], self.config.width) / looks.shape[1] ** 0.5)
        self.choose.weight[:, -4:] = 2.0 * SHARPNESS * colours
        self.choose.bias.copy_(-SHARPNESS * colours.square().sum(1))

    def premultiplied(self) -> Tensor:
        """The palette as (P, 4) premultiplied 0..1."""
        straight = self.palette.float() / 255.0
        return torch.cat([straight[:, :3] * straight[:, 3:], straight[:, 3:]], 1)

    def encode(self, pictures: Tensor) -> Tensor:
        """Premultiplied pictures (B, 4, 64, 64) in 0..1 to codes (B, N) int64, row by row."""
        return self.encode_indices(self.to_indices(pictures))

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, N) int64 to premultiplied pictures (B, 4, 64, 64) in 0..1, every pixel a colour of the palette."""
        return self.premultiplied()[self.decode_indices(codes)].permute(0, 3, 1, 2)

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
        grid = self.config.grid
        top, bottom, left, right = self.config.figure
        is_outside = torch.ones(grid, grid, dtype=torch.bool, device=indices.device)
        is_outside[top:bottom, left:right] = False
        ground: Tensor = self.tiles_of(indices)[:, is_outside].flatten(1).mode(1).values  # (B)
        codes = (self.config.num_figure_codes + ground)[:, None, None].repeat(1, grid, grid)
        part = self.figure_part(indices)
        own_codes = self.figure_codes(part.masked_fill(part == ground[:, None, None], 0))
        is_ground = own_codes == self.config.num_figure_codes
        inner = codes[:, top:bottom, left:right]  # a view
        inner.copy_(torch.where(is_ground, inner, own_codes))
        return codes.flatten(1)

    def decode_indices(self, codes: Tensor) -> Tensor:
        """Codes (B, N) int64 to palette numbers (B, 64, 64) int64."""
        grid, tile_px, no_colour = self.config.grid, self.config.tile_px, self.config.num_figure_codes
        top, bottom, left, right = self.config.figure
        codes = codes.reshape(-1, grid, grid)
        is_outside = torch.ones(grid, grid, dtype=torch.bool, device=codes.device)
        is_outside[top:bottom, left:right] = False
        # A figure tile outside the figure's part cannot be painted: it shows the ground.
        flat = (codes - no_colour).clamp(min=0)
        ground: Tensor = flat[:, is_outside].mode(1).values[:, None, None]
        flat = torch.where(is_outside & (codes < no_colour), ground, flat)
        painted = flat.repeat_interleave(tile_px, 1).repeat_interleave(tile_px, 2)
        part = codes[:, top:bottom, left:right]
        part = torch.where(part == no_colour + ground, no_colour, part)
        features = self.decoder(self.codes(part).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).float()
        typical = self.typical[part.clamp(max=no_colour - 1)].unflatten(3, (tile_px, tile_px)).permute(0, 1, 3, 2, 4, 5)
        logits: Tensor = self.choose(torch.cat([features, typical.reshape(*features.shape[:3], 4)], -1))
        chosen = logits.argmax(-1)
        chosen = torch.where(chosen == 0, ground, chosen)
        is_figure = (part < no_colour).repeat_interleave(tile_px, 1).repeat_interleave(tile_px, 2)
        inner = self.figure_part(painted)  # a view
        inner.copy_(torch.where(is_figure, chosen, inner))
        return painted

    def figure_part(self, indices: Tensor) -> Tensor:
        """The view of (B, 64, 64) where a figure may stand."""
        top, bottom, left, right = (edge * self.config.tile_px for edge in self.config.figure)
        return indices[:, top:bottom, left:right]

    def tiles_of(self, part: Tensor) -> Tensor:
        """(B, H, W) to (B, h, w, pixels)."""
        tile_px = self.config.tile_px
        tiles: Tensor = part.unflatten(2, (-1, tile_px)).unflatten(1, (-1, tile_px)).transpose(2, 3).flatten(3)
        return tiles

    def figure_codes(self, part: Tensor) -> Tensor:
        """Palette numbers (B, H, W) of the figure's part, 0 for the ground, to its codes (B, h, w)."""
        tiles = self.tiles_of(part)
        is_figure = (tiles != tiles[..., :1]).any(-1)
        codes: Tensor = self.config.num_figure_codes + tiles[..., 0]
        looks = self.premultiplied()[tiles[is_figure]].flatten(1)  # (M, pixels * 4)
        typical = self.typical.flatten(1)
        # The nearest has the least |t|^2 - 2 x.t; |x|^2 is the same for all.
        codes[is_figure] = (typical.square().sum(1) - 2.0 * looks @ typical.T).argmin(1)
        return codes

    def forward(self, part: Tensor, shown_frac: float) -> tuple[Tensor, Tensor]:
        """Paint some tiles of figures again, for training.

        Args:
            part: palette numbers (B, H, W) of the figure's part, 0 for the ground.
            shown_frac: share of the tiles with more than one colour, chosen at random.

        Returns:
            Logits (M, pixels, P) of the colours of those tiles, and the colours that are right (M, pixels).
        """
        codes = self.figure_codes(part)
        known = self.decoder.look_around(self.codes(codes).permute(0, 3, 1, 2)).flatten(0, 1)
        places = (codes.flatten() < self.config.num_figure_codes).nonzero()[:, 0]
        picked = places[torch.randperm(len(places))[: int(shown_frac * len(places))]]
        features = self.decoder.paint_tiles(known[picked])
        typical = self.typical[codes.flatten()[picked]].to(features.dtype)
        logits: Tensor = self.choose(torch.cat([features, typical], -1))
        return logits, self.tiles_of(part).flatten(0, 2)[picked]
