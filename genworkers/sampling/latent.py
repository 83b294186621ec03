"""Ways through a latent space whose places are about Gaussian: spherical interpolation and walks that come back."""

import math

import torch
from torch import Tensor


def slerp(start: Tensor, end: Tensor, share: Tensor | float) -> Tensor:
    """The point at `share` of the way along the arc between two places.

    Shoemake 1985, "Animating Rotation with Quaternion Curves"; White 2016, "Sampling Generative Networks"
    (arXiv:1609.04468), for latent spaces: a straight line would cut through the middle, where nothing was learned.
    Differs from both: the direction turns along the arc while the length goes linearly from one to the other, so that
    the ends are exact for places of any length. Where no arc is defined, between opposite places, it turns through a
    direction that depends on the places alone. From or to the origin the way is straight.

    Args:
        start, end: (..., Z).
        share: 0 at `start`, 1 at `end`; a number or a tensor that broadcasts to (..., 1).

    Returns:
        (..., Z).
    """
    share = torch.as_tensor(share, dtype=start.dtype, device=start.device)
    start_length = start.norm(dim=-1, keepdim=True)
    end_length = end.norm(dim=-1, keepdim=True)
    tiny = torch.finfo(start.dtype).tiny
    from_direction, to_direction = start / start_length.clamp(min=tiny), end / end_length.clamp(min=tiny)
    cosine = (from_direction * to_direction).sum(-1, keepdim=True).clamp(-1.0, 1.0)
    sideways = to_direction - cosine * from_direction
    sideways = torch.where(cosine < -1.0 + 1e-6, _perpendicular(from_direction), sideways)
    angle = torch.atan2(sideways.norm(dim=-1, keepdim=True), cosine)
    angle = torch.where(cosine < -1.0 + 1e-6, torch.full_like(angle, math.pi), angle)
    sideways = sideways / sideways.norm(dim=-1, keepdim=True).clamp(min=tiny)
    direction = torch.cos(share * angle) * from_direction + torch.sin(share * angle) * sideways
    length = start_length + share * (end_length - start_length)
    has_no_arc = (torch.minimum(start_length, end_length) <= tiny) | (angle < 1e-6)
    return torch.where(has_no_arc, start + share * (end - start), length * direction)


def _perpendicular(direction: Tensor) -> Tensor:
    """A direction at right angles to (..., Z), Z above 1: neighbours swapped in pairs, one of them negated."""
    pairs = direction.shape[-1] // 2 * 2
    turned = torch.zeros_like(direction)
    turned[..., 0:pairs:2] = -direction[..., 1:pairs:2]
    turned[..., 1:pairs:2] = direction[..., 0:pairs:2]
    return turned - (turned * direction).sum(-1, keepdim=True) * direction


def random_walk(start: Tensor, seed: int, num_points: int, reach: float = 0.6, num_waves: int = 2) -> Tensor:
    """A smooth closed way from a place through others at random and back.

    Every point mixes the start with a slowly turning Gaussian place, by a cosine and a sine, so that points stay as far
    from the middle as the start is.

    Args:
        start: (Z,) float, on the CPU.
        seed: decides the way; the same seed goes the same way.
        num_points: 1 or more; the point after the last would be the start again.
        reach: how far from the start half-way, 0 (nowhere) to 1 (nothing is left of it).
        num_waves: how often it wanders on one round; more is more restless.

    Returns:
        (num_points, Z), the first of which is the start.

    Raises:
        ValueError: num_points, reach or num_waves are out of range.
    """
    if num_points < 1 or num_waves < 1 or not 0.0 <= reach <= 1.0:
        raise ValueError(
            f"num_points and num_waves must be 1 or more and reach 0..1, got {num_points}, {num_waves}, {reach}"
        )
    generator = torch.Generator().manual_seed(seed)
    waves = torch.randn(2, num_waves, len(start), generator=generator).to(start.dtype)
    turn = torch.arange(num_points, dtype=start.dtype)[:, None] / num_points  # (T, 1)
    phases = 2 * math.pi * turn * torch.arange(1, num_waves + 1, dtype=start.dtype)  # (T, W)
    elsewhere = (phases.cos() @ waves[0] + phases.sin() @ waves[1]) / math.sqrt(num_waves)  # (T, Z), unit variance
    elsewhere = elsewhere * (start.norm() / math.sqrt(len(start)))
    angle = 0.5 * math.pi * reach * (math.pi * turn).sin().square()
    walk: Tensor = angle.cos() * start + angle.sin() * elsewhere
    return walk
