"""Sizes of spark and drift for Fashion-MNIST (28 px grey, folded to 16 channels of 8 px), and a classifier of it."""

import torch.nn.functional as F
from torch import Tensor, nn

from genworkers.nets.gan import SparkConfig
from genworkers.nets.vae import DriftConfig

FEATURE_WIDTH = 64
SPARK_CONFIG = SparkConfig(
    channels=16, widths=(128, 64), num_styles=1, sentence_width=10, condition_width=128, num_mixes=1, num_blocks=2
)
DRIFT_CONFIG = DriftConfig(
    channels=16, widths=(64, 96), latent_width=32, num_styles=1, sentence_width=10, prior_width=16, num_paint_blocks=1
)


class FashionClassifier(nn.Module):
    """Names the class of a folded picture; the layer before the last is what pictures are compared in."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Sequential(
            nn.Conv2d(4, 48, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(48, 64, 3, padding=1),
            nn.GroupNorm(8, 64),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(64, 96, 3, padding=1),
            nn.GroupNorm(8, 96),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(96, 96, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(96 * 16, FEATURE_WIDTH),
        )
        self.name = nn.Linear(FEATURE_WIDTH, 10)

    def features(self, folded: Tensor) -> Tensor:
        """(B, 16, 8, 8) in -1..1 to (B, FEATURE_WIDTH)."""
        seen: Tensor = self.look(F.pixel_shuffle(folded, 2))
        return seen

    def forward(self, folded: Tensor) -> Tensor:
        """(B, 16, 8, 8) in -1..1 to logits (B, 10)."""
        logits: Tensor = self.name(F.relu(self.features(folded)))
        return logits
