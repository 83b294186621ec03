"""One optimiser step as all nets of the characters domain take it: Muon for hidden matrices, AdamW for all else."""

from collections.abc import Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from genworkers.training.loop import Stateful
from genworkers.training.optim import move_average, wsd_factor

PEAK_MATRICES = 3e-3
PEAK_REST = 2e-3
COOLDOWN_FRAC = 0.4
AVERAGE_DECAY = 0.995
NUM_WARMUP = 50


Net = TypeVar("Net", bound=nn.Module)


class Learner(Generic[Net]):
    """A net in training with its optimisers and the average of its weights.

    Args:
        hidden: names of modules whose two-dimensional weights go to Muon.
    """

    def __init__(self, net: Net, average: Net, hidden: Sequence[str]) -> None:
        self.net = net
        self.average = average
        average.load_state_dict(net.state_dict())
        matrices: list[Tensor] = []
        rest: list[Tensor] = []
        for name, parameter in net.named_parameters():
            is_hidden = parameter.ndim == 2 and name.endswith(".weight") and name.startswith(tuple(hidden))
            (matrices if is_hidden else rest).append(parameter)
        self.muon = torch.optim.Muon(matrices, lr=PEAK_MATRICES, weight_decay=0.05, adjust_lr_fn="match_rms_adamw")
        self.adam = torch.optim.AdamW(rest, lr=PEAK_REST, betas=(0.9, 0.96), weight_decay=0.01, fused=True)

    @property
    def parts(self) -> dict[str, Stateful]:
        """What a checkpoint must keep."""
        return {"net": self.net, "average": self.average, "muon": self.muon, "adam": self.adam}

    def step(self, loss: Tensor, spent_frac: float, step: int) -> None:
        """Learn from one batch's loss, at the learning rate of this share of the budget."""
        factor = wsd_factor(spent_frac, warmup_frac=0.0, cooldown_frac=COOLDOWN_FRAC, floor=0.01)
        optimisers: tuple[tuple[torch.optim.Optimizer, float], ...] = (
            (self.muon, PEAK_MATRICES),
            (self.adam, PEAK_REST),
        )
        for optimiser, peak in optimisers:
            for group in optimiser.param_groups:
                group["lr"] = peak * factor * min(1.0, (step + 1) / NUM_WARMUP)
            optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        for optimiser, _ in optimisers:
            optimiser.step()
        move_average(self.average, self.net, step, AVERAGE_DECAY)
