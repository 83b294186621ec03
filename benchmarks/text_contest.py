"""What everybody has to do: write alone, write for sixteen at once, for sixteen arriving at random, read a prompt."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from benchmarks.text_baselines import LlamaCppWriter, TransformersWriter
from benchmarks.text_contestants import CROWD, Contestants
from benchmarks.text_nets import prompt_of
from benchmarks.text_ours import Arrival, BareWriter, EngineWriter, poisson_arrivals
from benchmarks.text_rounds import Spread, Work, tokens_per_second
from genworkers.nets.native_library import read_bandwidth

PROMPT_TOKENS = 16
LONG_PROMPT_TOKENS = 512
AGREEMENT_TOKENS = 64
WARM_UP_TOKENS = 8
DRAWN_ENGINE = "engine bfloat16"


@dataclass(frozen=True, slots=True)
class Workload:
    """How much there is to do.

    Args:
        num_tokens: of one text, alone and of sixteen equal ones.
        shortest_tokens: of the texts that are asked for at random.
        longest_tokens: of the same; one in every crowd is that long.
        mean_gap_s: between two requests that arrive at random.
    """

    num_tokens: int
    shortest_tokens: int
    longest_tokens: int
    mean_gap_s: float
    num_rounds: int
    num_crowd_rounds: int

    def in_round(self, round_: int) -> "Workload":
        """This, or next to nothing in round 0, which is not counted."""
        few = WARM_UP_TOKENS
        return self if round_ else replace(self, num_tokens=few, shortest_tokens=few, longest_tokens=few)

    def lengths(self, round_: int) -> list[int]:
        """Tokens that sixteen requests ask for."""
        rng = random.Random(round_)
        drawn = [rng.randint(self.shortest_tokens, self.longest_tokens) for _ in range(CROWD - 1)]
        return [*drawn, self.longest_tokens]

    def same_lengths(self, _: int) -> list[int]:
        """Sixteen times the same."""
        return [self.num_tokens] * CROWD

    def arrivals(self, round_: int) -> list[Arrival]:
        """Sixteen requests at random times."""
        return poisson_arrivals(self.lengths(round_), _crowd_prompts(1000 + round_), self.mean_gap_s, round_)

    def same_arrivals(self, round_: int) -> list[Arrival]:
        """Sixteen requests at once."""
        return [Arrival(0.0, prompt, self.num_tokens) for prompt in _crowd_prompts(round_)]


@dataclass(frozen=True, slots=True)
class Contest:
    """What was measured on one net.

    Args:
        alone: tokens a second of each contestant, prompt included in the time.
        together: of all sixteen.
        arriving: the same, of the tokens that were asked for; a static batch has all requests from the beginning.
        reading: tokens a second of a long prompt.
        first_token_ms: what requests that arrived at random waited for, in each of our engines.
        weights_bytes: that are read for each token.
        bandwidth: bytes a second that the threads read from as much memory as the weights take.
        num_agreeing: how many of the first tokens are those of `transformers` in float32.
    """

    alone: dict[str, Spread]
    together: dict[str, Spread]
    arriving: dict[str, Spread]
    reading: dict[str, Spread]
    first_token_ms: dict[str, list[float]]
    weights_bytes: dict[str, int]
    bandwidth: dict[str, float]
    num_agreeing: dict[str, int]


def hold(contestants: Contestants, workload: Workload, num_threads: int, say: Callable[[str], None]) -> Contest:
    """Let everybody do everything, in turns; `say` hears what comes next."""
    writers, engines, load = contestants.writers, contestants.engines, workload
    num_agreeing = contestants.num_agreeing(contestants.prompt_ids(PROMPT_TOKENS, 0), AGREEMENT_TOKENS)
    works: dict[str, Work] = {name: partial(_write, contestants, writer, load) for name, writer in writers.items()}
    works |= {name: partial(_ask, engine, load, is_greedy=True) for name, engine in engines.items()}
    works[f"{DRAWN_ENGINE}, drawn"] = partial(_ask, engines[DRAWN_ENGINE], load, is_greedy=False)
    say("one text alone")
    alone = tokens_per_second(works, load.num_rounds)
    weights_bytes = {name: writer.weights_bytes for name, writer in writers.items()}
    bandwidth = {name: read_bandwidth(num_threads, num_bytes) for name, num_bytes in weights_bytes.items()}

    works = {
        name: partial(_write_batch, contestants, writer, load, is_mixed=False)
        for name, writer in contestants.baselines.items()
    }
    works |= {name: partial(_serve, engine, load, None) for name, engine in engines.items()}
    say("sixteen at once")
    together = tokens_per_second(works, load.num_crowd_rounds)

    first_token_ms: dict[str, list[float]] = {name: [] for name in engines}
    works = {
        name: partial(_write_batch, contestants, writer, load, is_mixed=True)
        for name, writer in contestants.baselines.items()
    }
    works |= {name: partial(_serve, engine, load, first_token_ms[name]) for name, engine in engines.items()}
    say("sixteen at random")
    arriving = tokens_per_second(works, load.num_crowd_rounds)

    works = {name: partial(_read, contestants, writer) for name, writer in writers.items()}
    say("reading a prompt")
    reading = tokens_per_second(works, load.num_rounds)
    return Contest(alone, together, arriving, reading, first_token_ms, weights_bytes, bandwidth, num_agreeing)


def _write(
    contestants: Contestants, writer: TransformersWriter | LlamaCppWriter | BareWriter, load: Workload, round_: int
) -> int:
    return len(writer.write(contestants.prompt_ids(PROMPT_TOKENS, round_), load.in_round(round_).num_tokens))


def _ask(engine: EngineWriter, load: Workload, round_: int, *, is_greedy: bool) -> int:
    num_tokens = load.in_round(round_).num_tokens
    engine.write(prompt_of(PROMPT_TOKENS, round_ + (0 if is_greedy else 100)), num_tokens, is_greedy=is_greedy)
    return num_tokens


def _write_batch(
    contestants: Contestants,
    writer: TransformersWriter | LlamaCppWriter,
    load: Workload,
    round_: int,
    *,
    is_mixed: bool,
) -> int:
    """A static batch: everybody is there at once, and everybody writes as long as the longest."""
    load = load.in_round(round_)
    lengths = load.lengths(round_) if is_mixed else load.same_lengths(round_)
    prompts = [contestants.prompt_ids(PROMPT_TOKENS, CROWD * round_ + index) for index in range(CROWD)]
    writer.write_batch(prompts, max(lengths))
    return sum(lengths)


def _serve(engine: EngineWriter, load: Workload, waits_ms: list[float] | None, round_: int) -> int:
    """Sixteen equal requests at once; with a list for what they wait, mixed ones at random times."""
    load = load.in_round(round_)
    arrivals = load.same_arrivals(round_) if waits_ms is None else load.arrivals(round_)
    timing = engine.serve(arrivals)
    if waits_ms is not None and round_:
        waits_ms += [1000 * wait_s for wait_s in timing.first_token_s]
    return sum(arrival.num_tokens for arrival in arrivals)


def _read(contestants: Contestants, writer: TransformersWriter | LlamaCppWriter | BareWriter, round_: int) -> int:
    writer.read(contestants.prompt_ids(LONG_PROMPT_TOKENS, round_))
    return LONG_PROMPT_TOKENS


def _crowd_prompts(round_: int) -> list[str]:
    return [prompt_of(PROMPT_TOKENS, CROWD * round_ + index) for index in range(CROWD)]
