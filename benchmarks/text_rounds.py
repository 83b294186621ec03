"""Timing contestants in turn, so that whatever else the machine does hits them alike, and what the timings say."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

PAUSE_S = 0.05


@dataclass(frozen=True, slots=True)
class Spread:
    """Numbers of several rounds."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    def over(self, other: "Spread") -> "Spread":
        """How many times the other, round by round."""
        return Spread(tuple(mine / theirs for mine, theirs in zip(self.values, other.values, strict=True)))

    def text(self, digits: int = 0) -> str:
        """Median and extremes, for a table."""
        return f"{self.median:,.{digits}f} ({min(self.values):,.{digits}f}..{max(self.values):,.{digits}f})"


# What a contestant does in a round, and how many tokens of it count.
Work = Callable[[int], int]


def tokens_per_second(contestants: Mapping[str, Work], num_rounds: int) -> dict[str, Spread]:
    """Rates of all contestants, who take turns; a first round for everybody is not counted."""
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for round_ in range(num_rounds + 1):
        for name, work in contestants.items():
            time.sleep(PAUSE_S)  # the threads of the one before go to sleep
            began = time.perf_counter()
            num_tokens = work(round_)
            if round_:
                rates[name].append(num_tokens / (time.perf_counter() - began))
    return {name: Spread(tuple(values)) for name, values in rates.items()}


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The rows under their heads."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
