"""What makes a decoder paint sharp: a judge of patches, its losses, and augmentation against memorising."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PatchDiscriminator(nn.Module):
    """Judges 8x8 overlapping patches of a 128 px picture: one number each, high where it looks real.

    Isola et al. 2017, "Image-to-Image Translation with Conditional Adversarial Networks" (arXiv:1611.07004), section
    3.2.2. Differs from the paper: no normalisation, and the picture is folded to half its size first, to be fast.
    """

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        widths = (16, width, 2 * width, 3 * width, 3 * width)
        strides = (1, 2, 2, 2)
        self.stages = nn.ModuleList(
            nn.Conv2d(before, after, 3 if stride == 1 else 4, stride=stride, padding=1)
            for before, after, stride in zip(widths[:-1], widths[1:], strides, strict=True)
        )
        self.head = nn.Conv2d(widths[-1], 1, 3, padding=1)

    def forward(self, pictures: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Judge.

        Args:
            pictures: (B, 4, 128, 128): colour over some background in -1..1, and alpha in -1..1.

        Returns:
            (B, 1, 8, 8) numbers, and the features of every stage for `feature_distance`.
        """
        x = F.pixel_unshuffle(pictures, 2)
        features = []
        for stage in self.stages:
            x = F.leaky_relu(stage(x), 0.2)
            features.append(x)
        return self.head(x), features


def relativistic_loss(winner: Tensor, loser: Tensor) -> Tensor:
    """RpGAN: how far `winner` is from being judged more real than the `loser` it is paired with; mean of softplus.

    Huang et al. 2024, "The GAN is dead; long live the GAN!" (arXiv:2501.05441), equation 1.
    """
    return F.softplus(loser - winner).mean()


def gradient_penalty(discriminator: PatchDiscriminator, pictures: Tensor) -> Tensor:
    """Mean squared norm of the gradient of the mean judgement: R1 on real pictures, R2 on painted ones."""
    pictures = pictures.detach().requires_grad_()
    judgement = discriminator(pictures)[0].mean((1, 2, 3)).sum()
    (gradient,) = torch.autograd.grad(judgement, pictures, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean()


def feature_distance(painted: list[Tensor], real: list[Tensor]) -> Tensor:
    """L1 between features of painted and real pictures, each stage by the size of the real ones.

    Wang et al. 2018, "High-Resolution Image Synthesis with Conditional GANs" (arXiv:1711.11585), section 3.2.
    """
    pairs = zip(painted, real, strict=True)
    stages = [(ours - theirs).abs().mean() / (theirs.abs().mean() + 1e-6) for ours, theirs in pairs]
    return torch.stack(stages).mean()


def augment_alike(pictures: tuple[Tensor, Tensor], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Colour, translation and cutout, by chance but the same for both of a pair (each (B, 4, H, W) in -1..1).

    Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training" (arXiv:2006.10738), section 4.
    Differs from the paper: the whole batch moves by one offset and loses one square.
    """
    count, _, height, width = pictures[0].shape
    brightness = torch.rand(count, 1, 1, 1, generator=generator) * 0.6 - 0.3
    saturation = torch.rand(count, 1, 1, 1, generator=generator) * 2.0
    contrast = torch.rand(count, 1, 1, 1, generator=generator) + 0.5
    pad = height // 8
    down, right = torch.randint(0, 2 * pad + 1, (2,), generator=generator).tolist()
    top, left = (torch.randint(0, size - size // 4, (1,), generator=generator).item() for size in (height, width))
    kept = torch.ones(1, 1, height, width)
    kept[..., int(top) : int(top) + height // 4, int(left) : int(left) + width // 4] = 0.0
    first, second = (
        F.pad(
            torch.cat([_change_colour(picture[:, :3], brightness, saturation, contrast), picture[:, 3:]], 1),
            (pad, pad, pad, pad),
        )[..., down : down + height, right : right + width]
        * kept
        for picture in pictures
    )
    return first, second


def _change_colour(colour: Tensor, brightness: Tensor, saturation: Tensor, contrast: Tensor) -> Tensor:
    colour = colour + brightness
    grey = colour.mean(1, keepdim=True)
    colour = grey + (colour - grey) * saturation
    middle = colour.mean((1, 2, 3), keepdim=True)
    return middle + (colour - middle) * contrast
