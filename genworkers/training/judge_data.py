"""What the judges learn from: every sticker of every style with its group, and composed scenes as maps of centres."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from genworkers.nets.judges import CELL_PX, NUM_CELLS
from genworkers.training.colours import COLOUR_NAMES
from genworkers.training.scenes import Scene, compose, make_shelf, render
from genworkers.training.sticker_data import Caption, is_held_out, load_stickers, read_captions

STYLES = (
    "noto", "blobmoji", "fluent-3d", "fluent-color", "fluent-flat", "fluent-high-contrast", "twemoji", "emojitwo",
    "fxemoji",
)  # fmt: skip
NO_CLASS = -1
COLOUR_CLASSES = (*COLOUR_NAMES, "none")


@dataclass(frozen=True)
class StickerTable:
    """Stickers of all styles in one table of M rows.

    Attributes:
        pictures: (M, 4, 64, 64) uint8, premultiplied.
        keys: the concept of each row.
        style: (M,) place in STYLES.
        group, subgroup: (M,) int64, NO_CLASS where unknown; `subgroups` names the latter.
        is_held_out: (M,) bool.
    """

    pictures: Tensor
    keys: tuple[str, ...]
    style: Tensor
    group: Tensor
    subgroup: Tensor
    groups: tuple[str, ...]
    subgroups: tuple[str, ...]
    is_held_out: Tensor
    captions: dict[str, Caption]


@dataclass(frozen=True)
class SceneTable:
    """Composed scenes and what they hold, one row a thing that is there.

    Attributes:
        pictures: (M, 4, 64, 64) uint8, premultiplied.
        heat: (M, 16, 16) in 0..1: a bump of one cell around each centre.
        row, cell, concept, colour: (T,) int64 of all T things: their picture, cell and classes.
        ground: (M,) int64 class of the background.
    """

    pictures: Tensor
    heat: Tensor
    row: Tensor
    cell: Tensor
    concept: Tensor
    colour: Tensor
    ground: Tensor


def read_sticker_table(corpus: Path, cache: Path, styles: Sequence[str] = STYLES) -> StickerTable:
    """All stickers of the styles."""
    captions = read_captions(corpus)
    lines = (corpus / "stickers" / "emojibase_en.jsonl").read_text(encoding="utf-8").splitlines()
    kinds = {row["codepoints"]: (row["group"], row["subgroup"]) for row in map(json.loads, lines)}
    sets = [load_stickers(corpus, style, cache) for style in styles]
    keys = tuple(key for one in sets for key in one.keys)
    names = [kinds.get(key, (None, None)) for key in keys]
    groups, subgroups = (tuple(sorted({name[i] for name in names if name[i]})) for i in range(2))
    return StickerTable(
        pictures=torch.cat([torch.from_numpy(one.small).permute(0, 3, 1, 2).contiguous() for one in sets]),
        keys=keys,
        style=torch.tensor([place for place, one in enumerate(sets) for _ in one.keys]),
        group=torch.tensor([groups.index(group) if group else NO_CLASS for group, _ in names]),
        subgroup=torch.tensor([subgroups.index(subgroup) if subgroup else NO_CLASS for _, subgroup in names]),
        groups=groups,
        subgroups=subgroups,
        is_held_out=torch.tensor([is_held_out(key) for key in keys]),
        captions=captions,
    )


class SceneSource:
    """Composes scenes of given concepts, of a random style each, without end."""

    def __init__(
        self, corpus: Path, cache: Path, concepts: Sequence[str], *, seed: int, styles: Sequence[str] = STYLES
    ) -> None:
        captions = read_captions(corpus)
        self._concepts = concepts
        self._random = np.random.default_rng(seed)
        self._sets = [load_stickers(corpus, style, cache) for style in styles]
        self._shelves = [make_shelf(own, captions, set(concepts) & set(own.keys)) for own in self._sets]

    def make(self, num_scenes: int) -> SceneTable:
        """New ones."""
        scenes, pictures = [], []
        for _ in range(num_scenes):
            style = int(self._random.integers(len(self._sets)))
            scenes.append(compose(self._shelves[style], self._random))
            pictures.append(torch.from_numpy(render(scenes[-1], self._sets[style], 64)).permute(2, 0, 1))
        return tabulate(scenes, torch.stack(pictures).contiguous(), self._concepts)


def joined(tables: Sequence[SceneTable]) -> SceneTable:
    """The scenes of several tables as one."""
    starts = np.cumsum([0, *(len(table.pictures) for table in tables)]).tolist()
    moved = [replace(table, row=table.row + start) for table, start in zip(tables, starts, strict=False)]
    names = [one.name for one in fields(SceneTable)]
    return SceneTable(**{name: torch.cat([getattr(table, name) for table in moved]) for name in names})


def tabulate(scenes: Sequence[Scene], pictures: Tensor, concepts: Sequence[str]) -> SceneTable:
    """Scenes as the maps and classes that the detector learns; concepts outside the list become NO_CLASS."""
    numbers = {key: number for number, key in enumerate(concepts)}
    heat = torch.zeros(len(scenes), NUM_CELLS, NUM_CELLS)
    rows, cells, looks, colours = [], [], [], []
    axis = torch.arange(NUM_CELLS) + 0.5
    for row, scene in enumerate(scenes):
        for thing in scene.things:
            for box in thing.boxes:
                x, y = (box.left + box.right) / 2 / CELL_PX, (box.top + box.bottom) / 2 / CELL_PX
                column, line = (min(max(int(place), 0), NUM_CELLS - 1) for place in (x, y))
                bump = torch.exp(-((axis - column - 0.5) ** 2 + (axis[:, None] - line - 0.5) ** 2) / 2)
                heat[row] = torch.maximum(heat[row], bump)
                rows.append(row)
                cells.append(line * NUM_CELLS + column)
                looks.append(numbers.get(thing.key, NO_CLASS))
                colours.append(COLOUR_CLASSES.index(thing.colour or "none"))
    grounds = [COLOUR_CLASSES.index(scene.background or "none") for scene in scenes]
    return SceneTable(
        pictures,
        heat,
        torch.tensor(rows),
        torch.tensor(cells),
        torch.tensor(looks),
        torch.tensor(colours),
        torch.tensor(grounds),
    )


def on_white(premultiplied: Tensor) -> Tensor:
    """(B, 4, H, W) uint8 or 0..1 floats to (B, 3, H, W) floats in 0..1."""
    floats = premultiplied.float() / 255.0 if premultiplied.dtype == torch.uint8 else premultiplied
    return floats[:, :3] + 1.0 - floats[:, 3:]


def jittered(pictures: Tensor, generator: torch.Generator, *, shift_px: int) -> Tensor:
    """Pictures (B, 4, H, W) uint8 each moved a little and in a slightly different light; (B, 3, H, W) on white.

    Args:
        shift_px: largest way to each side; what moves out of the picture is lost.
    """
    side = pictures.shape[-1]
    padded = F.pad(pictures, (shift_px,) * 4)
    offsets = torch.randint(2 * shift_px + 1, (len(pictures), 2), generator=generator).tolist()
    moved = torch.stack(
        [one[:, y : y + side, x : x + side] for one, (y, x) in zip(padded, offsets, strict=True)]
    ).float()
    light = torch.rand(len(pictures), 3, 1, 1, generator=generator) * 0.08 - 0.04
    light += 1.0 + torch.rand(len(pictures), 1, 1, 1, generator=generator) * 0.24 - 0.12
    return ((moved[:, :3] * light - moved[:, 3:]) / 255.0 + 1.0).clamp(0.0, 1.0)
