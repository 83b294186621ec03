"""The nets that judge pictures: a feature encoder, a caption scorer, a detector of things and a reader of characters.

They are trained on real and composed pictures by `genworkers/training/train_judges.py` and `character_classifier.py`,
share nothing with any net that draws, and are never part of a loss. Pictures are (B, 3, 64, 64) on white, 0..1, but for
those of characters, which are palette numbers.
"""

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PICTURE_PX = 64
CELL_PX = 4
NUM_CELLS = PICTURE_PX // CELL_PX


class ConvBlock(nn.Module):
    """Two 3x3 convolutions with batch norm around a skip; the first may halve the size."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        nn.init.zeros_(self.norm2.weight)
        self.skip = nn.Identity() if (stride, width_in) == (1, width) else nn.Conv2d(width_in, width, 1, bias=False)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, width, H / stride, W / stride)."""
        update = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        shrunk = F.avg_pool2d(x, self.stride) if self.stride > 1 else x
        return F.relu(self.skip(shrunk) + update)


class Trunk(nn.Module):
    """A small residual net; gives its maps at 16, 8 and 4 cells a side."""

    def __init__(self, widths: tuple[int, int, int, int]) -> None:
        super().__init__()
        first, fine, middle, coarse = widths
        self.stem = nn.Sequential(nn.PixelUnshuffle(4), nn.Conv2d(48, first, 3, padding=1), nn.ReLU())
        self.fine = ConvBlock(first, fine, 1)
        self.middle = ConvBlock(fine, middle, 2)
        self.coarse = ConvBlock(middle, coarse, 2)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, 64, 64) to maps (B, C, 16, 16), (B, C, 8, 8), (B, C, 4, 4)."""
        fine = self.fine(self.stem(pictures * 2.0 - 1.0))
        middle = self.middle(fine)
        return fine, middle, self.coarse(middle)


@dataclass(frozen=True)
class FeatureEncoderConfig:
    """Shape of the feature encoder; `num_features` is the width of the space that sets of pictures are compared in."""

    num_groups: int
    num_subgroups: int
    num_styles: int
    widths: tuple[int, int, int, int] = (32, 48, 96, 160)
    num_features: int = 64


class FeatureEncoder(nn.Module):
    """Pictures to features, learnt by telling group, subgroup and style of a sticker and how far it was turned."""

    def __init__(self, config: FeatureEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk = Trunk(config.widths)
        self.squeeze = nn.Linear(config.widths[-1], config.num_features)
        sizes = {"group": config.num_groups, "subgroup": config.num_subgroups, "style": config.num_styles, "turn": 4}
        self.heads = nn.ModuleDict({name: nn.Linear(config.num_features, size) for name, size in sizes.items()})

    def forward(self, pictures: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Features (B, num_features), and logits (B, classes) of `group`, `subgroup`, `style` and `turn`."""
        features = self.squeeze(self.trunk(pictures)[-1].mean((2, 3)))
        return features, {name: head(F.relu(features)) for name, head in self.heads.items()}


def hashed_pieces(text: str, num_buckets: int) -> list[int]:
    """The words of a text and their letter triples as bucket numbers, so that unseen words still share pieces.

    Bojanowski et al. 2017, "Enriching Word Vectors with Subword Information" (arXiv:1607.04606): hashed character
    n-grams. Differs from the paper: triples only, and CRC-32 is the hash.
    """
    pieces = []
    for word in re.findall(r"[a-z0-9]+", text.lower()):
        marked = f"<{word}>"
        pieces += [f"={word}", *(marked[i : i + 3] for i in range(len(marked) - 2))]
    return [zlib.crc32(piece.encode()) % num_buckets for piece in pieces or ["="]]


@dataclass(frozen=True)
class CaptionScorerConfig:
    """Shape of the caption scorer."""

    widths: tuple[int, int, int, int] = (32, 48, 96, 160)
    width: int = 128
    num_buckets: int = 16384


class CaptionScorer(nn.Module):
    """A picture side and a text side that meet in one space: a caption and its picture point the same way.

    Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision" (arXiv:2103.00020),
    section 2.3: symmetric cross-entropy. Differs from the paper: the text side is a bag of hashed pieces.
    """

    def __init__(self, config: CaptionScorerConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk = Trunk(config.widths)
        self.picture_out = nn.Linear(config.widths[-1], config.width)
        self.pieces = nn.EmbeddingBag(config.num_buckets, config.width, mode="sum")
        self.text_out = nn.Sequential(
            nn.LayerNorm(config.width),
            nn.Linear(config.width, 2 * config.width),
            nn.ReLU(),
            nn.Linear(2 * config.width, config.width),
        )
        self.log_scale = nn.Parameter(torch.tensor(2.66))  # 1 / 0.07
        nn.init.normal_(self.pieces.weight, std=0.1)

    def picture_vectors(self, pictures: Tensor) -> Tensor:
        """Unit vectors (B, width)."""
        pooled = self.trunk(pictures)[-1].mean((2, 3))
        return F.normalize(self.picture_out(pooled).float(), dim=1)

    def text_vectors(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors (B, width)."""
        pieces = [hashed_pieces(text, self.config.num_buckets) for text in texts]
        starts = torch.tensor([0, *(len(own) for own in pieces)][:-1]).cumsum(0)
        summed = self.pieces(torch.tensor([number for own in pieces for number in own]), starts)
        return F.normalize(self.text_out(summed).float(), dim=1)

    def loss(self, pictures: Tensor, texts: Sequence[str]) -> Tensor:
        """Symmetric cross-entropy of telling which text belongs to which picture; the i-th to the i-th."""
        logits = self.picture_vectors(pictures) @ self.text_vectors(texts).T * self.log_scale.clamp(max=4.6).exp()
        own = torch.arange(len(logits))
        return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


@dataclass(frozen=True)
class SceneDetectorConfig:
    """Shape of the scene detector.

    Attributes:
        num_concepts: classes whose proxies teach the looks; they are not needed to judge.
        num_colours: classes of a thing's colour, the last one "its own colours".
        num_grounds: classes of the background, the last one "none".
    """

    num_concepts: int
    num_colours: int
    num_grounds: int
    widths: tuple[int, int, int, int] = (32, 48, 96, 160)
    map_width: int = 64
    look_width: int = 64


@dataclass(frozen=True)
class SceneMaps:
    """What the detector says of every cell of a picture: N = 16 cells a side.

    Attributes:
        heat: (B, N, N) logits that a thing's centre lies in the cell.
        looks: (B, L, N, N) unit vectors: what the thing there looks like.
        colours: (B, num_colours, N, N) logits.
        grounds: (B, num_grounds) logits.
    """

    heat: Tensor
    looks: Tensor
    colours: Tensor
    grounds: Tensor


class SceneDetector(nn.Module):
    """Finds the centres of the things in a picture, and says of each what it looks like and which colour it has.

    Zhou, Wang, Krähenbühl 2019, "Objects as Points" (arXiv:1904.07850): a map of centres, its peaks are the things.
    Differs from the paper: no boxes, and instead of a class each cell has a vector, compared with those of pictures
    that show one known thing, so that concepts which were never trained on can be told too.
    """

    def __init__(self, config: SceneDetectorConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk = Trunk(config.widths)
        _, fine, middle, coarse = config.widths
        self.from_coarse = nn.Conv2d(coarse, config.map_width, 1)
        self.from_middle = nn.Conv2d(middle, config.map_width, 1)
        self.from_fine = nn.Conv2d(fine, config.map_width, 1)
        self.mix = nn.Sequential(nn.ReLU(), ConvBlock(config.map_width, config.map_width, 1))
        self.heat_out = nn.Conv2d(config.map_width, 1, 1)
        self.look_out = nn.Conv2d(config.map_width, config.look_width, 1)
        self.colour_out = nn.Conv2d(config.map_width, config.num_colours, 1)
        self.ground_out = nn.Linear(coarse, config.num_grounds)
        self.proxies = nn.Parameter(torch.randn(config.num_concepts, config.look_width))
        nn.init.constant_(self.heat_out.bias, -3.0)  # type: ignore[arg-type]  # most cells hold no centre

    def forward(self, pictures: Tensor) -> SceneMaps:
        """(B, 3, 64, 64) on white to maps."""
        fine, middle, coarse = self.trunk(pictures)
        merged = F.interpolate(self.from_coarse(coarse), scale_factor=2.0, mode="nearest") + self.from_middle(middle)
        cells = self.mix(F.interpolate(merged, scale_factor=2.0, mode="nearest") + self.from_fine(fine))
        return SceneMaps(
            heat=self.heat_out(cells)[:, 0].float(),
            looks=F.normalize(self.look_out(cells).float(), dim=1),
            colours=self.colour_out(cells).float(),
            grounds=self.ground_out(coarse.mean((2, 3))).float(),
        )

    def concept_logits(self, looks: Tensor) -> Tensor:
        """Looks (M, L) to logits over the trained concepts: cosines with their proxies, 16 times."""
        return 16.0 * looks @ F.normalize(self.proxies, dim=1).T


class CharacterClassifier(nn.Module):
    """Tells every attribute of a character from its picture: one head an attribute over one trunk.

    Beside the colours it sees where they change, since a garment has the same outlines in all of its colours.

    Args:
        num_colours: of the palette.
        num_values: attribute to how many values it has.
        colour_width: numbers that stand for a palette colour.
        widths: channels at 32, 16, 8 and 4 cells a side.
        hidden_width: of the layer under the heads; it sees where in the picture something stands.
    """

    def __init__(
        self,
        num_colours: int,
        num_values: Mapping[str, int],
        *,
        colour_width: int = 12,
        widths: tuple[int, int, int, int] = (32, 64, 96, 128),
        hidden_width: int = 384,
    ) -> None:
        super().__init__()
        self.colours = nn.Embedding(num_colours, colour_width)
        self.stem = nn.Conv2d(colour_width + 2, widths[0], 4, 2, 1)
        self.trunk = nn.Sequential(*(ConvBlock(before, after, 2) for before, after in pairwise(widths)))
        num_cells = (PICTURE_PX // 16) ** 2
        self.hidden = nn.Linear(widths[-1] * num_cells, hidden_width)
        self.heads = nn.ModuleDict({name: nn.Linear(hidden_width, number) for name, number in num_values.items()})

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        """Palette numbers (B, 64, 64) int64 to logits (B, values) of each attribute."""
        changes = torch.stack([pictures != pictures.roll(1, axis) for axis in (1, 2)], 1)
        x = torch.cat([self.colours(pictures).permute(0, 3, 1, 2), changes.float()], 1)
        x = self.trunk(F.relu(self.stem(x)))
        hidden = F.relu(self.hidden(x.flatten(1)))
        return {name: head(hidden).float() for name, head in self.heads.items()}
