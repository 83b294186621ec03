"""The compiled part of the nets: `native/*.cpp`, built for this machine's processor when it is first needed.

`python -m genworkers.nets.native_library` builds it ahead. Without a compiler there is none, and nets run on torch.
"""

import ctypes
import fcntl
import hashlib
import logging
import platform
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

log = logging.getLogger(__name__)

SOURCES = Path(__file__).parent / "native"
FLAGS = ("-std=c++20", "-O3", "-march=native", "-shared", "-fPIC", "-pthread")


class Sizes(ctypes.Structure):
    """`TesseraSizes` of native/decoder.h."""

    _fields_ = [
        *(
            (name, ctypes.c_int32)
            for name in (
                "vocab_size",
                "context_tokens",
                "width",
                "num_layers",
                "num_heads",
                "num_kv_heads",
                "head_width",
                "mlp_width",
                "has_layer_norm",
                "has_rope",
                "activation",
                "qk_norm",
                "is_tied",
                "has_embed_norm",
                "num_blocks",
                "block_tokens",
                "storage",
                "num_threads",
            )
        ),
        ("norm_eps", ctypes.c_float),
        ("logit_cap", ctypes.c_float),
    ]


class Rows(ctypes.Structure):
    """`TesseraRows` of native/decoder.h; the pointers are addresses."""

    _fields_ = [
        ("num_rows", ctypes.c_int32),
        ("num_wanted", ctypes.c_int32),
        *((name, ctypes.c_void_p) for name in ("ids", "positions", "tables", "blocks", "adapters", "wanted", "logits")),
    ]


class NativeUnavailableError(RuntimeError):
    """The compiled part cannot be had on this machine; the message says why."""


@cache
def load(folder: Path = SOURCES / "build") -> ctypes.CDLL:
    """The library, compiled if it was not yet.

    Args:
        folder: where compiled libraries are kept, one for each kind of processor and version of the source.

    Raises:
        NativeUnavailableError: there is no compiler, or it failed.
    """
    return _declared(ctypes.CDLL(str(build(folder))))


def is_available() -> bool:
    """Whether `load` succeeds; the first time that it does not, the log says why."""
    return not _reason()


def build(folder: Path = SOURCES / "build") -> Path:
    """Compile the library for this processor unless that was done before.

    Returns:
        The library's file.

    Raises:
        NativeUnavailableError: there is no compiler, it failed, or the folder cannot be written.
    """
    path = folder / f"tessera-{_fingerprint()}.so"
    if path.exists():
        return path
    compiler = shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        raise NativeUnavailableError("no C++ compiler was found (g++ or c++)")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # of several workers that start together one compiles
            if not path.exists():
                _compile(compiler, path)
    except OSError as error:
        raise NativeUnavailableError(f"the folder {folder} cannot be written: {error}") from error
    return path


def read_bandwidth(num_threads: int, num_bytes: int = 2**29, rounds: int = 5) -> float:
    """Bytes a second that so many threads read together from memory of this size: the best of some rounds.

    Raises:
        NativeUnavailableError: there is no library.
        MemoryError: there is not that much memory.
    """
    bandwidth = float(load().tessera_read_bandwidth(num_threads, num_bytes, rounds))
    if bandwidth < 0:
        raise MemoryError(f"no memory for {num_bytes} bytes")
    return bandwidth


@cache
def _reason() -> str:
    try:
        load()
    except NativeUnavailableError as error:
        log.warning("Nets run on torch, several times slower, because the native library is missing: %s", error)
        return str(error)
    return ""


def _compile(compiler: str, path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        half_done = Path(folder) / path.name
        command = [compiler, *FLAGS, *map(str, sorted(SOURCES.glob("*.cpp"))), "-o", str(half_done)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NativeUnavailableError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
        half_done.replace(path)


def _fingerprint() -> str:
    """Of everything that the compiled file depends on."""
    digest = hashlib.sha256(" ".join((*FLAGS, platform.machine())).encode())
    for source in sorted([*SOURCES.glob("*.cpp"), *SOURCES.glob("*.h")]):
        digest.update(source.name.encode() + source.read_bytes())
    processor = Path("/proc/cpuinfo")
    if processor.exists():
        features = [line for line in processor.read_text().splitlines() if line.startswith(("flags", "Features"))]
        digest.update("".join(features[:1]).encode())
    return digest.hexdigest()[:16]


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    """Say what the functions take and give (native/library.cpp)."""
    pointer, integer = ctypes.c_void_p, ctypes.c_int
    signatures: dict[str, tuple[object, list[object]]] = {
        "tessera_new": (pointer, [ctypes.POINTER(Sizes), pointer, pointer]),
        "tessera_free": (None, [pointer]),
        "tessera_set": (integer, [pointer, ctypes.c_char_p, pointer, integer, integer, integer]),
        "tessera_add_adapter": (integer, [pointer]),
        "tessera_set_adapter": (
            integer,
            [pointer, integer, ctypes.c_char_p, pointer, pointer, integer, integer, integer, ctypes.c_float],
        ),
        "tessera_weights_bytes": (ctypes.c_int64, [pointer]),
        "tessera_cache_bytes": (ctypes.c_int64, [pointer]),
        "tessera_read": (None, [pointer, ctypes.POINTER(Rows)]),
        "tessera_read_bandwidth": (ctypes.c_double, [integer, ctypes.c_int64, integer]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{build()}\n")
    except NativeUnavailableError as error:
        sys.exit(f"Nets will run on torch: {error}")
