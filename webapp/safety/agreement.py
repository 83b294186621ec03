"""How far two reviewers agree beyond chance, and which decisions are judged twice. Pure functions, no database."""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass

# One of twenty decided results is judged again, blind: 5 %.
SAMPLE_ONE_IN = 20
# In a new workspace the first one comes early, so that there is something to see.
FIRST_SAMPLE_WITHIN = 5
# Below this many pairs the error of kappa is as large as kappa itself: no number is shown.
MIN_PAIRS = 20


@dataclass(frozen=True)
class Agreement:
    """What pairs of decisions say: `observed_frac` is the share of equal ones, `kappa` None where it says nothing."""

    num_pairs: int
    observed_frac: float
    kappa: float | None

    @property
    def has_too_few(self) -> bool:
        """Whether there are too few pairs for a number."""
        return self.num_pairs < MIN_PAIRS


def agreement_of(pairs: Iterable[tuple[bool, bool]]) -> Agreement:
    """Cohen's kappa of two judges who each said yes or no: (observed - expected) / (1 - expected).

    Cohen 1960, "A coefficient of agreement for nominal scales" (doi:10.1177/001316446002000104), page 40.

    Returns:
        An agreement without kappa when there are too few pairs, and when both judges always said the same one thing,
        where chance alone would agree as well.
    """
    both = list(pairs)
    if not both:
        return Agreement(0, 0.0, None)
    num_pairs = len(both)
    observed = sum(first == second for first, second in both) / num_pairs
    first_yes = sum(first for first, _ in both) / num_pairs
    second_yes = sum(second for _, second in both) / num_pairs
    expected = first_yes * second_yes + (1 - first_yes) * (1 - second_yes)
    if num_pairs < MIN_PAIRS or expected == 1.0:
        return Agreement(num_pairs, observed, None)
    return Agreement(num_pairs, observed, (observed - expected) / (1 - expected))


def is_sampled(workspace: str, number: int, *, key: bytes) -> bool:
    """Whether the decision with this number comes back: exactly one of each twenty, at a place that the key hides.

    Args:
        workspace: the id of the workspace, so that each has places of its own.
        number: of the decision in its workspace, from 1.
        key: a secret of the installation; who knows it knows which decisions are looked at.
    """
    block, place = divmod(number - 1, SAMPLE_ONE_IN)
    digest = hmac.digest(key, f"re-check {workspace} {block}".encode(), hashlib.sha256)
    width = FIRST_SAMPLE_WITHIN if block == 0 else SAMPLE_ONE_IN
    return place == int.from_bytes(digest[:8], "big") % width
