"""The tokenizer of palette pictures: a figure of known patterns, a table of its colours and a ground, in 8x8 codes.

It works as indexed files do. The tiles where a figure stands say which pattern of shades they show; some at the edge of
the frame say which colour each thing has (skin, hair, top ...); all others say the ground. Its tables are counted, not
trained, and nothing is ever blurred: patterns and colours are those of the layers that pictures are made of.
It has the public face of `FsqTokenizer`. Pictures here are premultiplied RGBA, channels first, 0..1.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class PaletteTokenizerConfig:
    """Shape of a palette tokenizer.

    Attributes:
        num_colours: of the palette; colour 0 is transparent.
        num_patterns: tiles of shades that figures are made of; pattern 0 is empty.
        num_shades: shade 0 is the ground.
        num_things: how many things have a colour of their own.
        num_entries: colours that a thing can have, over all things; the last one is "unused".
        num_grounds: colours of the ground.
        figure: the tiles where a figure may stand: rows from, to, columns from, to.
    """

    num_colours: int
    num_patterns: int
    num_shades: int
    num_things: int
    num_entries: int
    num_grounds: int
    figure: tuple[int, int, int, int] = (1, 8, 2, 6)
    image_px: int = 64
    decoded_px: int = 64
    grid: int = 8

    @property
    def num_codes(self) -> int:
        """Size of the vocabulary: patterns, then colours of things, then grounds."""
        return self.num_patterns + self.num_entries + self.num_grounds

    @property
    def num_tiles(self) -> int:
        """How many codes one picture has."""
        return self.grid * self.grid

    @property
    def tile_px(self) -> int:
        """Side of a tile."""
        return self.image_px // self.grid

    def places(self) -> tuple[Tensor, Tensor, Tensor]:
        """Numbers of the tiles of the figure, of the table of colours (one a thing) and of the ground."""
        top, bottom, left, right = self.figure
        is_figure = torch.zeros(self.grid, self.grid, dtype=torch.bool)
        is_figure[top:bottom, left:right] = True
        around = (~is_figure).flatten().nonzero()[:, 0]
        return is_figure.flatten().nonzero()[:, 0], around[: self.num_things], around[self.num_things :]


class PaletteTokenizer(nn.Module):
    """Tables only; they are the checkpoint.

    Attributes:
        palette: (P, 4) uint8 straight RGBA, row 0 transparent.
        looks: (S, E) uint8, palette number of each shade in each colour of its thing.
        things: (S) int64, which thing gives a shade its colour.
        entries: (T, 2) int64, the colours that a thing can have: from, to.
        patterns: (K, pixels) uint8 shades.
        stands: (F, K) uint8, 1 where a pattern was seen at a tile of the figure.
        grounds: (G) int64 palette numbers.
    """

    palette: Tensor
    looks: Tensor
    things: Tensor
    entries: Tensor
    patterns: Tensor
    stands: Tensor
    grounds: Tensor

    def __init__(self, config: PaletteTokenizerConfig) -> None:
        super().__init__()
        self.config = config
        self._figure, self._table, self._ground = config.places()
        byte, long = torch.uint8, torch.long
        self.register_buffer("palette", torch.zeros(config.num_colours, 4, dtype=byte))
        self.register_buffer("looks", torch.zeros(config.num_shades, config.num_entries, dtype=byte))
        self.register_buffer("things", torch.zeros(config.num_shades, dtype=long))
        self.register_buffer("entries", torch.zeros(config.num_things, 2, dtype=long))
        self.register_buffer("patterns", torch.zeros(config.num_patterns, config.tile_px**2, dtype=byte))
        self.register_buffer("stands", torch.zeros(len(self._figure), config.num_patterns, dtype=byte))
        self.register_buffer("grounds", torch.zeros(config.num_grounds, dtype=long))

    def encode(self, pictures: Tensor) -> Tensor:
        """Premultiplied pictures (B, 4, 64, 64) in 0..1 to the codes (B, N) int64 that paint most like them."""
        return torch.stack([self._fit(picture) for picture in pictures])

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, N) int64 to premultiplied pictures (B, 4, 64, 64) in 0..1, every pixel a colour of the palette."""
        return self._premultiplied()[self.decode_indices(codes)].permute(0, 3, 1, 2)

    def decode_indices(self, codes: Tensor) -> Tensor:
        """Codes (B, N) int64 to palette numbers (B, 64, 64) int64. A code of the wrong kind is read as nothing."""
        config = self.config
        top, bottom, left, right = config.figure
        patterns = codes[:, self._figure]
        patterns = patterns.masked_fill(patterns >= config.num_patterns, 0)
        table = codes[:, self._table] - config.num_patterns
        is_entry = (table >= self.entries[:, 0]) & (table < self.entries[:, 1])
        table = table.where(is_entry, torch.tensor(config.num_entries - 1, device=codes.device))
        ground = codes[:, self._ground] - config.num_patterns - config.num_entries
        shown: Tensor = self.grounds[ground.clamp(min=0).mode(1).values]  # (B)

        shades = self.patterns[patterns].long()  # (B, F, pixels)
        entry = table.gather(1, self.things[shades].flatten(1)).view(shades.shape)
        painted = self.looks[shades, entry].long().where(shades > 0, shown[:, None, None])
        rows, columns, tile_px = bottom - top, right - left, config.tile_px
        part = painted.view(-1, rows, columns, tile_px, tile_px).transpose(2, 3).flatten(3).flatten(1, 2)
        indices = shown[:, None, None].repeat(1, config.image_px, config.image_px)
        indices[:, top * tile_px : bottom * tile_px, left * tile_px : right * tile_px] = part
        return indices

    def join(self, patterns: Tensor, table: Tensor, ground: Tensor) -> Tensor:
        """Codes (B, N) from patterns (B, F), table entries (B, T) and grounds (B)."""
        config = self.config
        codes = torch.zeros(len(patterns), config.num_tiles, dtype=torch.long, device=patterns.device)
        codes[:, self._figure] = patterns
        codes[:, self._table] = config.num_patterns + table
        codes[:, self._ground] = config.num_patterns + config.num_entries + ground[:, None]
        return codes

    def _premultiplied(self) -> Tensor:
        straight = self.palette.float() / 255.0
        return torch.cat([straight[:, :3] * straight[:, 3:], straight[:, 3:]], 1)

    def _fit(self, picture: Tensor) -> Tensor:
        """Codes (N) of the picture (4, H, W) that this tokenizer can paint most like it, by squares."""
        config, colours = self.config, self._premultiplied()
        tile_px = config.tile_px
        tiles = picture.unflatten(2, (-1, tile_px)).unflatten(1, (-1, tile_px)).permute(1, 3, 2, 4, 0).flatten(2, 3)
        tiles = tiles.flatten(0, 1)  # (N, pixels, 4)
        around = tiles[self._ground].flatten(0, 1).median(0).values
        ground = torch.cdist(around[None], colours[self.grounds])[0].argmin()
        # What each palette colour would cost at each pixel; shade 0 costs what the ground does.
        costs = torch.cdist(tiles[self._figure], colours[None]).square()  # (F, pixels, P)
        is_of = torch.nn.functional.one_hot(self.things, config.num_things).float()  # (S, T)
        is_of[0] = 0.0
        candidates, summed = [], torch.zeros(config.num_things, config.num_entries)
        for place, cost in enumerate(costs):
            known = self.stands[place].nonzero()[:, 0]
            shades = self.patterns[known].long()  # (n, pixels)
            by_shade = cost[:, self.looks.long()]  # (pixels, S, E)
            by_shade[:, 0] = cost[:, self.grounds[ground], None]
            rows = torch.arange(shades.shape[1])
            best, best_total, best_things = 0, float("inf"), summed
            for some in torch.arange(len(known)).split(64):
                own = by_shade[rows, shades[some]]  # (n, pixels, E)
                by_thing = is_of[shades[some]].transpose(1, 2) @ own  # (n, T, E)
                fixed = (own[..., 0] * (shades[some] == 0)).sum(1)
                total = fixed + self._allowed(by_thing).amin(2).sum(1)
                lowest = int(total.argmin())
                if float(total[lowest]) < best_total:
                    best, best_total, best_things = int(some[lowest]), float(total[lowest]), by_thing[lowest]
            candidates.append((known, shades, by_shade))
            if shades[best].any():
                summed = summed + best_things
        table = self._allowed(summed).argmin(1)
        table[summed.amax(1) == summed.amin(1)] = config.num_entries - 1
        patterns = []
        for known, shades, by_shade in candidates:
            entry = table[self.things]  # (S)
            own = by_shade[:, torch.arange(config.num_shades), entry]  # (pixels, S)
            patterns.append(known[own[torch.arange(len(own)), shades].sum(1).argmin()])
        return self.join(torch.stack(patterns)[None], table[None], ground[None])[0]

    def _allowed(self, by_thing: Tensor) -> Tensor:
        """(..., T, E) with infinity where a thing cannot have a colour."""
        numbers = torch.arange(self.config.num_entries)
        is_entry = (numbers >= self.entries[:, :1]) & (numbers < self.entries[:, 1:])
        return by_thing.masked_fill(~is_entry, float("inf"))
