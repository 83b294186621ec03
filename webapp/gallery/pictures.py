"""Picture files of strangers, cleaned: bytes in, a fresh PNG out, or why not. `picture_reader.py` does the work.

No row and no storage here.
"""

import json
from dataclasses import dataclass, field

from webapp import processes
from webapp.errors import AppError, problem

MAX_BYTES = 20_000_000
TAKEN = "a PNG, JPEG, WebP, GIF or AVIF of at most 20 MB, 50 million pixels and 16,384 px a side, not animated"


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
    answer = processes.answer_of("webapp.gallery.picture_reader", data)
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


def _refused(field_name: str, code: str, reason: str, num_bytes: int) -> AppError:
    status = 413 if code == "picture_too_large" else 422
    problems = [problem(field_name, code, reason, f"{num_bytes:,} bytes", TAKEN)]
    return AppError(code, status, f"This picture cannot be taken: {reason}.", problems=problems)
