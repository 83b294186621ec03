"""Checkpoints on disk: a folder with `manifest.json`, `card.md` and one file per part of the net.

Weights are safetensors, never pickle. A part that is not weights (a tokenizer's vocabulary) is listed
and checked the same way. Start at `load_manifest`; `save` writes what it reads.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from genworkers.codecs.safetensors_file import (
    SafetensorsError,
    SafetensorsFile,
    TensorSpec,
    specs_of,
    write_safetensors,
)
from genworkers.contract.base import Kind
from genworkers.contract.manifests import NetManifest

MANIFEST = "manifest.json"
CARD = "card.md"
NET_PART = "net"
TOKENIZER_PART = "tokenizer"


class CheckpointError(Exception):
    """A checkpoint that cannot be used; the message names the file, the reason and the way out."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


@dataclass(frozen=True, slots=True)
class CheckpointFacts:
    """What a manifest says besides its files.

    Args:
        name: the folder's name and the net's name in requests.
        family: which engine code serves it, for example "decoder".
        config: keyword arguments of the net's config class (one dict per part if there are several).
        notice: what a licence wants shown wherever the net is named.
        source: where an imported net comes from and the sha256 of each of its files; free form.
        training: data, steps, time, losses; free form.
        limits: what the net cannot do, in sentences.
    """

    name: str
    kind: Kind
    family: str
    title: str
    config: dict[str, Any]
    notice: str = ""
    context_tokens: int = 0
    styles: dict[str, str] = field(default_factory=dict)
    directions: dict[str, str] = field(default_factory=dict)
    licences: list[str] = field(default_factory=list)
    training: dict[str, Any] = field(default_factory=dict)
    limits: list[str] = field(default_factory=list)
    source: dict[str, Any] = field(default_factory=dict)


def load_manifest(folder: Path) -> NetManifest:
    """What the folder holds, without reading the weights.

    Raises:
        CheckpointError: the manifest is missing, is not JSON, lacks a field, or names another folder.
    """
    path = folder / MANIFEST
    try:
        manifest = NetManifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise CheckpointError(path, "missing; a net is a folder with a manifest.json") from None
    except OSError as error:
        raise CheckpointError(path, f"cannot be read ({error.strerror})") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise CheckpointError(path, f"{'.'.join(map(str, first['loc'])) or 'content'}: {first['msg']}") from error
    if manifest.name != folder.resolve().name:
        raise CheckpointError(path, f"is of the net {manifest.name!r} but lies in the folder {folder.name!r}")
    if manifest.sha256 != combined_sha256(manifest.files):
        raise CheckpointError(path, "sha256 does not belong to the files that it lists")
    return manifest


def part_path(folder: Path, manifest: NetManifest, part: str) -> Path:
    """The file of one part, after checking that it is the one the manifest names.

    Raises:
        CheckpointError: the part is not listed, or its file is missing, truncated or changed.
    """
    entry = manifest.files.get(part)
    if entry is None:
        raise CheckpointError(folder / MANIFEST, f"lists no part {part!r}; it has {sorted(manifest.files)}")
    path = folder / str(entry["path"])
    if path.resolve().parent != folder.resolve():
        raise CheckpointError(folder / MANIFEST, f"part {part!r} lies outside the folder: {entry['path']!r}")
    try:
        num_bytes = path.stat().st_size
        if num_bytes != entry["num_bytes"]:
            raise CheckpointError(path, f"has {num_bytes} bytes, expected {entry['num_bytes']}; fetch it again")
        found = sha256_of(path)
    except FileNotFoundError:
        raise CheckpointError(path, f"missing; the manifest lists it as part {part!r}") from None
    except OSError as error:
        raise CheckpointError(path, f"cannot be read ({error.strerror})") from error
    if found != entry["sha256"]:
        raise CheckpointError(path, f"sha256 is {found}, expected {entry['sha256']}; fetch it again")
    return path


def read_part(folder: Path, manifest: NetManifest, part: str) -> bytes:
    """Bytes of one part.

    Raises:
        CheckpointError: as `part_path`.
    """
    return part_path(folder, manifest, part).read_bytes()


def iter_tensors(folder: Path, manifest: NetManifest, part: str) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors of one part as they are stored, one at a time, on the CPU.

    Raises:
        CheckpointError: as `part_path`; or the file is no safetensors file, or a value is not finite.
    """
    path = part_path(folder, manifest, part)
    try:
        file = SafetensorsFile(path)
        for name in file.specs:
            tensor = file.read(name)
            require_finite(tensor, name, path)
            yield name, tensor
    except SafetensorsError as error:
        raise CheckpointError(path, str(error)) from error


def load_tensors(folder: Path, manifest: NetManifest, part: str) -> dict[str, Tensor]:
    """The tensors of one part, on the CPU, floating ones as float32.

    Raises:
        CheckpointError: as `iter_tensors`.
    """
    return {
        name: tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in iter_tensors(folder, manifest, part)
    }


def require_finite(tensor: Tensor, name: str, path: Path) -> None:
    """Raise a CheckpointError that names the file and the tensor if any value is NaN or infinite."""
    if not tensor.is_floating_point():
        return
    # A sum that is finite has finite terms, and takes one pass; a sum may also overflow where every term is sound.
    if bool(tensor.sum(dtype=torch.float32).isfinite()):
        return
    if not bool(torch.isfinite(tensor).all()):
        raise CheckpointError(path, f"tensor {name!r} holds NaN or infinity; the training run went wrong")


def fill_net(net: nn.Module, tensors: Mapping[str, Tensor], *, path: Path) -> None:
    """Put the tensors into the net, whose own may be on the meta device, and switch it to evaluation.

    Args:
        path: the file the tensors came from, for the message.

    Raises:
        CheckpointError: a tensor is missing, unknown or of another shape.
    """
    wanted = net.state_dict()
    missing, unknown = sorted(wanted.keys() - tensors.keys()), sorted(tensors.keys() - wanted.keys())
    if missing or unknown:
        raise CheckpointError(path, f"does not fit the net: missing {missing[:3]}, unknown {unknown[:3]}")
    for name, tensor in tensors.items():
        if tensor.shape != wanted[name].shape:
            raise CheckpointError(
                path, f"tensor {name!r} has shape {tuple(tensor.shape)}, expected {tuple(wanted[name].shape)}"
            )
    net.load_state_dict(dict(tensors), assign=True)
    net.eval()


@dataclass(frozen=True, slots=True)
class TensorStream:
    """Tensors that are made one at a time while they are saved.

    Args:
        specs: what they will be, in order.
        tensors: each with its name.
    """

    specs: Mapping[str, TensorSpec]
    tensors: Iterator[tuple[str, Tensor]]


def save(
    folder: Path,
    facts: CheckpointFacts,
    *,
    weights: Mapping[str, Mapping[str, Tensor] | TensorStream],
    other_parts: Mapping[str, tuple[str, bytes]],
    card: str,
) -> NetManifest:
    """Write a checkpoint folder; the manifest comes last, so an interrupted save is never taken for whole.

    Args:
        folder: its last name must be `facts.name`; made if missing.
        weights: part name to tensors for `PART.safetensors`. Floating tensors are stored as bfloat16, those of a
            stream as they are.
        other_parts: part name to (file name, content).
        card: the text of `card.md`.

    Returns:
        The manifest as written.
    """
    if folder.name != facts.name:
        raise ValueError(f"folder must be named {facts.name!r}, got {folder.name!r}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    files: dict[str, dict[str, Any]] = {}
    num_parameters = 0
    for part, tensors in weights.items():
        stream = tensors if isinstance(tensors, TensorStream) else _as_bfloat16(tensors)
        num_parameters += sum(math.prod(spec.shape) for spec in stream.specs.values())
        path = folder / f"{part}.safetensors"
        write_safetensors(path, stream.specs, stream.tensors)
        files[part] = _entry(path)
    for part, (file_name, content) in other_parts.items():
        (folder / file_name).write_bytes(content)
        files[part] = _entry(folder / file_name)
    (folder / CARD).write_text(card, encoding="utf-8")
    manifest = {
        "name": facts.name,
        "kind": facts.kind,
        "family": facts.family,
        "title": facts.title,
        "notice": facts.notice,
        "num_parameters": num_parameters,
        "sha256": combined_sha256(files),
        "config": facts.config,
        "context_tokens": facts.context_tokens,
        "styles": facts.styles,
        "directions": facts.directions,
        "files": files,
        "licences": facts.licences,
        "training": facts.training,
        "limits": facts.limits,
        "source": facts.source,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return load_manifest(folder)


def combined_sha256(files: Mapping[str, Mapping[str, Any]]) -> str:
    """One name for all parts together: the sha256 of their sorted `part sha256` lines."""
    lines = "".join(f"{part} {files[part].get('sha256')}\n" for part in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


def sha256_of(path: Path) -> str:
    """Hex digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _entry(path: Path) -> dict[str, Any]:
    return {"path": path.name, "sha256": sha256_of(path), "num_bytes": path.stat().st_size}


def _as_bfloat16(tensors: Mapping[str, Tensor]) -> TensorStream:
    stored = {
        name: tensor.detach().to(torch.bfloat16) if tensor.is_floating_point() else tensor.detach()
        for name, tensor in tensors.items()
    }
    return TensorStream(specs_of(stored), iter(stored.items()))
