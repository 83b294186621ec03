"""The losses of spark's generator and discriminator, and what both see instead of plain pictures."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Judge = Callable[[Tensor], Tensor]


def jitter(pictures: Tensor, generator: torch.Generator, *, max_shift: int, cut_frac: float) -> Tensor:
    """Move each picture a little and hide a square of it, as real and drawn pictures alike are shown to a judge.

    Zhao, Liu, Lin, Zhu, Han 2020, "Differentiable Augmentation for Data-Efficient GAN Training" (arXiv:2006.10738):
    translation and cutout. Differs from the paper: a cutout may cover less than half, and no colours change, since the
    channels may be latents and captions name colours.

    Args:
        pictures: (B, C, H, W); a gradient passes.
        max_shift: in px of this picture; what comes in from outside is zero.
        cut_frac: the hidden square's side as a share of the picture's.
    """
    batch, _, height, width = pictures.shape
    shift = torch.randint(-max_shift, max_shift + 1, (2, batch, 1), generator=generator)
    rows = torch.arange(height) + shift[0] + max_shift  # (B, H)
    columns = torch.arange(width) + shift[1] + max_shift  # (B, W)
    padded = F.pad(pictures, (max_shift,) * 4).permute(0, 2, 3, 1)
    moved = padded[torch.arange(batch)[:, None, None], rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    side = max(1, round(cut_frac * height))
    corner = torch.randint(1 - side, height, (2, batch, 1), generator=generator)
    in_rows = (torch.arange(height) >= corner[0]) & (torch.arange(height) < corner[0] + side)  # (B, H)
    in_columns = (torch.arange(width) >= corner[1]) & (torch.arange(width) < corner[1] + side)  # (B, W)
    return moved * ~(in_rows[:, None, :, None] & in_columns[:, None, None, :])


def judge_loss(judged_real: Tensor, judged_drawn: Tensor) -> Tensor:
    """The discriminator's relativistic pairing loss; the generator's is the same with its arguments swapped.

    Huang, Gokaslan, Kuleshov, Tompkin 2024, "The GAN is dead; long live the GAN!" (arXiv:2501.05441), section 2.

    Args:
        judged_real, judged_drawn: (B,), row by row under the same condition.
    """
    return F.softplus(judged_drawn - judged_real).mean()


def gradient_penalty(judge: Judge, pictures: Tensor) -> Tensor:
    """Mean squared length of the judge's gradient at pictures: R1 at real ones, R2 at drawn ones.

    Mescheder, Geiger, Nowozin 2018, "Which Training Methods for GANs do actually Converge?" (arXiv:1801.04406),
    section 4.1.

    Args:
        judge: pictures (B, C, H, W) to (B,).
        pictures: where to look; detached here.
    """
    pictures = pictures.detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(judge(pictures).sum(), pictures, create_graph=True)
    penalty: Tensor = slope.float().square().flatten(1).sum(1).mean()
    return penalty
