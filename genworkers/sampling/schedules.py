"""Schedules and one step of masked picture generation: how many tiles to decide, which ones, and how boldly.

Chang, Zhang, Jiang, Liu, Freeman 2022, "MaskGIT: Masked Generative Image Transformer" (arXiv:2202.04200), section 3.2.
"""

import math

import torch
from torch import Tensor


def num_masked_after(step: int, num_steps: int, num_tiles: int) -> int:
    """How many tiles are still undecided after a step, by the cosine schedule.

    At least one tile is decided by every step and the last step decides all that is left.

    Args:
        step: 0..num_steps-1.
        num_steps: 1..num_tiles.

    Raises:
        ValueError: a number is out of range.
    """
    if not 1 <= num_steps <= num_tiles:
        raise ValueError(f"num_steps must be 1..{num_tiles}, got {num_steps}")
    if not 0 <= step < num_steps:
        raise ValueError(f"step must be 0..{num_steps - 1}, got {step}")
    num_left = num_steps - 1 - step
    if num_left == 0:
        return 0
    by_cosine = math.floor(num_tiles * math.cos(math.pi / 2 * (step + 1) / num_steps))
    return max(num_left, min(by_cosine, num_tiles - step - 1))


def mask_frac(uniform: Tensor) -> Tensor:
    """Share of tiles to hide in training: cos(pi/2 r) for r uniform in 0..1, any shape."""
    return torch.cos(math.pi / 2 * uniform)


def guidance_at(decided_frac: float, guidance: float) -> float:
    """Guidance weight that grows linearly from 1 (no tile decided) to `guidance` (all decided).

    Chang et al. 2023, "Muse" (arXiv:2301.00704), ramps linearly too.
    Differs from the paper: by the share of decided tiles, not by step.
    """
    return 1.0 + (guidance - 1.0) * decided_frac


def guide(with_prompt: Tensor, without_prompt: Tensor, weight: float) -> Tensor:
    """Classifier-free guidance in the convention u + w (c - u): 0 ignores the prompt, 1 is plain.

    Ho, Salimans 2022, "Classifier-Free Diffusion Guidance" (arXiv:2207.12598), equation 6.
    Differs from the paper: its weight is ours minus 1, and these are logits, not noise estimates.
    """
    return without_prompt + weight * (with_prompt - without_prompt)


def gumbel(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Standard Gumbel noise, float32 on the generator's device."""
    uniform = torch.rand(shape, generator=generator, device=generator.device).clamp(min=1e-20)
    return -torch.log((-torch.log(uniform)).clamp(min=1e-20))


def decide_tiles(
    logits: Tensor,
    codes: Tensor,
    is_masked: Tensor,
    *,
    num_masked_next: int,
    choice_temperature: float,
    temperature: float,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """One parallel decoding step of one picture: draw every undecided tile, keep the most confident draws.

    Args:
        logits: (M, K) of the undecided tiles, in order.
        codes: (N) int64; entries under the mask are ignored.
        is_masked: (N) bool, True at the M undecided tiles.
        num_masked_next: how many tiles stay undecided.
        choice_temperature: scale of the Gumbel noise on the confidences, already annealed; 0 is greedy.
        temperature: of the draw itself, above 0.
        generator: this picture's own, on the device of the logits.

    Returns:
        New codes (N) and new mask (N) with exactly `num_masked_next` True, a subset of the old mask.
    """
    undecided = is_masked.nonzero()[:, 0]  # (M)
    probs = torch.softmax(logits.float() / temperature, dim=-1)
    # One uniform number a tile, looked up in the running sum: noise for every code would take longer than the net.
    running = probs.cumsum(-1)
    uniform = torch.rand(len(undecided), 1, generator=generator, device=generator.device)
    drawn = torch.searchsorted(running, uniform * running[:, -1:], right=True).clamp(max=probs.shape[-1] - 1)  # (M, 1)
    confidence = probs.gather(-1, drawn)[:, 0].log()
    confidence = confidence + choice_temperature * gumbel(tuple(confidence.shape), generator)
    new_codes, still_masked = codes.clone(), torch.zeros_like(is_masked)
    new_codes[undecided] = drawn[:, 0]
    still_masked[undecided[confidence.argsort(stable=True)[:num_masked_next]]] = True
    return new_codes, still_masked
