"""From logits to the next token: pure functions, one sequence at a time.

The order is fixed: temperature, top-k, top-p, draw. Nothing here depends on who else is in the batch.
"""

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen.

    Args:
        temperature: 0 always takes the likeliest token.
        top_k: draw from the k likeliest tokens; 0 considers all.
        top_p: draw from the likeliest tokens that together hold this share of probability.

    Raises:
        ValueError: a value is outside its range.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if not self.temperature >= 0:
            raise ValueError(f"temperature must be 0 or more, got {self.temperature}")
        if self.top_k < 0:
            raise ValueError(f"top_k must be 0 or more, got {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be above 0 and at most 1, got {self.top_p}")


def keep_top_k(logits: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest logits and their tokens, largest first.

    Fan, Lewis, Dauphin 2018, "Hierarchical Neural Story Generation" (arXiv:1805.04833).

    Args:
        logits: (V,) float.
        k: how many; 0, or more than there are, keeps all.

    Returns:
        logits (K,) and token ids (K,).
    """
    num_kept = k if 0 < k < logits.shape[0] else logits.shape[0]
    kept = logits.topk(num_kept)
    return kept.values, kept.indices


def keep_top_p(probabilities: Tensor, p: float) -> Tensor:
    """The shortest head of the distribution that holds at least the share p.

    Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration" (arXiv:1904.09751), section 3.1.

    Args:
        probabilities: (K,) float, largest first, sum 1.
        p: share, above 0 and at most 1.

    Returns:
        The first J of them, J at least 1, not normalised again.
    """
    if p >= 1:
        return probabilities
    before = probabilities.cumsum(0) - probabilities  # (K,)
    return probabilities[: max(1, int((before < p).sum()))]


def draw(weights: Tensor, uniform: float) -> int:
    """The index that the uniform number falls on when the weights are laid end to end.

    Args:
        weights: (J,) float, not negative, with a positive sum.
        uniform: in [0, 1).
    """
    ends = weights.double().cumsum(0)  # (J,)
    index = int(torch.searchsorted(ends, uniform * ends[-1], right=True))
    return min(index, weights.shape[0] - 1)


def choose_token(logits: Tensor, sampling: Sampling, uniform: float) -> int:
    """The next token.

    Args:
        logits: (V,) float, finite.
        sampling: temperature and truncation.
        uniform: in [0, 1), see `uniform_at`.

    Raises:
        ValueError: the logits hold NaN.
    """
    if bool(torch.isnan(logits).any()):
        raise ValueError("the logits hold NaN")
    if sampling.temperature == 0:
        return int(logits.argmax())
    kept, tokens = keep_top_k(logits, sampling.top_k)
    # The largest is subtracted first: a tiny temperature would overflow otherwise.
    probabilities = ((kept - kept[0]) / sampling.temperature).softmax(0)
    return int(tokens[draw(keep_top_p(probabilities, sampling.top_p), uniform)])


def uniform_at(seed: int, position: int) -> float:
    """A number in [0, 1) that depends on the seed and the position alone.

    A counter-based generator: no state to carry, so batching, retries and restarts change nothing.

    Args:
        seed: 0..2^63-1.
        position: of the token that is drawn, 0 for the first.
    """
    digest = hashlib.blake2b(seed.to_bytes(8, "little") + position.to_bytes(8, "little"), digest_size=8).digest()
    return (int.from_bytes(digest, "little") >> 11) * 2.0**-53
