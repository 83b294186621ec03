"""What the mark costs a token of the house net: the same texts with a key and without, in turns. Prints Markdown.

Wall time is what people wait for, and on a shared machine mostly noise; processor time is what the work takes.
"""

import argparse
import time
from pathlib import Path

from benchmarks.text_rounds import PAUSE_S, Spread, markdown_table
from genworkers.contract.text import TextRequest
from genworkers.engine.config import EngineConfig
from genworkers.engine.loading import Checkpoints
from genworkers.engine.text_engine import TextEngine
from genworkers.marks.keys import MarkKey
from genworkers.text_checkpoints import open_text_checkpoint

HOUSE_NET = Path(__file__).resolve().parent.parent / "genworkers" / "weights" / "llama-tessera-text"
NUM_STREAMS = (1, 32)
KEY = MarkKey("bench", b"bench" * 6 + b"!!")
DEADLINE_S = 600.0


class Bench:
    """The house net in the engine, drawn with the settings that the studio starts with; no text ends early."""

    def __init__(self, num_threads: int) -> None:
        config = EngineConfig(num_threads=num_threads)
        self._engine = TextEngine(Checkpoints({HOUSE_NET.name: HOUSE_NET}.get, lambda _: {}, config), config)
        self._engine.start()
        self._endless = {str(one): -100.0 for one in open_text_checkpoint(HOUSE_NET).codec.end_ids}

    def close(self) -> None:
        """Stop the engine."""
        self._engine.close()

    def times(self, num_streams: int, num_tokens: int, round_: int, key: MarkKey | None) -> tuple[float, float]:
        """Wall and processor seconds of so many texts of so many tokens."""
        time.sleep(PAUSE_S)
        began, began_cpu = time.perf_counter(), time.process_time()
        tickets = [
            self._engine.submit(
                TextRequest(
                    prompt=f"Write a story about {number} boats.", max_tokens=num_tokens, logit_bias=self._endless
                ),
                seed=round_ * num_streams + number,
                deadline_s=DEADLINE_S,
                user="bench",
                mark_key=key,
            )
            for number in range(num_streams)
        ]
        for ticket in tickets:
            while not ticket.is_done:
                ticket.read(DEADLINE_S)
        return time.perf_counter() - began, time.process_time() - began_cpu


def rows(bench: Bench, num_rounds: int, num_tokens: int) -> list[list[str]]:
    """One for each number of streams; a first round is not counted."""
    made: list[list[str]] = []
    for num_streams in NUM_STREAMS:
        pairs = [
            [bench.times(num_streams, num_tokens, round_, key) for key in (None, KEY)]
            for round_ in range(num_rounds + 1)
        ][1:]
        rate = [Spread(tuple(num_streams * num_tokens / pair[which][0] for pair in pairs)) for which in (0, 1)]
        cost = [Spread(tuple(pair[1][kind] / pair[0][kind] for pair in pairs)) for kind in (0, 1)]
        made.append([str(num_streams), *(one.text() for one in rate), *(one.text(3) for one in cost)])
    return made


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--tokens", type=int, default=100)
    options = parser.parse_args()
    bench = Bench(options.threads)
    try:
        table = rows(bench, options.rounds, options.tokens)
    finally:
        bench.close()
    what = f"{options.threads} threads, {options.tokens} tokens a text"
    print(f"{what}, median (lowest..highest) of {options.rounds} rounds\n")
    heads = ["streams", "tokens/s without", "tokens/s with", "times the wall time", "times the processor time"]
    print(markdown_table(heads, table))


if __name__ == "__main__":
    main()
