"""How long a text job takes from POST to a watcher's eyes: 30 jobs, one after the other, through the real stack.

`python -m benchmarks.bench_jobs` starts web, workers and Redis of its own on loopback and stops them again.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx
import websockets

from scripts.own_stack import Stack

PROMPT = "Write a story about a brave little boat."
MAX_TOKENS = 64


@dataclass(frozen=True)
class Timing:
    """One job, in seconds from the POST, and how much of it the engine took."""

    claimed_s: float
    first_token_s: float
    done_s: float
    engine_s: float


async def time_one(client: httpx.AsyncClient, stack: Stack, cookie: str, seed: int) -> Timing:
    """Run one job and watch it through a socket that opens as soon as the job has an id."""
    began = time.perf_counter()
    body = {"kind": "text", "prompt": PROMPT, "seed": seed, "max_tokens": MAX_TOKENS}
    answer = await client.post("/api/v1/jobs", json=body)
    answer.raise_for_status()
    job = answer.json()
    seen: dict[str, float] = {}
    address = f"{stack.url.replace('http', 'ws')}/ws/jobs/{job['id']}/"
    async with websockets.connect(address, origin=stack.url, additional_headers={"Cookie": cookie}) as socket:
        async for line in socket:
            message = json.loads(line)
            if message["type"] == "event":
                seen.setdefault(message["event"]["kind"], time.perf_counter() - began)
    ended = (await client.get(job["urls"]["self"])).json()
    if ended["status"] != "succeeded":
        raise RuntimeError(f"job {job['id']} ended {ended['status']}: {ended['error']}")
    created_at, started_at = (datetime.fromisoformat(ended[name]) for name in ("created_at", "started_at"))
    artifact = (await client.get(f"/api/v1/artifacts/{ended['artifacts'][0]}")).json()
    return Timing(
        (started_at - created_at).total_seconds(), seen["text"], seen["succeeded"], artifact["timings"]["engine_s"]
    )


async def run(stack: Stack, num_jobs: int) -> list[Timing]:
    """All jobs, one after the other, after two that warm everything up."""
    key = stack.manage("create_api_key", "--workspace", "studio", "--name", "bench", "--scopes", "read,generate")
    async with httpx.AsyncClient() as browser:
        await browser.get(stack.sign_in_url, follow_redirects=True)
        cookie = f"sessionid={browser.cookies['sessionid']}"
    headers = {"Authorization": f"Bearer {key.split()[-1]}"}
    async with httpx.AsyncClient(base_url=stack.url, headers=headers, timeout=60) as client:
        for seed in range(2):
            await time_one(client, stack, cookie, seed)
        return [await time_one(client, stack, cookie, seed) for seed in range(num_jobs)]


def main() -> None:
    """Print p50 and p95 of each stretch, in milliseconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=30, help="how many jobs to time")
    num_jobs = parser.parse_args().jobs
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder))
        try:
            timings = asyncio.run(run(stack, num_jobs))
        finally:
            stack.stop()
    print(f"{num_jobs} text jobs of {MAX_TOKENS} tokens, one after the other   p50 ms   p95 ms")
    for name in ("claimed_s", "first_token_s", "done_s", "engine_s"):
        values = [getattr(timing, name) * 1000 for timing in timings]
        p95 = statistics.quantiles(values, n=20)[-1]
        label = "engine's own share" if name == "engine_s" else f"POST to {name.removesuffix('_s').replace('_', ' ')}"
        print(f"{label:52} {statistics.median(values):8.0f} {p95:8.0f}")


if __name__ == "__main__":
    main()
