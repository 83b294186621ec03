"""Pictures to learn from, composed in batches: one to three things anywhere, in any colour, on any ground, a bit worn.

`scenes.py` composes one at a time with captions; here whole batches are made at once, because no caption is needed.
"""

import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from genworkers.nets.judges import PICTURE_PX
from genworkers.training.judge_data import STYLES
from genworkers.training.picture_concepts import NO, UNSURE, YES
from genworkers.training.picture_table import PictureTable

NUM_THINGS_CHANCES = (0.75, 0.18, 0.07)
STICKER_CHANCE = 0.75
SHRUNK_BELOW = 0.6
SEVERAL = -1
LUMINANCE = torch.tensor([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Mixed:
    """Pictures to learn from.

    Attributes:
        pictures: (B, 3, 64, 64) in 0..1.
        labels: (B, C): YES, NO or UNSURE.
        single: (B,) int64: the row of the table that a picture shows; SEVERAL where it shows several.
    """

    pictures: Tensor
    labels: Tensor
    single: Tensor


class Shelf:
    """Draws rows of a table so that rare categories and concepts with few pictures come as often as others.

    Args:
        rows: those that may be drawn.
    """

    def __init__(self, table: PictureTable, rows: Sequence[int]) -> None:
        drawn: defaultdict[tuple[bool, str], list[int]] = defaultdict(list)
        for row in rows:
            drawn[table.sources[row] in STYLES, table.concepts[row]].append(row)
        self._all = [[own for (is_sticker, _), own in drawn.items() if is_sticker == kind] for kind in (True, False)]
        self._of_category = [
            [[own for own in kind if table.labels[own[0], category] == YES] for kind in self._all]
            for category in range(table.labels.shape[1])
        ]

    def draw(self, num: int, category_chance: float, generator: torch.Generator) -> list[int]:
        """Rows of random concepts.

        Args:
            category_chance: how often a category is chosen first, each as often, and then a concept in it.
        """
        return [self._draw_one(category_chance, generator) for _ in range(num)]

    def _draw_one(self, category_chance: float, generator: torch.Generator) -> int:
        from_category, which, kind, concept, row = torch.rand(5, generator=generator).tolist()
        kinds = self._all
        if from_category < category_chance:
            kinds = self._of_category[int(which * len(self._of_category))]
        stickers, others = kinds if any(kinds) else self._all
        concepts = (stickers or others) if kind < STICKER_CHANCE else (others or stickers)
        own = concepts[int(concept * len(concepts))]
        return own[int(row * len(own))]


def mixed(table: PictureTable, shelf: Shelf, num: int, generator: torch.Generator, *, category_chance: float) -> Mixed:
    """New pictures of one to three things.

    Args:
        category_chance: see `Shelf.draw`; that of the first thing, the others have a third of it.
    """
    grounds = _grounds(num, generator)
    pictures = grounds
    chances = torch.rand(num, generator=generator)
    steps = torch.tensor(NUM_THINGS_CHANCES).cumsum(0)
    num_things = 1 + (chances[:, None] > steps).sum(1)
    labels = torch.full((num, table.labels.shape[1]), NO, dtype=torch.int8)
    single = torch.full((num,), SEVERAL)
    corners = torch.rand(num, 4, generator=generator).argsort(1)  # several things stand in different quarters
    for place in range(len(NUM_THINGS_CHANCES)):
        own = (num_things > place).nonzero()[:, 0]
        if not len(own):
            break
        rows = shelf.draw(len(own), category_chance if place == 0 else category_chance / 3, generator)
        things = _coloured(table, rows, pictures[own].mean((2, 3)), generator)
        things = _placed(things, num_things[own], corners[own, place], generator)
        pictures[own] = things[:, :3] + pictures[own] * (1.0 - things[:, 3:])
        labels[own] = _either(labels[own], table.labels[rows])
        if place == 0:
            single[own] = torch.tensor(rows)
    return Mixed(_worn(pictures.clamp(0.0, 1.0), generator), labels, single.masked_fill(num_things > 1, SEVERAL))


def plain(table: PictureTable, rows: Sequence[int]) -> Mixed:
    """The things of rows as they are, each alone on white."""
    floats = table.pictures[list(rows)].float() / 255.0
    return Mixed(floats[:, :3] + 1.0 - floats[:, 3:], table.labels[list(rows)], torch.tensor(rows))


def _either(one: Tensor, other: Tensor) -> Tensor:
    unsure = (one == UNSURE) | (other == UNSURE)
    labels = torch.where(unsure, torch.full_like(one, UNSURE), torch.full_like(one, NO))
    return torch.where((one == YES) | (other == YES), torch.full_like(one, YES), labels)


def _grounds(num: int, generator: torch.Generator) -> Tensor:
    """White, one colour, two colours that blend, or cloudy noise such as photographs have."""
    first, second = (torch.rand(num, 3, 1, 1, generator=generator) for _ in range(2))
    first = first * (torch.rand(num, 1, 1, 1, generator=generator) > 0.15)  # some are black
    ramp = torch.linspace(0.0, 1.0, PICTURE_PX).expand(PICTURE_PX, PICTURE_PX)
    ramps = torch.stack([torch.rot90(ramp, turns) for turns in torch.randint(4, (num,), generator=generator).tolist()])
    blended = first + (second - first) * ramps[:, None]
    way = torch.rand(num, 1, 1, 1, generator=generator)
    plain_ground = torch.where(way < 0.55, torch.ones_like(first), first).expand_as(blended)
    grounds = torch.where(way < 0.75, plain_ground, blended)
    cloudy = (way.flatten() > 0.85).nonzero()[:, 0]
    noise = torch.zeros(len(cloudy), 3, PICTURE_PX, PICTURE_PX)
    for side in (2, 4, 8, 16, 32):
        weight = torch.rand(len(cloudy), 1, 1, 1, generator=generator) * 2.0 / side**0.5
        coarse = torch.randn(len(cloudy), 3, side, side, generator=generator)
        noise += weight * F.interpolate(coarse, size=PICTURE_PX, mode="bilinear")
    grounds[cloudy] = (first[cloudy] + 0.25 * noise).clamp(0.0, 1.0)
    return grounds


def _coloured(table: PictureTable, rows: list[int], grounds: Tensor, generator: torch.Generator) -> Tensor:
    """Premultiplied floats (n, 4, 64, 64) in other colours; icons get one that can be seen on their ground (n, 3)."""
    floats = table.pictures[rows].float() / 255.0
    num = len(rows)
    alpha = floats[:, 3:]
    way = torch.rand(num, 1, 1, 1, generator=generator)
    mixing = torch.eye(3) + 0.35 * torch.randn(num, 3, 3, generator=generator) * (way[..., 0] < 0.25)
    grey = LUMINANCE.expand(3, 3).expand(num, 3, 3)
    mixing = torch.where(way[..., 0] > 0.95, grey, mixing)
    light = 1.0 + 0.3 * (torch.rand(num, 1, 1, 1, generator=generator) - 0.5)
    colours = torch.einsum("nij,njhw->nihw", mixing, floats[:, :3]) * light

    top, bottom = (torch.rand(num, 3, 1, 1, generator=generator) for _ in range(2))
    bottom = torch.where(torch.rand(num, 1, 1, 1, generator=generator) < 0.6, top, bottom)
    paint = top + (bottom - top) * torch.linspace(0.0, 1.0, PICTURE_PX)[:, None]
    paint = paint * (torch.rand(num, 1, 1, 1, generator=generator) > 0.2)  # every fifth is black
    ground_light = (grounds * LUMINANCE).sum(1)[:, None, None, None]
    paint_light = (paint * LUMINANCE[:, None, None]).sum(1, keepdim=True)
    far = torch.where(ground_light > 0.5, 0.3 * paint, 0.7 + 0.3 * paint)
    paint = torch.where((paint_light - ground_light).abs() < 0.3, far, paint)
    is_icon = table.is_icon[rows][:, None, None, None]
    colours = torch.where(is_icon, paint * alpha, torch.minimum(colours.clamp(min=0.0), alpha))
    return torch.cat([colours, alpha], 1)


def _placed(things: Tensor, num_things: Tensor, corner: Tensor, generator: torch.Generator) -> Tensor:
    """Each thing mirrored, turned, sized and moved; one alone is larger than one of several."""
    num = len(things)
    is_alone = num_things == 1
    chance = torch.rand(num, 6, generator=generator)
    size = torch.where(is_alone, 0.5 + 0.6 * chance[:, 0], 0.35 + 0.25 * chance[:, 0])
    size = torch.where(is_alone & (chance[:, 5] < 0.4), torch.ones_like(size), size)
    angle = torch.where(chance[:, 1] < 0.5, 0.0, 0.7 * (chance[:, 2] - 0.5))
    mirrored = torch.where(torch.rand(num, generator=generator) < 0.5, -1.0, 1.0)
    free = (1.0 - size).clamp(min=0.08)
    moved = free[:, None] * (2.0 * chance[:, 3:5] - 1.0)
    centres = torch.stack([corner % 2, corner // 2], 1) - 0.5
    moved = torch.where(is_alone[:, None], moved, centres + 0.3 * (chance[:, 3:5] - 0.5))
    cos, sin = angle.cos() / size, angle.sin() / size
    matrices = torch.stack([torch.stack([cos * mirrored, sin * mirrored], 1), torch.stack([-sin, cos], 1)], 1)
    offsets = -(matrices @ moved[..., None])
    grid = F.affine_grid(torch.cat([matrices, offsets], 2), list(things.shape), align_corners=False)
    is_small = size < SHRUNK_BELOW
    placed = torch.empty_like(things)
    for chosen, source in ((~is_small, things), (is_small, F.avg_pool2d(things, 2))):
        placed[chosen] = F.grid_sample(source[chosen], grid[chosen], align_corners=False)
    return placed


def _worn(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Some blurred, some noisy, some through JPEG, all in a slightly different light."""
    num = len(pictures)
    way = torch.rand(num, generator=generator)
    blurred = F.interpolate(F.avg_pool2d(pictures, 2), scale_factor=2, mode="bilinear")
    pictures = torch.where((way < 0.2)[:, None, None, None], blurred, pictures)
    strength = 0.06 * torch.rand(num, 1, 1, 1, generator=generator) * ((way > 0.2) & (way < 0.4))[:, None, None, None]
    pictures = pictures + strength * torch.randn(pictures.shape, generator=generator)
    light = 1.0 + 0.2 * (torch.rand(num, 1, 1, 1, generator=generator) - 0.5)
    pictures = (pictures * light).clamp(0.0, 1.0)
    for row in (way > 0.92).nonzero()[:, 0].tolist():
        quality = int(torch.randint(30, 85, (1,), generator=generator))
        pictures[row] = _through_jpeg(pictures[row], quality)
    return pictures


def _through_jpeg(picture: Tensor, quality: int) -> Tensor:
    buffer = io.BytesIO()
    pixels = (picture.permute(1, 2, 0).numpy() * 255.0).round().astype(np.uint8)
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=quality)
    with Image.open(buffer) as image:
        return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1) / 255.0
