"""From logits to the next token of every row of a batch. What one row gets never depends on the others, to the bit.

The order is fixed: grammar mask, logit bias, penalties (penalties.py), temperature, top-k, min-p, top-p (draws.py),
mark (tournament.py), draw.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from genworkers.marks.text_bits import Place
from genworkers.sampling.draws import Ids, Logits, draw, draw_from_whole, keep_top_p, largest, weigh
from genworkers.sampling.penalties import SeenTokens, add_bias, allow_only, penalise
from genworkers.sampling.tournament import mark


class DrawError(ValueError):
    """A row from which no token can be drawn.

    Args:
        reason: `broken_logits`: the net gave NaN or infinity; `no_token_allowed`: mask and bias leave nothing.
    """

    def __init__(self, reason: Literal["broken_logits", "no_token_allowed"]) -> None:
        words = {"broken_logits": "the logits hold NaN or infinity", "no_token_allowed": "no token may be chosen"}
        super().__init__(words[reason])
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen.

    Args:
        temperature: 0 always takes the likeliest token, of equals the one with the lowest id.
        top_k: draw from the k likeliest tokens, of equals those with the lowest ids; 0 considers all.
        top_p: draw from the likeliest tokens that together hold this share of what top_k and min_p left.
        min_p: draw from tokens at least this share as likely as the likeliest; 0 considers all.
        repetition_penalty: above 1 makes tokens of prompt and text less likely; 1 changes nothing.
        presence_penalty: taken off the logit of every token that was written.
        frequency_penalty: taken off the logit of a token for each time that it was written.
        logit_bias: token id to what is added to its logit; ids below the number of logits.
        num_logprobs: report log-probabilities, also those of so many likeliest tokens; None reports none.

    Raises:
        ValueError: a value is outside its range.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    num_logprobs: int | None = None

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if not 0 <= self.temperature < math.inf:
            raise ValueError(f"temperature must be 0 or more and finite, got {self.temperature}")
        if self.top_k < 0:
            raise ValueError(f"top_k must be 0 or more, got {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be above 0 and at most 1, got {self.top_p}")
        if not 0 <= self.min_p <= 1:
            raise ValueError(f"min_p must be 0..1, got {self.min_p}")
        if not 0 < self.repetition_penalty < math.inf:
            raise ValueError(f"repetition_penalty must be above 0 and finite, got {self.repetition_penalty}")
        for name in ("presence_penalty", "frequency_penalty"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} must be finite, got {getattr(self, name)}")
        for token_id, bias in self.logit_bias.items():
            if token_id < 0 or not math.isfinite(bias):
                raise ValueError(f"logit_bias must map ids of 0 or more to finite numbers, got {token_id}: {bias}")
        if self.num_logprobs is not None and self.num_logprobs < 0:
            raise ValueError(f"num_logprobs must be 0 or more, got {self.num_logprobs}")

    @property
    def has_penalties(self) -> bool:
        """Whether the tokens seen so far matter."""
        return self.repetition_penalty != 1 or self.presence_penalty != 0 or self.frequency_penalty != 0


@dataclass(slots=True)
class Row:
    """What one row of the batch needs for its draw.

    Args:
        uniform: in [0, 1), see `uniform_at`.
        seen: tokens of the sequence so far; needed where `sampling.has_penalties`.
        mask: (M,) bool, True for tokens that may be chosen, those from M on may not; None allows all.
        place: by whose coins the draw is marked; None draws plainly.
    """

    sampling: Sampling
    uniform: float
    seen: SeenTokens | None = None
    mask: NDArray[np.bool_] | None = None
    place: Place | None = None


class Choice(NamedTuple):
    """A chosen token.

    Args:
        logprob: its log-probability in nats under the net's own distribution, before mask, bias, penalties,
            temperature and truncation; None where the row did not ask.
        top: the likeliest tokens under that distribution with their log-probabilities, likeliest first.
    """

    token_id: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()


def choose_tokens(logits: Tensor, rows: Sequence[Row]) -> list[Choice | DrawError]:
    """The next token of every row.

    Args:
        logits: (B, V) float32 on the CPU; not modified; -inf forbids a token.
        rows: B of them.

    Returns:
        B choices; a row that cannot be drawn from has an error in its place and harms no other.
    """
    own: Logits = logits.detach().numpy()  # (B, V)
    adjusted = _adjust(own, rows)
    peaks = adjusted.max(axis=1)  # (B,), NaN where the row holds one
    is_drawable = np.isfinite(peaks).tolist()
    num_kept = [_num_kept(row.sampling, own.shape[1]) for row in rows]
    by_head: list[int] = []
    tokens: dict[int, int] = {}
    for index, row in enumerate(rows):
        if not is_drawable[index]:
            continue
        if num_kept[index] == 1:
            tokens[index] = int(adjusted[index].argmax())  # of equals the first
        elif num_kept[index]:
            by_head.append(index)
        else:
            tokens[index] = _draw_from_whole(adjusted[index], row)
    if by_head:
        part = adjusted if len(by_head) == len(rows) else adjusted[by_head]
        drawn = _draw_from_heads(part, [rows[i] for i in by_head], np.array([num_kept[i] for i in by_head]))
        tokens.update(zip(by_head, drawn, strict=True))
    choices = {index: Choice(token_id) for index, token_id in tokens.items()}
    asked = [index for index in tokens if rows[index].sampling.num_logprobs is not None]
    if asked:
        choices.update(
            zip(asked, _report(own[asked], [tokens[i] for i in asked], [rows[i] for i in asked]), strict=True)
        )
    return [
        choices.get(index) or DrawError("no_token_allowed" if peaks[index] == -np.inf else "broken_logits")
        for index in range(len(rows))
    ]


def choose_token(logits: Tensor, sampling: Sampling, uniform: float) -> int:
    """The next token of one sequence.

    Args:
        logits: (V,) float32.

    Raises:
        DrawError: the logits hold NaN or infinity, or forbid everything.
    """
    choice = choose_tokens(logits[None], [Row(sampling, uniform)])[0]
    if isinstance(choice, DrawError):
        raise choice
    return choice.token_id


def uniform_at(seed: int, position: int) -> float:
    """A number in [0, 1) that depends on the seed and the position alone.

    A counter-based generator: no state to carry, so batching, retries and restarts change nothing.

    Args:
        seed: 0..2^63-1.
        position: of the token that is drawn, 0 for the first.
    """
    digest = hashlib.blake2b(seed.to_bytes(8, "little") + position.to_bytes(8, "little"), digest_size=8).digest()
    return (int.from_bytes(digest, "little") >> 11) * 2.0**-53


def _adjust(logits: Logits, rows: Sequence[Row]) -> Logits:
    """The logits after mask, bias and penalties of each row, (B, V); the same array where no row has any."""
    adjusted = logits
    for index, row in enumerate(rows):
        sampling = row.sampling
        has_penalties = sampling.has_penalties and row.seen is not None
        if row.mask is None and not sampling.logit_bias and not has_penalties:
            continue
        if adjusted is logits:
            adjusted = logits.copy()
        if row.mask is not None:
            allow_only(adjusted[index], row.mask)
        if sampling.logit_bias:
            add_bias(adjusted[index], sampling.logit_bias)
        if has_penalties and row.seen is not None:
            penalise(
                adjusted[index],
                row.seen,
                repetition=sampling.repetition_penalty,
                presence=sampling.presence_penalty,
                frequency=sampling.frequency_penalty,
            )
    return adjusted


def _num_kept(sampling: Sampling, vocab_size: int) -> int:
    """How many tokens top-k leaves; 0 if all. Taking the likeliest is the same as keeping one."""
    if sampling.temperature == 0:
        return 1
    return sampling.top_k if sampling.top_k < vocab_size else 0


def _draw_from_heads(logits: Logits, rows: Sequence[Row], num_kept: Ids) -> list[int]:
    """Draw from the `num_kept` (B,) likeliest tokens of each row, all rows at once."""
    ids, values = largest(logits, int(num_kept.max()))  # (B, K)
    values[np.arange(values.shape[1]) >= num_kept[:, None]] = -np.inf
    settings = [(row.sampling.temperature, row.sampling.min_p, row.sampling.top_p, row.uniform) for row in rows]
    temperature, min_p, top_p, uniform = np.array(settings).T[:, :, None]  # (B, 1) each
    weights = weigh(values, values[:, :1], temperature, min_p)
    weights = keep_top_p(weights, top_p, weights.cumsum(axis=1)[:, -1:])
    mark(ids, weights, [row.place for row in rows])
    drawn: list[int] = ids[np.arange(len(rows)), draw(weights, uniform)].tolist()
    return drawn


def _draw_from_whole(logits: Logits, row: Row) -> int:
    """Draw from all tokens of one row, (V,)."""
    sampling = row.sampling
    return draw_from_whole(
        logits,
        temperature=sampling.temperature,
        min_p=sampling.min_p,
        top_p=sampling.top_p,
        uniform=row.uniform,
        change=None if row.place is None else partial(mark, places=[row.place]),
    )


def _report(logits: Logits, tokens: Sequence[int], rows: Sequence[Row]) -> list[Choice]:
    """The choices with log-probabilities under the rows' own logits (B, V)."""
    num_top = [row.sampling.num_logprobs or 0 for row in rows]
    ids, values = largest(logits, max(1, min(max(num_top), logits.shape[1])))  # (B, K)
    # Row by row: all at once would not fit the processor's cache.
    sums = [weigh(row, peak, 1.0, 0.0).sum() for row, peak in zip(logits, values[:, 0], strict=True)]
    totals = values[:, 0] + np.log(sums)  # (B,) float64
    logprobs = (logits[np.arange(len(rows)), tokens] - totals).tolist()
    tops = (values - totals[:, None]).tolist()
    return [
        Choice(token_id, logprob, tuple(zip(own_ids[:num], top[:num], strict=True)))
        for token_id, logprob, own_ids, top, num in zip(tokens, logprobs, ids.tolist(), tops, num_top, strict=True)
    ]
