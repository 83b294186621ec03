"""A worker is killed in the middle of a job: the job ends succeeded, once, and its watcher can tell."""

import json
import time
from typing import Any

import httpx
import pytest

from scripts.own_stack import Stack
from tests.processes import wait_for, worker_of

pytestmark = [pytest.mark.stack, pytest.mark.slow]

# The lease of the stack, the reaper's period, the worker's return and one run of the job, with room for a busy machine.
DONE_WITHIN_S = 120.0
WISHES: dict[str, dict[str, Any]] = {
    "text": {"kind": "text", "prompt": "Write a story about a lighthouse.", "max_tokens": 400, "temperature": 1.0},
    "image": {"kind": "image", "prompt": "a cat", "num_steps": 32, "num_images": 4},
}


@pytest.fixture(scope="module")
def client(live_stack: Stack) -> httpx.Client:
    key = live_stack.manage("create_api_key", "--workspace", "studio", "--name", "loss", "--scopes", "read,generate")
    headers = {"Authorization": f"Bearer {key.split()[-1]}"}
    return httpx.Client(base_url=f"{live_stack.url}/api/v1", headers=headers, timeout=30)


@pytest.mark.parametrize("kind", ["text", "image"])
def test_the_job_of_a_killed_worker_succeeds_with_one_set_of_artifacts(
    kind: str, live_stack: Stack, client: httpx.Client
) -> None:
    job_id = client.post("/jobs", json=WISHES[kind]).raise_for_status().json()["id"]

    def state() -> dict[str, Any]:
        answer: dict[str, Any] = client.get(f"/jobs/{job_id}").raise_for_status().json()
        return answer

    wait_for(lambda: (state()["progress"] or {}).get("step", 0) >= 1)
    worker_of(live_stack, kind).kill()
    assert state()["status"] == "running"
    killed_at = time.monotonic()
    wait_for(lambda: state()["finished_at"] is not None, timeout_s=DONE_WITHIN_S)
    ended = state()
    print(f"{kind}: succeeded {time.monotonic() - killed_at:.1f} s after the kill, attempt {ended['attempt']}")
    assert (ended["status"], ended["attempt"]) == ("succeeded", 2)
    assert len(ended["artifacts"]) == WISHES[kind].get("num_images", 1)

    lines = client.get(f"/jobs/{job_id}/events").text.splitlines()
    seqs = [int(line.removeprefix("id:")) for line in lines if line.startswith("id:")]
    assert seqs == list(range(1, len(seqs) + 1))
    kinds = [json.loads(line.removeprefix("data:"))["kind"] for line in lines if line.startswith("data:")]
    assert kinds.count("started") == 2
    assert kinds.count("stored") == len(ended["artifacts"])
    assert kinds[-1] == "succeeded"
