"""Losses over labels of which some are unknown: those teach nothing. Who calls says how the rest is averaged."""

import torch.nn.functional as F
from torch import Tensor


def known_losses(logits: Tensor, targets: Tensor, positive_weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Binary cross-entropy of each label, 0 where it is unknown, and whether it is known: both (B, C).

    Args:
        targets: (B, C): 1, 0, or negative where unknown.
        positive_weight: (C), how much more a positive weighs.
    """
    is_known = targets >= 0
    losses = F.binary_cross_entropy_with_logits(
        logits, targets.clamp(min=0).float(), pos_weight=positive_weight, reduction="none"
    )
    return losses * is_known, is_known
