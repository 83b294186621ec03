"""Safetensors files, read and written one tensor at a time; nothing in a header is believed before it is checked.

The format: a little-endian u64 with the length of the header, the header (JSON: name to dtype, shape and the
begin and end of its bytes), then the bytes of all tensors without gaps.
"""

import json
import math
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

MAX_HEADER_BYTES = 50_000_000
MAX_DIMENSIONS = 8
DTYPES = {
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F64": torch.float64,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
NAME_OF_DTYPE = {dtype: name for name, dtype in DTYPES.items()}


class SafetensorsError(ValueError):
    """A file that is no sound safetensors file; the message says why."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """What a header says about one tensor."""

    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def num_bytes(self) -> int:
        """What it takes in the file."""
        return math.prod(self.shape) * self.dtype.itemsize


class SafetensorsFile:
    """The header of a file, checked, and its tensors on demand. Nothing larger than one tensor is in memory.

    Args:
        path: the file.

    Raises:
        SafetensorsError: the file is truncated, or its header is too long, not JSON, or says what cannot be.
        OSError: the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        num_bytes = path.stat().st_size
        if num_bytes < 8:
            raise SafetensorsError(f"is no safetensors file: it has {num_bytes} bytes")
        with path.open("rb") as file:
            (num_header_bytes,) = struct.unpack("<Q", file.read(8))
            if num_header_bytes > num_bytes - 8:
                raise SafetensorsError(
                    f"is no safetensors file, or a truncated one: {num_header_bytes} bytes of header are announced, "
                    f"the file has {num_bytes}"
                )
            if num_header_bytes > MAX_HEADER_BYTES:
                raise SafetensorsError(f"has a header of {num_header_bytes} bytes, at most {MAX_HEADER_BYTES} are read")
            header = file.read(num_header_bytes)
        self._data_start = 8 + num_header_bytes
        self.specs, self._begin_of = _read_header(header, num_bytes - self._data_start)

    def read(self, name: str) -> Tensor:
        """One tensor, as it is stored.

        Raises:
            SafetensorsError: there are fewer bytes than a moment ago.
        """
        spec = self.specs[name]
        content = bytearray(spec.num_bytes)
        with self.path.open("rb") as file:
            file.seek(self._data_start + self._begin_of[name])
            if file.readinto(content) != len(content):
                raise SafetensorsError(f"ends before the tensor {name!r} does")
        if not content:
            return torch.empty(spec.shape, dtype=spec.dtype)
        return torch.frombuffer(content, dtype=spec.dtype).view(spec.shape)


def _read_header(content: bytes, num_data_bytes: int) -> tuple[dict[str, TensorSpec], dict[str, int]]:
    """Specs and first bytes of all tensors, which must cover the data without gap or overlap."""
    try:
        header = json.loads(content, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise SafetensorsError(f"is no safetensors file: its header is not JSON ({str(error)[:200]})") from error
    if not isinstance(header, dict):
        raise SafetensorsError("is no safetensors file: its header is not an object")
    header.pop("__metadata__", None)
    specs: dict[str, TensorSpec] = {}
    spans: list[tuple[int, int, str]] = []
    for name, entry in header.items():
        spec, (begin, end) = _read_entry(name, entry)
        if end > num_data_bytes:
            raise SafetensorsError(
                f"is truncated: tensor {name!r} should end at byte {end} of the data, which has {num_data_bytes}"
            )
        if end - begin != spec.num_bytes:
            raise SafetensorsError(
                f"lies about tensor {name!r}: {spec.dtype} of shape {spec.shape} takes {spec.num_bytes} bytes, "
                f"its offsets give it {end - begin}"
            )
        specs[name] = spec
        spans.append((begin, end, name))
    reached = 0
    for begin, end, name in sorted(spans):
        if begin != reached:
            raise SafetensorsError(
                f"lies about tensor {name!r}: it starts at byte {begin} of the data, expected {reached}"
            )
        reached = end
    if reached != num_data_bytes:
        raise SafetensorsError(f"has {num_data_bytes} bytes of data, but its tensors take {reached}")
    return specs, {name: begin for begin, _, name in spans}


def _read_entry(name: str, entry: Any) -> tuple[TensorSpec, tuple[int, int]]:
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= entry.keys():
        raise SafetensorsError(f"has no dtype, shape and data_offsets for tensor {name!r}")
    dtype = DTYPES.get(str(entry["dtype"]))
    if dtype is None:
        raise SafetensorsError(f"tensor {name!r} is stored as {entry['dtype']!r}; known are {', '.join(DTYPES)}")
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not _are_sizes(shape) or len(shape) > MAX_DIMENSIONS:
        raise SafetensorsError(f"tensor {name!r} has the shape {str(shape)[:100]}")
    if not _are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise SafetensorsError(f"tensor {name!r} has the offsets {str(offsets)[:100]}")
    return TensorSpec(dtype, tuple(shape)), (offsets[0], offsets[1])


def _are_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**63 for value in values)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands in it twice")
    return found


def write_safetensors(path: Path, specs: Mapping[str, TensorSpec], tensors: Iterable[tuple[str, Tensor]]) -> None:
    """Write a file without holding more than one tensor.

    Args:
        specs: what will be written, in this order.
        tensors: the same names in the same order, of these dtypes and shapes.

    Raises:
        ValueError: a tensor is not the next one of `specs`.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    begin = 0
    for name, spec in specs.items():
        header[name] = {
            "dtype": NAME_OF_DTYPE[spec.dtype],
            "shape": list(spec.shape),
            "data_offsets": [begin, begin + spec.num_bytes],
        }
        begin += spec.num_bytes
    content = json.dumps(header, separators=(",", ":")).encode()
    content += b" " * (-len(content) % 8)  # aligns the data
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(content)) + content)
        remaining = iter(specs.items())
        for name, tensor in tensors:
            if next(remaining, None) != (name, TensorSpec(tensor.dtype, tuple(tensor.shape))):
                raise ValueError(f"tensor {name!r} {tensor.dtype} {tuple(tensor.shape)} is not the next one announced")
            file.write(_bytes_of(tensor))
        if (left_out := next(remaining, None)) is not None:
            raise ValueError(f"tensor {left_out[0]!r} was announced but not given")


def _bytes_of(tensor: Tensor) -> memoryview:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data if flat.numel() else memoryview(b"")


def specs_of(tensors: Mapping[str, Tensor]) -> dict[str, TensorSpec]:
    """What `write_safetensors` wants to know beforehand."""
    return {name: TensorSpec(tensor.dtype, tuple(tensor.shape)) for name, tensor in tensors.items()}
