"""Picture files of strangers, cleaned: bytes in, a fresh PNG out, or why not. `picture_reader.py` does the work.

No row and no storage here.
"""

import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

from webapp.errors import AppError

MAX_BYTES = 20_000_000
TIMEOUT_S = 20.0
MAX_READERS = 2
TAKEN = "a PNG, JPEG, WebP, GIF or AVIF of at most 20 MB, 50 million pixels and 16,384 px a side, not animated"

_readers = threading.BoundedSemaphore(MAX_READERS)


@dataclass(frozen=True, slots=True)
class CleanPicture:
    """A picture without a past: RGBA with straight alpha, upright, sRGB, as PNG."""

    png: bytes = field(repr=False)
    width_px: int
    height_px: int


def clean(data: bytes, *, field_name: str = "file") -> CleanPicture:
    """Read one picture at arm's length and encode its pixels anew, shrunk to at most 1,024 px a side.

    Args:
        field_name: what the caller calls this file; errors name it.

    Raises:
        AppError: picture_unreadable, picture_too_large, picture_animated, pictures_busy.
    """
    check_num_bytes(len(data), field_name)
    if not data:
        raise _refused(field_name, "picture_unreadable", "the file is empty", 0)
    if not _readers.acquire(timeout=TIMEOUT_S):
        message = "Too many pictures are being read at once. Try again in a few seconds."
        raise AppError("pictures_busy", 503, message, headers={"Retry-After": "5"})
    try:
        answer = _read(data)
    finally:
        _readers.release()
    head, _, png = answer.partition(b"\n")
    if not head:  # killed by its limits, or by a decoder that crashed
        reason = "reading it took more time or memory than one picture may take"
        raise _refused(field_name, "picture_unreadable", reason, len(data))
    told = json.loads(head)
    if "code" in told:
        raise _refused(field_name, told["code"], told["reason"], len(data))
    return CleanPicture(png, told["width_px"], told["height_px"])


def check_num_bytes(num_bytes: int, field_name: str) -> None:
    """Refuse a file by its size alone, before it is read.

    Raises:
        AppError: picture_too_large.
    """
    if num_bytes > MAX_BYTES:
        raise _refused(field_name, "picture_too_large", f"it has {num_bytes:,} bytes", num_bytes)


def _read(data: bytes) -> bytes:
    """What the reader says; nothing when it came to no good end."""
    command = [sys.executable, "-I", str(Path(__file__).with_name("picture_reader.py"))]
    try:
        done = subprocess.run(
            command,
            input=data,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.defpath},
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return b""
    return done.stdout if done.returncode == 0 else b""


def _refused(field_name: str, code: str, reason: str, num_bytes: int) -> AppError:
    status = 413 if code == "picture_too_large" else 422
    problem = {
        "field": field_name,
        "code": code,
        "message": reason,
        "value": f"{num_bytes:,} bytes",
        "allowed": TAKEN,
    }
    return AppError(code, status, f"This picture cannot be taken: {reason}.", problems=[problem])
