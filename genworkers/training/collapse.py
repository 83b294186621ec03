"""Does a generator still draw everything? Numbers for the training log that fall when modes are lost."""

import torch
from torch import Tensor


def coverage(real: Tensor, drawn: Tensor, k: int = 5) -> float:
    """Share of real pictures with a drawn one nearer than their k-th real neighbour.

    Naeem, Oh, Uh, Choi, Yoo 2020, "Reliable Fidelity and Diversity Metrics for Generative Models" (arXiv:2002.09797),
    section 3. Here in whatever space the rows are in, so compare it only with itself.

    Args:
        real: (N, D), N above k.
        drawn: (M, D).
    """
    radius = torch.cdist(real, real).kthvalue(k + 1, dim=1).values  # the nearest is the picture itself
    return float((torch.cdist(real, drawn).min(1).values < radius).float().mean())


def nearest_concepts(drawn: Tensor, real: Tensor, own: Tensor) -> tuple[float, float]:
    """How many different real pictures are the nearest to a drawn one, and how often it is the one asked for.

    Args:
        drawn: (M, D), one for each prompt.
        real: (N, D), all known pictures.
        own: (M,) int64, the real picture that belongs to each prompt.

    Returns:
        Number of distinct nearest real pictures over M, and the share of prompts whose own one is the nearest.
    """
    nearest = torch.cdist(drawn, real).argmin(1)
    return len(nearest.unique()) / len(drawn), float((nearest == own).float().mean())


def variety(first: Tensor, second: Tensor) -> float:
    """Distance between two draws of the same prompt over that between draws of different prompts: 0 ignores the noise.

    Args:
        first, second: (M, D), the same prompts with other noise, no two rows of the same prompt.
    """
    same = (first - second).norm(dim=1).mean()
    different = (first - second.roll(1, 0)).norm(dim=1).mean()
    return float(same / different.clamp(min=1e-9))
