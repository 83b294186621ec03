"""The Fashion-MNIST file as tensors, in the shape that spark and drift read: 28 px grey padded to 32, folded to 8 px.

Xiao, Rasul, Vollgraf 2017, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms"
(arXiv:1708.07747).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

CLASSES = (
    "T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
PADDING_PX = 2
FOLD = 4


@dataclass(frozen=True)
class FashionSet:
    """Pictures (M, 28, 28) uint8 and labels (M,) int64."""

    pictures: Tensor
    labels: Tensor


def read_fashion(path: Path) -> tuple[FashionSet, FashionSet]:
    """The training and the test set of `fashion_mnist.npz`."""
    with np.load(path) as arrays:
        train, test = (
            FashionSet(
                torch.from_numpy(arrays[f"{part}_images"]), torch.from_numpy(arrays[f"{part}_labels"].astype(np.int64))
            )
            for part in ("train", "test")
        )
    return train, test


def fold(pictures: Tensor) -> Tensor:
    """Grey pictures (B, 28, 28) uint8 to (B, 16, 8, 8) float in -1..1: each pixel of 8 holds a square of sixteen."""
    padded = F.pad(pictures.float() / 127.5 - 1.0, (PADDING_PX,) * 4, value=-1.0)
    return F.pixel_unshuffle(padded[:, None], FOLD)


def unfold(folded: Tensor) -> Tensor:
    """The way back: (B, 16, 8, 8) in -1..1 to (B, 28, 28) uint8."""
    grey = F.pixel_shuffle(folded, FOLD)[:, 0, PADDING_PX:-PADDING_PX, PADDING_PX:-PADDING_PX]
    return ((grey.clamp(-1.0, 1.0) + 1.0) * 127.5).round().to(torch.uint8)
