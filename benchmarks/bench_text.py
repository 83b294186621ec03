"""How fast the text engine writes, alone and in company, beside a plain loop: `python -m benchmarks.bench_text`."""

import argparse
import statistics
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from genworkers.contract import TextRequest
from genworkers.engine.text_engine import TextEngine, fastest_dtype, load_text_engine, sizes_for
from genworkers.evaluation.text import write
from genworkers.sampling.logits import Sampling

NET_FOLDER = Path(__file__).resolve().parent.parent / "genworkers" / "weights" / "llama-tessera-text"
PROMPT = "Write a story about a brave little boat."


@dataclass(frozen=True)
class Timing:
    """One request, in seconds from submit, and the tokens it got."""

    first_token_s: float
    done_s: float
    num_tokens: int


def time_one(engine: TextEngine, num_tokens: int, seed: int) -> Timing:
    """Submit one request and read it to its end."""
    began = time.perf_counter()
    ticket = engine.submit(TextRequest(prompt=PROMPT, max_tokens=num_tokens), seed=seed, deadline_s=600)
    first_token_s, written = 0.0, 0
    while not ticket.is_done:
        for step in ticket.read(1.0):
            first_token_s = first_token_s or time.perf_counter() - began
            written = step.num_tokens
    return Timing(first_token_s, time.perf_counter() - began, written)


def time_crowd(engine: TextEngine, num_requests: int, num_tokens: int) -> tuple[float, list[Timing]]:
    """Tokens a second of everybody together, and each one's timing."""
    timings: list[Timing] = []
    threads = [
        threading.Thread(target=lambda seed=seed: timings.append(time_one(engine, num_tokens, seed)))
        for seed in range(num_requests)
    ]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(timing.num_tokens for timing in timings) / (time.perf_counter() - began), timings


def main() -> None:
    """Print a small table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--net", type=Path, default=NET_FOLDER)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--slots", type=int, help="default: what the CPU does well")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    config = sizes_for(fastest_dtype())
    config = replace(config, num_slots=arguments.slots or config.num_slots)
    with load_text_engine(arguments.net, config) as engine:
        time_one(engine, 8, 0)
        sampling = Sampling(0.8, 50, 0.95)
        began = time.perf_counter()
        text = write(engine.net, engine.codec, PROMPT, seed=0, max_tokens=arguments.tokens, sampling=sampling)
        plain = len(engine.codec.encode(text)) / (time.perf_counter() - began)
        slots = engine.config.num_slots
        print(f"{engine.net.dtype}, {slots} slots, {arguments.threads} threads, {arguments.tokens} tokens each")
        print(f"{'':24}{'tokens/s':>10}{'first token, median':>22}{'done, median':>16}")
        print(f"{'plain loop, alone':24}{plain:>10.0f}")
        for num_requests in (1, 4, 8, 16):
            rate, timings = time_crowd(engine, num_requests, arguments.tokens)
            first_ms = statistics.median(timing.first_token_s for timing in timings) * 1000
            done_s = statistics.median(timing.done_s for timing in timings)
            print(f"{f'engine, {num_requests} at once':24}{rate:>10.0f}{first_ms:>19.0f} ms{done_s:>14.2f} s")


if __name__ == "__main__":
    main()
