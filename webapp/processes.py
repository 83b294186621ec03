"""Runs a program of ours on a stranger's bytes in a process of its own: bytes in, bytes out, and it can be stopped."""

import os
import subprocess
import sys
import threading

from webapp.env import BASE_DIR
from webapp.errors import AppError

TIMEOUT_S = 25.0
WAIT_S = 10.0
# How many programs run at once for members; and for anybody, who must not keep members waiting.
MEMBERS, ANYBODY = threading.BoundedSemaphore(2), threading.BoundedSemaphore(1)


def answer_of(module: str, data: bytes, *arguments: str, places: threading.Semaphore = MEMBERS) -> bytes:
    """What the program writes for these bytes; nothing when it crashed or hit a limit of time or memory.

    Args:
        module: its name; it reads standard input, writes standard output and bounds its own memory and time.
        places: one of them is waited for and taken.

    Raises:
        AppError: pictures_busy.
    """
    if not places.acquire(timeout=WAIT_S):
        message = "Too many files are being read at once. Try again in a few seconds."
        raise AppError("pictures_busy", 503, message, headers={"Retry-After": "5"})
    try:
        done = subprocess.run(
            [sys.executable, "-E", "-s", "-m", module, *arguments],
            cwd=BASE_DIR,
            input=data,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.defpath},
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return b""
    finally:
        places.release()
    return done.stdout if done.returncode == 0 else b""
