"""The text engine beside `transformers` and llama.cpp, same weights, same threads: `make bench-text`.

Everybody takes turns in one process, so whatever else the machine does hits all alike. Prints Markdown.
"""

import argparse
import json
import math
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import torch
import transformers

from benchmarks.text_contest import LONG_PROMPT_TOKENS, PROMPT_TOKENS, Contest, Workload, hold
from benchmarks.text_contestants import CROWD, LLAMA_F32, LLAMA_Q8, PRECISIONS, TRANSFORMERS_FLOAT32, Contestants
from benchmarks.text_nets import SHAPES, TINY
from benchmarks.text_quality import held_out_stories, nats_per_token
from benchmarks.text_rounds import Spread, markdown_table
from genworkers.nets.native_library import read_bandwidth

ROOT = Path(__file__).resolve().parent.parent
HOUSE_NET = ROOT / "genworkers" / "weights" / "llama-tessera-text"
MEMORY_BYTES = 2**30
WORKLOADS = {
    "17M": Workload(128, 32, 160, 0.02, num_rounds=5, num_crowd_rounds=5),
    "134M": Workload(48, 16, 64, 0.06, num_rounds=5, num_crowd_rounds=3),
}
QUICK_WORKLOAD = Workload(16, 4, 20, 0.01, num_rounds=2, num_crowd_rounds=2)

Row = list[str]


def rates(net: str, contest: Contest) -> Iterator[Row]:
    """One row for everything that somebody did."""
    for what, spreads in (
        ("alone", contest.alone),
        (f"{CROWD} at once", contest.together),
        (f"{CROWD} at random", contest.arriving),
        (f"reads {LONG_PROMPT_TOKENS}", contest.reading),
    ):
        base = spreads[TRANSFORMERS_FLOAT32]
        for name, spread in spreads.items():
            ratio = "" if name == TRANSFORMERS_FLOAT32 else spread.over(base).text(2)
            yield [net, what, name, spread.text(), ratio, _share(contest, name, spread) if what == "alone" else ""]


def _share(contest: Contest, name: str, spread: Spread) -> str:
    """GB of weights a second, and which share of what can be read that is."""
    reader = name.split(",")[0].replace("engine", "decoder")
    read = contest.weights_bytes[reader] * spread.median
    return f"{read / 1e9:.1f} of {contest.bandwidth[reader] / 1e9:.1f} GB/s: {read / contest.bandwidth[reader]:.0%}"


def claims(net: str, contest: Contest) -> Iterator[Row]:
    """What was asked of the engine: figure, goal, measured."""
    alone, together, arriving = contest.alone, contest.together, contest.arriving
    base = alone[TRANSFORMERS_FLOAT32]
    for precision, goal in (("float32", "1.5"), ("bfloat16", "3"), ("int8", "3")):
        ratio = alone[f"engine {precision}"].over(base)
        yield [net, f"alone, {precision}: engine over {TRANSFORMERS_FLOAT32}", f">= {goal}", ratio.text(2)]
    for precision, theirs in (("float32", LLAMA_F32), ("int8", LLAMA_Q8)):
        for ours in ("engine", "decoder"):
            ratio = alone[f"{ours} {precision}"].over(alone[theirs])
            yield [net, f"alone: {ours} {precision} over {theirs}", "> 1", ratio.text(2)]
    for what, spreads in (("at once", together), ("at random", arriving)):
        for precision in PRECISIONS:
            ours = f"engine {precision}"
            ratio = spreads[ours].over(spreads[TRANSFORMERS_FLOAT32])
            yield [
                net,
                f"{CROWD} {what}, {precision}: engine over static batch of {TRANSFORMERS_FLOAT32}",
                ">= 1.5",
                ratio.text(2),
            ]
            single = Spread((alone[ours].median,) * len(spreads[ours].values))
            yield [
                net,
                f"{CROWD} {what}, {precision}: engine over itself alone",
                ">= 6",
                spreads[ours].over(single).text(1),
            ]
        for precision, theirs in (("float32", LLAMA_F32), ("int8", LLAMA_Q8)):
            ratio = spreads[f"engine {precision}"].over(spreads[theirs])
            yield [net, f"{CROWD} {what}: engine {precision} over static batch of {theirs}", "", ratio.text(2)]
    for name, waits_ms in contest.first_token_ms.items():
        late = statistics.quantiles(waits_ms, n=20)[-1]
        measured = f"{statistics.median(waits_ms):.0f} ms, one in twenty above {late:.0f} ms"
        yield [net, f"{CROWD} at random, {name}: first token after", "", measured]
    agreeing = ", ".join(f"{name} {num}" for name, num in contest.num_agreeing.items())
    yield [net, f"first tokens (of 64, greedy) as {TRANSFORMERS_FLOAT32}", "", agreeing]


def quality(corpus: Path, num_stories: int, num_threads: int) -> Iterator[Row]:
    """Held-out perplexity of the house net in each precision."""
    if not (corpus / "text").is_dir():
        yield ["house", f"held-out perplexity: skipped, no corpora at {corpus}", "", ""]
        return
    stories = held_out_stories(corpus, num_stories)
    exact = nats_per_token(HOUSE_NET, stories, "float32", num_threads)
    yield ["house", f"perplexity of {len(stories)} held-out stories, float32", "", f"{math.exp(exact):.4f}"]
    for precision in PRECISIONS[1:]:
        loss = nats_per_token(HOUSE_NET, stories, precision, num_threads)
        change = f"{math.exp(loss):.4f} ({math.expm1(loss - exact):+.3%})"
        yield ["house", f"the same in {precision}", "within 1 %", change]


def memory(num_requests: int, num_threads: int) -> Iterator[Row]:
    """Resident memory of a process of its own that serves the house net."""
    options = ["--requests", str(num_requests), "--threads", str(num_threads)]
    command = [sys.executable, "-m", "benchmarks.text_memory", str(HOUSE_NET), *options]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    found = {name.removesuffix("_bytes"): num_bytes / 2**20 for name, num_bytes in json.loads(done.stdout).items()}
    added = found["peak"] - found["imported"]
    measured = (
        f"{added:.0f} MB above the {found['imported']:.0f} MB of Python and torch; computed {found['computed']:.0f} MB"
    )
    yield ["house", "peak resident memory of weights, cache and all work", "", measured]
    growth = f"{found['end'] - found['warm']:+.1f} MB after a warm-up ({found['end']:.0f} MB in all)"
    yield ["house", f"growth over {num_requests:,} mixed requests", "none", growth]


def main() -> None:
    """Run everything and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--nets", nargs="*", choices=list(WORKLOADS), default=list(WORKLOADS))
    parser.add_argument("--corpus", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--rounds", type=int, help="instead of 5 (3 for sixteen texts of the larger net)")
    parser.add_argument("--stories", type=int, default=48)
    parser.add_argument("--requests", type=int, default=1000, help="of the memory run")
    parser.add_argument("--quick", action="store_true", help="a tiny net and little work, to see whether it runs")
    arguments = parser.parse_args()
    began = time.monotonic()
    torch.set_num_threads(arguments.threads)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()

    def say(what: str) -> None:
        print(f"{time.monotonic() - began:5.0f} s  {what}", file=sys.stderr, flush=True)

    speeds: list[Row] = []
    goals: list[Row] = []
    for shape in (TINY,) if arguments.quick else SHAPES:
        if not arguments.quick and shape.name not in arguments.nets:
            continue
        say(f"{shape.name}: loading")
        workload = QUICK_WORKLOAD if arguments.quick else WORKLOADS[shape.name]
        if arguments.rounds:
            workload = replace(workload, num_rounds=arguments.rounds, num_crowd_rounds=arguments.rounds)
        with tempfile.TemporaryDirectory() as folder:
            with Contestants(shape, Path(folder), arguments.threads) as contestants:
                contest = hold(contestants, workload, arguments.threads, say)
            del contestants
        speeds += rates(f"{shape.name}, {workload.num_tokens} tokens", contest)
        goals += claims(shape.name, contest)
    say("house net: held-out perplexity")
    goals += quality(arguments.corpus, 4 if arguments.quick else arguments.stories, arguments.threads)
    say("house net: memory of a worker")
    goals += memory(100 if arguments.quick else arguments.requests, arguments.threads)

    print(
        f"{arguments.threads} threads, prompts of {PROMPT_TOKENS} tokens, median (lowest..highest) of the rounds; "
        f"torch {version('torch')}, transformers {version('transformers')}, llama-cpp-python "
        f"{version('llama-cpp-python')}, {platform.machine()}; {MEMORY_BYTES / 2**30:.0f} GiB are read at "
        f"{read_bandwidth(arguments.threads, MEMORY_BYTES) / 1e9:.1f} GB/s; {time.monotonic() - began:.0f} s in all.\n"
    )
    heads = ["net", "what", "who", "tokens/s", f"times {TRANSFORMERS_FLOAT32}", "weights read"]
    print(markdown_table(heads, speeds), end="\n\n")
    print(markdown_table(["net", "figure", "goal", "measured"], goals))


if __name__ == "__main__":
    main()
