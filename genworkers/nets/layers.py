"""Small layers that several nets share: normalisation, rotary positions, the squared-ReLU MLP."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class RMSNorm(nn.Module):
    """Root-mean-square normalisation with a learned scale.

    Zhang, Sennrich 2019, "Root Mean Square Layer Normalization" (arXiv:1910.07467), equation 4.
    """

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) in, the same shape out."""
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


class SquaredReluMLP(nn.Module):
    """`down(relu(up(x))^2)` without biases.

    So et al. 2021, "Primer: Searching for Efficient Transformers for Language Modeling"
    (arXiv:2109.08668), section 4.1.
    """

    def __init__(self, width: int, hidden_width: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, hidden_width, bias=False)
        self.down = nn.Linear(hidden_width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) in, the same shape out."""
        hidden: Tensor = F.relu(self.up(x)).square()  # (..., hidden_width)
        return F.linear(hidden, self.down.weight)


def rotary_table(num_positions: int, head_width: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines of rotary position embedding, in the rotate-half layout.

    Su et al. 2021, "RoFormer: Enhanced Transformer with Rotary Position Embedding"
    (arXiv:2104.09864), section 3.2.2.
    Differs from the paper: element i is paired with i + head_width/2 instead of its neighbour, as
    Llama checkpoints do.

    Returns:
        Two (num_positions, head_width/2) float32 tensors.

    Raises:
        ValueError: head_width is odd.
    """
    if head_width % 2:
        raise ValueError(f"head_width must be even, got {head_width}")
    frequencies = theta ** (-torch.arange(0, head_width, 2, dtype=torch.float64) / head_width)
    angles = torch.arange(num_positions, dtype=torch.float64)[:, None] * frequencies  # (T, head_width/2)
    return angles.cos().float(), angles.sin().float()


def rotate(heads: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Turn each head by its position's angles.

    Args:
        heads: (..., T, head_width).
        cosines: broadcastable to (..., T, head_width/2).
        sines: the same.

    Returns:
        The same shape as `heads`.
    """
    first, second = heads.chunk(2, dim=-1)
    return torch.cat((first * cosines - second * sines, second * cosines + first * sines), dim=-1)
