"""The net of the picture screen: one small picture in, a logit for each category out.

It is made of the judges' blocks but shares no weights with them, so that no net is measured by what also screens it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from genworkers.contract.safety import PictureCategory
from genworkers.nets.judges import ConvBlock, Trunk


@dataclass(frozen=True)
class PictureTaggerConfig:
    """Shape of the tagger.

    Attributes:
        categories: what each logit is of.
        widths: channels of the stem and of the maps at 16, 8 and 4 cells a side.
    """

    categories: tuple[PictureCategory, ...]
    widths: tuple[int, int, int, int] = (32, 64, 112, 160)


class PictureTagger(nn.Module):
    """Finds categories anywhere in a picture: each map is read by its mean and by its largest value.

    The largest value is for a small thing among others, as in multiple-instance learning: Oquab et al. 2015, "Is object
    localization for free?" (CVPR), section 3, global max-pooling. Differs from the paper: the mean is read beside it.
    """

    def __init__(self, config: PictureTaggerConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk = Trunk(config.widths)
        *_, middle, coarse = config.widths
        self.last = ConvBlock(coarse, coarse, 1)
        self.num_features = middle + 2 * coarse
        self.out = nn.Linear(self.num_features, len(config.categories))

    def features(self, pictures: Tensor) -> Tensor:
        """(B, 3, 64, 64) on white in 0..1 to what the categories are read from, (B, num_features)."""
        _, middle, coarse = self.trunk(pictures)
        coarse = self.last(coarse)
        return torch.cat([middle.amax((2, 3)), coarse.amax((2, 3)), coarse.mean((2, 3))], 1)

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, 3, 64, 64) on white in 0..1 to logits (B, num_categories)."""
        logits: Tensor = self.out(self.features(pictures)).float()
        return logits
