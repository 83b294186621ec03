"""The memory of a text worker: one process, one net, many mixed requests: `python -m benchmarks.text_memory FOLDER`."""

import argparse
import json
import random
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.text_ours import POLL_S
from genworkers.contract.text import TextRequest
from genworkers.engine.config import EngineConfig
from genworkers.engine.loading import Checkpoints
from genworkers.engine.text_engine import TextEngine
from genworkers.text_checkpoints import open_text_checkpoint

WORDS = ("boat", "moon", "map", "lighthouse", "fox", "garden", "river", "lamp", "bread", "letter")
NUM_USERS = 16


@dataclass(frozen=True, slots=True)
class MemoryFigures:
    """Resident memory of the process, in bytes.

    Args:
        imported_bytes: before a net was loaded: Python, torch and our code.
        computed_bytes: weights and cache, as the decoder counts them.
        peak_bytes: the most at any time.
        warm_bytes: after a warm-up of as many requests as are counted, when every block of the cache has been used.
        end_bytes: after those that are counted.
    """

    imported_bytes: int
    computed_bytes: int
    peak_bytes: int
    warm_bytes: int
    end_bytes: int


def resident_bytes(field: str) -> int:
    """`VmRSS` (now) or `VmHWM` (the most so far) of this process; Linux only."""
    found = re.search(rf"^{field}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), flags=re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def mixed_requests(net: str, num_requests: int) -> list[TextRequest]:
    """Requests of many lengths and settings, always the same ones."""
    rng = random.Random(0)
    return [
        TextRequest(
            prompt="Write a story about " + " and ".join(rng.choices(WORDS, k=rng.choice((1, 3, 10, 60)))),
            net=net,
            max_tokens=rng.choice((1, 8, 24, 80)),
            temperature=rng.choice((0.0, 0.8, 1.2)),
            top_k=rng.choice((0, 50)),
            min_p=rng.choice((0.0, 0.05)),
            presence_penalty=rng.choice((0.0, 0.5)),
            stop=rng.choice(([], ["."])),
        )
        for _ in range(num_requests)
    ]


def serve(engine: TextEngine, requests: Sequence[TextRequest]) -> None:
    """All requests to their ends, as many at a time as there are users."""

    def ask(index: int) -> None:
        ticket = engine.submit(requests[index], seed=index, deadline_s=600, user=f"user-{index % NUM_USERS}")
        while not ticket.is_done:
            ticket.read(POLL_S)

    with ThreadPoolExecutor(NUM_USERS) as users:
        for _ in users.map(ask, range(len(requests))):
            pass


def measure(folder: Path, config: EngineConfig, num_requests: int) -> MemoryFigures:
    """Load the net, serve the requests, look at the process in between."""
    open_text_checkpoint(folder)  # what a worker imports and reads before the weights
    imported_bytes = resident_bytes("VmRSS")
    requests = mixed_requests(folder.name, 2 * num_requests)
    with TextEngine(Checkpoints({folder.name: folder}.get, lambda _: {}, config), config) as engine:
        engine.load(folder.name)
        serve(engine, requests[:num_requests])
        warm_bytes = resident_bytes("VmRSS")
        serve(engine, requests[num_requests:])
        return MemoryFigures(
            imported_bytes=imported_bytes,
            computed_bytes=sum(net.num_bytes for net in engine.stats()),
            peak_bytes=resident_bytes("VmHWM"),
            warm_bytes=warm_bytes,
            end_bytes=resident_bytes("VmRSS"),
        )


def main() -> None:
    """Print the figures as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="of a text net")
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--requests", type=int, default=1000)
    arguments = parser.parse_args()
    config = EngineConfig(precision=arguments.precision, num_threads=arguments.threads)
    print(json.dumps(asdict(measure(arguments.folder, config, arguments.requests))))


if __name__ == "__main__":
    main()
