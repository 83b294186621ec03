"""scripts/keep.py: a service that dies comes back, and nothing outlives the keeper."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

SERVICE = """
import pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
pathlib.Path(sys.argv[1]).write_text(f"{__import__('os').getpid()} {child.pid}")
time.sleep(60)
"""


def wait_for(is_true: Callable[[], bool], *, timeout_s: float = 15.0) -> None:
    until = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


class Kept:
    """A keeper, the service it keeps, and that service's own child."""

    def __init__(self, note: Path, **environment: str) -> None:
        self.note = note
        command = [sys.executable, "-m", "scripts.keep", sys.executable, "-c", SERVICE, str(note)]
        self.keeper = subprocess.Popen(command, env=os.environ | environment)

    def pids(self) -> list[int]:
        wait_for(lambda: self.note.exists() and len(self.note.read_text().split()) == 2)
        pids = [int(pid) for pid in self.note.read_text().split()]
        self.note.unlink()
        return pids


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    kept = Kept(tmp_path / "note")
    yield kept
    kept.keeper.terminate()
    kept.keeper.wait(timeout=10)


def test_a_killed_service_comes_back_and_its_children_are_cleared(kept: Kept) -> None:
    first, grandchild = kept.pids()
    os.kill(first, signal.SIGKILL)
    second, _ = kept.pids()
    assert second != first
    wait_for(lambda: not is_running(grandchild))


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_the_keeper_takes_everything_with_it(kept: Kept, signum: int) -> None:
    pids = kept.pids()
    kept.keeper.send_signal(signum)
    assert kept.keeper.wait(timeout=10) == 0
    wait_for(lambda: not any(is_running(pid) for pid in pids))


def test_services_end_when_make_up_was_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as make_up:
        kept = Kept(tmp_path / "note", KEEP_WHILE_PID=str(make_up.pid))
        pids = kept.pids()
        make_up.kill()
        make_up.wait()
        assert kept.keeper.wait(timeout=10) == 0
    wait_for(lambda: not any(is_running(pid) for pid in pids))


@pytest.mark.slow
def test_a_service_that_never_stays_up_is_given_up() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.keep", sys.executable, "-c", "raise SystemExit(3)"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "giving up" in done.stdout
