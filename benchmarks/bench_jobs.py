"""What a person waits for, measured from outside: text jobs one after another, on a stack of its own.

POST to claimed, to the first words at a socket, to done; and how much of that the engine itself says it took.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import connect

from genworkers.contract.events import FINAL_EVENT_KINDS
from scripts.own_stack import Stack

PROMPTS = [
    "Write a story about a brave little boat.",
    "Write a story about a cat who lost her hat.",
    "Write a story about two friends and a snowman.",
]
NUM_WARM_UP = 2


@dataclass
class Timing:
    """One job, in milliseconds from the POST."""

    claimed_ms: float
    first_words_ms: float
    done_ms: float
    engine_ms: float


async def measure(stack: Stack, client: httpx.AsyncClient, cookie: str, request: dict[str, Any]) -> Timing:
    """Run one job and watch it through a socket, as a browser would."""
    seen_ms: dict[str, float] = {}
    began = time.perf_counter()
    answer = await client.post("/api/v1/jobs", json=request)
    answer.raise_for_status()
    job = answer.json()
    socket = f"ws://127.0.0.1:{stack.port}/ws/jobs/{job['id']}/"
    async with connect(socket, additional_headers={"Cookie": cookie}, origin=stack.url) as messages:  # type: ignore[arg-type]
        async for message in messages:
            event = json.loads(message).get("event")
            if event is not None:
                seen_ms.setdefault(event["kind"], (time.perf_counter() - began) * 1000)
                if event["kind"] in FINAL_EVENT_KINDS:
                    break
    if "succeeded" not in seen_ms:
        raise SystemExit(f"The job {job['id']} did not succeed: {', '.join(seen_ms)}")
    listed = (await client.get("/api/v1/artifacts", params={"job": job["id"]})).json()["items"]
    facts = (await client.get(f"/api/v1/artifacts/{listed[0]['id']}")).json()
    engine_ms = facts["timings"]["engine_s"] * 1000
    return Timing(seen_ms["started"], seen_ms["text"], seen_ms["succeeded"], engine_ms)


def percentile(values: list[float], share_frac: float) -> float:
    """The nearest-rank percentile, so that every figure is a job that was measured."""
    return sorted(values)[max(0, -(-len(values) * round(share_frac * 100) // 100) - 1)]


def report(timings: list[Timing]) -> str:
    """A Markdown table for docs/EXPERIMENTS.md."""
    rows = {
        "POST to claimed": [timing.claimed_ms for timing in timings],
        "POST to first words at the socket": [timing.first_words_ms for timing in timings],
        "POST to done": [timing.done_ms for timing in timings],
        "in the engine": [timing.engine_ms for timing in timings],
        "outside the engine": [timing.done_ms - timing.engine_ms for timing in timings],
    }
    lines = [f"| {len(timings)} text jobs | p50 ms | p95 ms | mean ms |", "|---|---|---|---|"]
    for name, values in rows.items():
        figures = (percentile(values, 0.5), percentile(values, 0.95), statistics.fmean(values))
        lines.append(f"| {name} | " + " | ".join(f"{figure:.0f}" for figure in figures) + " |")
    return "\n".join(lines)


async def bench(stack: Stack, *, num_jobs: int, max_tokens: int) -> list[Timing]:
    """Sign in once, then one job after another."""
    key = stack.manage("create_api_key", "--workspace", "studio", "--name", "bench").strip()
    async with httpx.AsyncClient(base_url=stack.url, follow_redirects=True, timeout=30) as person:
        (await person.get(stack.sign_in_url)).raise_for_status()
        cookie = "; ".join(f"{name}={value}" for name, value in person.cookies.items())
    timings = []
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=stack.url, headers=headers, timeout=30) as client:
        for number in range(NUM_WARM_UP + num_jobs):
            prompt = PROMPTS[number % len(PROMPTS)]
            request = {"kind": "text", "prompt": prompt, "seed": number, "max_tokens": max_tokens}
            timings.append(await measure(stack, client, cookie, request))
    return timings[NUM_WARM_UP:]


def main() -> None:
    """Start a stack, measure, print the table."""
    parser = argparse.ArgumentParser(description="Measure text jobs from a client's side.")
    parser.add_argument("--jobs", type=int, default=30)
    parser.add_argument("--max-tokens", type=int, default=100)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tessera-bench-") as folder:
        stack = Stack(Path(folder))
        try:
            timings = asyncio.run(bench(stack, num_jobs=arguments.jobs, max_tokens=arguments.max_tokens))
        finally:
            stack.stop()
    print(report(timings))


if __name__ == "__main__":
    main()
