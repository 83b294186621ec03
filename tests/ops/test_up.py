"""`make up` as an operator meets it: it starts, survives a killed worker, and leaves nothing behind."""

import signal
import urllib.request
from pathlib import Path

import psutil
import pytest

from scripts import up
from scripts.own_stack import Stack
from tests.processes import processes_of, wait_for, worker_of, workers_of

pytestmark = [pytest.mark.stack, pytest.mark.slow]


def is_ready(stack: Stack) -> bool:
    with urllib.request.urlopen(f"{stack.url}/readyz", timeout=5) as answer:
        return bool(answer.status == 200)


def test_the_sign_in_link_works_once(live_stack: Stack) -> None:
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    link = live_stack.manage("bootstrap", "--link-only").strip()
    with opener.open(link, timeout=10) as page:
        assert page.status == 200
        assert "/accounts/login" not in page.url
    with urllib.request.urlopen(link, timeout=10) as page:
        assert "/accounts/login" in page.url


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_second_instance_stops_without_a_trace_and_without_the_first(
    live_stack: Stack, tmp_path: Path, signum: int
) -> None:
    second = Stack(tmp_path / "second")
    processes = processes_of(second)
    assert is_ready(second)
    assert len(processes) > 8
    assert second.stop(signum) == 0
    _, alive = psutil.wait_procs(processes, timeout=5)
    assert alive == []
    assert not (tmp_path / "second" / "redis" / "redis.sock").exists()
    assert is_ready(live_stack)


def test_a_killed_worker_comes_back(live_stack: Stack) -> None:
    first = worker_of(live_stack, "image")
    first.kill()
    first.wait(timeout=5)
    wait_for(lambda: workers_of(live_stack, "image") not in ([], [first]))
    assert is_ready(live_stack)


def test_the_data_directory_is_held_while_it_runs(live_stack: Stack) -> None:
    with pytest.raises(SystemExit, match="Another Tessera uses"):
        up.open_data_dir(live_stack.data_dir)
