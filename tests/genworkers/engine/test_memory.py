"""A worker's memory is its weights and its cache, and stays that however many requests come."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from genworkers.engine.config import EngineConfig
from genworkers.engine.text_engine import TextEngine
from genworkers.engine.ticket import Ticket
from tests.genworkers.engine.reading import ask, read_all, request, stats_at_rest
from tests.genworkers.engine.test_batch_invariance import REQUESTS, native, needs_compiler
from tests.genworkers.tiny_nets import TinyNets

pytestmark = [pytest.mark.slow, needs_compiler]

MEASURE_PEAK = """
import json, resource, sys
from dataclasses import asdict
from pathlib import Path
import torch
from genworkers.checkpoints import CheckpointFacts, save
from genworkers.contract.text import TextRequest
from genworkers.engine.config import EngineConfig
from genworkers.engine.loading import Checkpoints
from genworkers.engine.text_engine import TextEngine
from genworkers.nets.decoder import Decoder, DecoderConfig
from tests.genworkers.tiny_nets import CODEC

folder, precision = Path(sys.argv[1]) / "large", sys.argv[2]
sizes = DecoderConfig(vocab_size=8192, context_tokens=512, width=512, num_layers=4, num_heads=8, num_kv_heads=8,
                      head_width=64, mlp_width=2048)
if not folder.exists():
    net = Decoder(sizes)
    net.init_weights(torch.Generator().manual_seed(0))
    facts = CheckpointFacts(name="large", kind="text", family="decoder", title="Large", config=asdict(sizes))
    parts = {"tokenizer": ("tokenizer.json", CODEC.to_json())}
    save(folder, facts, weights={"net": net.state_dict()}, other_parts=parts, card="")
else:
    peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    config = EngineConfig(precision=precision, cache_bytes=16 * 2**20, num_threads=1)
    with TextEngine(Checkpoints(lambda name: folder, lambda name: {}, config), config) as engine:
        before = peak()
        engine.load("large")
        for seed in range(10):  # more tokens than the cache holds
            ticket = engine.submit(TextRequest(prompt=str(seed) + " the boat" * 80, net="large", max_tokens=2),
                                   seed=seed, deadline_s=600, user="ann")
            while not ticket.is_done:
                ticket.read(5)
        print(json.dumps({"measured": peak() - before, "computed": engine.stats()[0].num_bytes}))
"""


def resident_bytes() -> int:
    """Of this process, now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def write_many(engine: TextEngine, num_requests: int, seed: int) -> None:
    """Mixed requests of several users, some cancelled, at most 100 at a time."""
    chance = random.Random(seed)
    tickets: list[Ticket[object]] = []
    for n in range(num_requests):
        changes = {"prompt": f"{seed} {n} " + "boat " * chance.randint(0, 12)}
        asked = REQUESTS[n % len(REQUESTS)].model_copy(update=changes)
        tickets.append(ask(engine, asked, seed=n, user=f"user {n % 7}"))  # type: ignore[arg-type]
        if chance.random() < 0.1:
            tickets[-1].cancel()
        if len(tickets) == 100:
            for ticket in tickets:
                read_all(ticket)  # type: ignore[arg-type]
            tickets.clear()


def test_thousand_mixed_requests_leave_no_trace() -> None:
    config = EngineConfig(max_running=16, step_tokens=64)
    with TextEngine(TinyNets({"tiny": lambda: native("bfloat16")(60)}), config) as engine:
        write_many(engine, 500, seed=0)
        before = resident_bytes()
        write_many(engine, 1000, seed=1)
        grown = resident_bytes() - before
        stats = stats_at_rest(engine)
        assert stats.num_free_blocks == stats.num_blocks
        assert stats.num_written_tokens > 10_000
    assert grown < 2 * 2**20, f"{grown / 2**20:.1f} MB more after 1,000 requests"


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_peak_memory_is_weights_and_cache(tmp_path: Path, precision: str) -> None:
    command = [sys.executable, "-c", MEASURE_PEAK, str(tmp_path), precision]
    subprocess.run(command, check=True)
    told = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert told["measured"] < told["computed"] * 1.1 + 16 * 2**20, told


def test_prompt_of_a_thousand_users_leaves_no_line() -> None:
    with TextEngine(TinyNets({"tiny": lambda: native("bfloat16")(60)}), EngineConfig()) as engine:
        for n in range(1000):
            read_all(ask(engine, request(str(n), max_tokens=1), user=f"user {n}"))
        assert stats_at_rest(engine).num_waiting == 0
