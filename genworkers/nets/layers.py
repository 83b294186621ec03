"""Small layers of the decoders: normalisation, rotary positions, the MLP."""

import math
from dataclasses import dataclass
from typing import Literal

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


def norm_layer(kind: Literal["rms", "layer"], width: int, eps: float) -> nn.Module:
    """A normalisation of the last dimension: "rms" has a scale, "layer" a scale and a bias."""
    return RMSNorm(width, eps) if kind == "rms" else nn.LayerNorm(width, eps)


class MLP(nn.Module):
    """`down(act(up(x)))`, or `down(silu(gate(x)) * up(x))` for "swiglu", whose gate and up are one matrix `gate_up`.

    Squared ReLU ("relu2"): So et al. 2021, "Primer: Searching for Efficient Transformers for Language
    Modeling" (arXiv:2109.08668), section 4.1. SwiGLU: Shazeer 2020, "GLU Variants Improve Transformer"
    (arXiv:2002.05202), equation 6.

    Args:
        hidden_width: of the hidden layer; of each half when it is gated.
    """

    def __init__(
        self, width: int, hidden_width: int, activation: Literal["relu2", "gelu_tanh", "swiglu"], *, has_bias: bool
    ) -> None:
        super().__init__()
        self.activation = activation
        if activation == "swiglu":
            self.gate_up = nn.Linear(width, 2 * hidden_width, bias=has_bias)
        else:
            self.up = nn.Linear(width, hidden_width, bias=has_bias)
        self.down = nn.Linear(hidden_width, width, bias=has_bias)

    @property
    def first(self) -> nn.Linear:
        """The matrix that reads the input."""
        return self.gate_up if self.activation == "swiglu" else self.up

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) in, the same shape out."""
        hidden: Tensor = self.first(x)  # (..., hidden_width), twice that for swiglu
        if self.activation == "swiglu":
            gate, up = hidden.chunk(2, dim=-1)
            hidden = F.silu(gate) * up
        elif self.activation == "gelu_tanh":
            hidden = F.gelu(hidden, approximate="tanh")
        else:
            hidden = F.relu(hidden).square()
        projected: Tensor = self.down(hidden)
        return projected


@dataclass(frozen=True, slots=True)
class RopeScaling:
    """Stretches slow rotary frequencies so that a net reads further than it was first trained to (Llama 3.1).

    Args:
        factor: by how much the slowest frequencies are divided.
        low_freq_factor: wavelengths above original_context_tokens / this are divided in full.
        high_freq_factor: wavelengths below original_context_tokens / this stay; in between it is blended.
        original_context_tokens: what the net was first trained on.

    Raises:
        ValueError: a number is not above 0, or high_freq_factor is not above low_freq_factor.
    """

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_context_tokens: int

    def __post_init__(self) -> None:
        """Refuse numbers that do not describe a stretch."""
        for name in ("factor", "low_freq_factor", "high_freq_factor", "original_context_tokens"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"rope_scaling: {name} must be above 0, got {getattr(self, name)}")
        if self.high_freq_factor <= self.low_freq_factor:
            raise ValueError(
                f"rope_scaling: high_freq_factor must be above low_freq_factor {self.low_freq_factor}, "
                f"got {self.high_freq_factor}"
            )


def rotary_frequencies(head_width: int, theta: float, scaling: RopeScaling | None = None) -> Tensor:
    """How fast each pair of a head's elements turns, in radians a position.

    Su et al. 2021, "RoFormer: Enhanced Transformer with Rotary Position Embedding"
    (arXiv:2104.09864), section 3.2.2.

    Returns:
        (head_width/2,) float64.

    Raises:
        ValueError: head_width is odd.
    """
    if head_width % 2:
        raise ValueError(f"head_width must be even, got {head_width}")
    frequencies = theta ** (-torch.arange(0, head_width, 2, dtype=torch.float64) / head_width)
    if scaling is None:
        return frequencies
    turns = scaling.original_context_tokens * frequencies / (2 * math.pi)  # within the first context
    kept_frac = (turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor)
    kept_frac = kept_frac.clamp(0, 1)
    return frequencies * (kept_frac + (1 - kept_frac) / scaling.factor)


def rotary_table(
    num_positions: int, head_width: int, theta: float, scaling: RopeScaling | None = None
) -> tuple[Tensor, Tensor]:
    """Cosines and sines of `rotary_frequencies` at every position, in the rotate-half layout.

    Differs from the paper: element i is paired with i + head_width/2 instead of its neighbour, as
    Llama checkpoints do.

    Returns:
        Two (num_positions, head_width/2) float32 tensors.
    """
    frequencies = rotary_frequencies(head_width, theta, scaling)
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
