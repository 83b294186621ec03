"""Keeps one service alive: `python -m scripts.keep granian ...` starts it again when it dies.

honcho ends everything when one process ends; this stands between, so that a killed worker comes back (docs/adr/0004).
It stops with its child on SIGTERM or SIGINT, when `make up` itself is gone, and when the child cannot stay up.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time

GRACE_S = 4.0  # honcho kills whoever is left after five
LONG_ENOUGH_S = 20.0
MAX_QUICK_DEATHS = 5
POLL_S = 0.1


def is_parent_gone() -> bool:
    """Whether the `make up` that started us was killed without a chance to stop us."""
    pid = int(os.environ.get("KEEP_WHILE_PID", "0"))
    if pid == 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def end(child: subprocess.Popen[bytes]) -> None:
    """Ask the child to stop, then end whatever is left of its process group."""
    with contextlib.suppress(ProcessLookupError):
        child.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(timeout=GRACE_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def main() -> int:
    """Run the command until we are told to stop; returns the exit status."""
    told_to_stop = False

    def note(signum: int, frame: object) -> None:
        nonlocal told_to_stop
        told_to_stop = True

    signal.signal(signal.SIGTERM, note)
    signal.signal(signal.SIGINT, note)
    num_quick_deaths = 0
    while not told_to_stop:
        started_at = time.monotonic()
        child = subprocess.Popen(sys.argv[1:], start_new_session=True)
        while child.poll() is None and not told_to_stop:
            time.sleep(POLL_S)
            told_to_stop |= is_parent_gone()
        end(child)
        if told_to_stop:
            break
        num_quick_deaths = num_quick_deaths + 1 if time.monotonic() - started_at < LONG_ENOUGH_S else 1
        print(f"{sys.argv[1]} ended with status {child.returncode}", flush=True)
        if num_quick_deaths >= MAX_QUICK_DEATHS:
            print(f"{sys.argv[1]} does not stay up: giving up", flush=True)
            return 1
        time.sleep(0.5 * 2 ** (num_quick_deaths - 1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
