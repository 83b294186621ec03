"""What is found in drift's latent space after training: attribute directions, a 2-D map, the scale of strangeness."""

import re
from dataclasses import dataclass

import torch
from torch import Tensor

GROUND_WORDS = re.compile(r" (?:on|with|in front of) (?:a )?\w+ background$")
MAP_SIDE = 12
NUM_ROUNDS = 40
NUM_QUANTILES = 101


@dataclass(frozen=True)
class Attribute:
    """What a direction means, in words that captions hold.

    Attributes:
        name, title: how it is asked for and how it is shown.
        more, less: patterns of captions at either end; a caption that fits both or none does not count.
        of_scenes: looked for in captions of composed scenes, else in those of stickers.
        has_ground: whether the words about the background are read too.
    """

    name: str
    title: str
    more: str
    less: str
    of_scenes: bool = True
    has_ground: bool = False

    def end_of(self, caption: str) -> int:
        """1 at the end of `more`, -1 at the end of `less`, 0 at neither."""
        words = caption if self.has_ground else GROUND_WORDS.sub("", caption)
        is_more, is_less = re.search(self.more, words) is not None, re.search(self.less, words) is not None
        return int(is_more) - int(is_less)


def _colour(name: str, title: str) -> Attribute:
    others = "red|orange|yellow|green|blue|purple|pink|brown|black|white|gray".replace(f"{name}|", "")
    return Attribute(title, title.capitalize(), rf"\b{name}\b", rf"\b(?:{others})\b")


ATTRIBUTES = (
    Attribute(
        "happier", "Happier",
        r"\b(?:happy|smile|smiling|grin|grinning|joy|laugh|laughing|beaming|cheerful)\b",
        r"\b(?:sad|cry|crying|angry|anger|frown|frowning|unhappy|worried|disappointed|pouting|mad|fear|weary)\b",
        of_scenes=False,
    ),
    Attribute(
        "rounder", "Rounder",
        r"\b(?:ball|circle|round|globe|moon|coin|wheel|disk|disc|clock|orange|apple|donut|cookie|pizza)\b",
        r"\b(?:square|box|rectangle|book|document|building|house|triangle|diamond|arrow|flag|card|pencil|sword|tower)\b",
        of_scenes=False,
    ),
    _colour("red", "redder"),
    _colour("yellow", "yellower"),
    _colour("green", "greener"),
    _colour("blue", "bluer"),
    _colour("purple", "more purple"),
    Attribute("darker", "Darker", r"\bblack\b", r"\bwhite\b"),
    Attribute("larger", "Larger", r"\b(?:large|big|huge)\b", r"\b(?:small|little|tiny)\b"),
    Attribute("more of them", "More of them", r"\b(?:three|four|five|3|4|5)\b", r"^(?:one|1)\b"),
    Attribute(
        "on a ground", "On a coloured ground", r" background$", r"^(?:(?! background$).)*$", has_ground=True
    ),
    Attribute(
        "more to the right", "More to the right",
        r"(?:in|at) (?:the )?(?:top|upper|bottom|lower) right|on (?:the )?right(?: side)?$",
        r"(?:in|at) (?:the )?(?:top|upper|bottom|lower) left|on (?:the )?left(?: side)?$",
    ),
    Attribute(
        "higher", "Higher",
        r"(?:in|at) (?:the )?(?:top|upper)\b",
        r"(?:in|at) (?:the )?(?:bottom|lower)\b",
    ),
)  # fmt: skip


def direction_between(places: Tensor, ends: Tensor) -> Tensor:
    """From the middle of one end to that of the other, as long as one standard deviation of all places along it.

    Args:
        places: (N, Z).
        ends: (N,) int64: 1, -1, or 0 for what counts only for the standard deviation.

    Raises:
        ValueError: an end has no place.
    """
    if not bool((ends > 0).any()) or not bool((ends < 0).any()):
        raise ValueError(f"both ends need places, got {int((ends > 0).sum())} and {int((ends < 0).sum())}")
    way = places[ends > 0].mean(0) - places[ends < 0].mean(0)
    way = way / way.norm()
    direction: Tensor = way * (places @ way).std()
    return direction


def told_apart(places: Tensor, ends: Tensor, direction: Tensor) -> float:
    """The chance that of two places, one of each end, the right one lies further along: 0.5 says nothing, 1 all."""
    along = places @ direction
    return float((along[ends > 0][:, None] > along[ends < 0][None]).float().mean())


def lay_out(places: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Places that fill a square of tiles so that neighbours are alike: a self-organising map.

    Kohonen 1982, "Self-organized formation of topologically correct feature maps", in its batch form.

    Args:
        places: (N, Z), N at least side squared.

    Returns:
        (side, side) int64: which place stands on each tile; every place stands on one at most.
    """
    centred = places - places.mean(0)
    _, _, axes = torch.pca_lowrank(centred, q=2, center=False)
    spread = (centred @ axes).std(0)
    line = torch.linspace(-1.5, 1.5, side)
    down, right = torch.meshgrid(line, line, indexing="ij")
    tiles = torch.stack([right.flatten(), down.flatten()], dim=1)  # (side^2, 2)
    nodes = (tiles * spread) @ axes.T
    apart = torch.cdist(tiles, tiles) * (side - 1) / 3.0  # in tiles
    for turn in range(NUM_ROUNDS):
        reach = (side / 3.0) * (0.7 / (side / 3.0)) ** (turn / (NUM_ROUNDS - 1))
        nearest = torch.cdist(centred, nodes).argmin(1)
        pull = torch.exp(-0.5 * (apart[nearest] / reach).square())  # (N, side^2)
        nodes = (pull.T @ centred) / pull.sum(0)[:, None].clamp(min=1e-9)
    distance = torch.cdist(nodes, centred)
    standing = torch.full((side * side,), -1)
    for node in torch.randperm(side * side, generator=generator).tolist():
        place = int(distance[node].argmin())
        standing[node] = place
        distance[:, place] = torch.inf
    return standing.view(side, side)


def quantiles_of(strangeness: Tensor) -> Tensor:
    """(NUM_QUANTILES,) from the least to the most strange."""
    return torch.quantile(strangeness, torch.linspace(0.0, 1.0, NUM_QUANTILES))
