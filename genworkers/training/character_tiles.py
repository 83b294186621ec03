"""Finds the typical tiles of characters: k-means over the tiles of many composed figures."""

import torch
from torch import Tensor

NUM_ROUNDS = 8
ROWS_AT_ONCE = 4096


def typical_tiles(looks: Tensor, weights: Tensor, num: int, generator: torch.Generator) -> Tensor:
    """Cluster distinct tiles by how they look.

    Args:
        looks: (M, pixels, 4) premultiplied RGBA of distinct tiles, M at least `num`.
        weights: (M) how much each matters.

    Returns:
        (num, pixels, 4) means of the clusters.
    """
    points = looks.flatten(1)
    centres = points[torch.multinomial(weights, num, generator=generator)]
    for _ in range(NUM_ROUNDS):
        half_norms = 0.5 * centres.square().sum(1)
        rough = centres.T.bfloat16()  # many times as fast, and near enough to find clusters
        nearest = torch.cat(
            [(half_norms - (rows.bfloat16() @ rough).float()).argmin(1) for rows in points.split(ROWS_AT_ONCE)]
        )
        totals = torch.zeros(num).index_add_(0, nearest, weights)
        sums = torch.zeros_like(centres).index_add_(0, nearest, points * weights[:, None])
        # A centre without points moves to a random tile.
        spare = points[torch.multinomial(weights, num, generator=generator)]
        centres = torch.where(totals[:, None] > 0, sums / totals.clamp(min=1e-9)[:, None], spare)
    return centres.view(num, *looks.shape[1:])
