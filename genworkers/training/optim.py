"""Optimisers, the learning-rate schedule and the average of weights that the training scripts share."""

import torch
from torch import Tensor, nn


def split_parameters(net: nn.Module, *, embeddings: set[str]) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Sort a net's parameters into hidden matrices, embeddings, and the rest (scales and biases).

    Args:
        net: its named parameters are read.
        embeddings: names of two-dimensional parameters that are tables, not maps.
    """
    matrices: list[Tensor] = []
    tables: list[Tensor] = []
    scales: list[Tensor] = []
    for name, parameter in net.named_parameters():
        group = tables if name in embeddings else matrices if parameter.ndim == 2 else scales
        group.append(parameter)
    return matrices, tables, scales


def wsd_factor(progress_frac: float, *, warmup_frac: float, cooldown_frac: float, floor: float) -> float:
    """Share of the peak learning rate: warm up, stay, then fall linearly.

    Hu et al. 2024, "MiniCPM" (arXiv:2404.06395), section 4.2: warmup-stable-decay.
    Differs from the paper: the decay is linear and progress may be wall-clock time, so that a run
    with a fixed budget always cools down.

    Args:
        progress_frac: 0 at the start, 1 at the end of the budget; values outside are clamped.
        warmup_frac: share of the budget that warms up.
        cooldown_frac: share of the budget that cools down, at the end.
        floor: the factor reached at the end.
    """
    progress_frac = min(max(progress_frac, 0.0), 1.0)
    warm = min(1.0, progress_frac / warmup_frac) if warmup_frac > 0 else 1.0
    left = (1.0 - progress_frac) / cooldown_frac if cooldown_frac > 0 else 1.0
    return warm * (floor + (1.0 - floor) * min(1.0, left))


class WeightAverage:
    """An exponential moving average of a net's parameters."""

    def __init__(self, net: nn.Module) -> None:
        self.tensors = {name: value.detach().clone() for name, value in net.named_parameters()}

    @torch.no_grad()
    def update(self, net: nn.Module, decay: float) -> None:
        """Move the average towards the net: `average = decay * average + (1 - decay) * weights`."""
        for name, value in net.named_parameters():
            self.tensors[name].lerp_(value.detach(), 1.0 - decay)

    @torch.no_grad()
    def swap(self, net: nn.Module) -> None:
        """Exchange the net's parameters with the average; call it again to undo."""
        for name, value in net.named_parameters():
            kept = value.detach().clone()
            value.copy_(self.tensors[name])
            self.tensors[name] = kept


@torch.no_grad()
def move_average(average: nn.Module, net: nn.Module, step: int, decay: float) -> None:
    """Move the parameters of a second net towards those of the first; faster in the first steps.

    Args:
        average: the net that holds the exponential moving average; changed in place.
        net: the net in training.
        step: how many steps were taken before.
        decay: share of the average that stays, once there were enough steps.
    """
    now = min(decay, (step + 1) / (step + 10))
    torch._foreach_lerp_(list(average.parameters()), list(net.parameters()), 1.0 - now)
