"""Adds a LoRA adapter to a net: checked against the net's shapes and weights, then put beside its other adapters."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import ValidationError
from torch import nn

from genworkers.checkpoints import CheckpointError, require_finite, sha256_of
from genworkers.codecs.safetensors_file import SafetensorsError, SafetensorsFile
from genworkers.contract.manifests import AdapterManifest
from genworkers.importing.add_net import NAME_PATTERN, incoming
from genworkers.importing.source_folder import SourceFolder
from genworkers.nets.decoder import Decoder
from genworkers.text_checkpoints import TextCheckpoint, open_text_checkpoint

ADAPTER_MANIFEST = "adapter.json"
ADAPTER_WEIGHTS = "adapter.safetensors"
SUFFIXES = (".lora_A", ".lora_B")


@dataclass(frozen=True, slots=True)
class AddedAdapter:
    """What was added."""

    folder: Path
    manifest: AdapterManifest


def read_adapter_manifest(source: SourceFolder) -> AdapterManifest:
    """What the folder says it holds.

    Raises:
        CheckpointError: adapter.json is missing or broken.
    """
    path = source.path / ADAPTER_MANIFEST
    content = source.content(ADAPTER_MANIFEST)
    if content is None:
        raise CheckpointError(path, "missing")
    try:
        return AdapterManifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        raise CheckpointError(path, f"{'.'.join(map(str, first['loc'])) or 'content'}: {first['msg']}") from error


def add_adapter(
    source: Path, base: Path, adapters_dir: Path, name: str, title: str = "", *, may_replace: bool = False
) -> AddedAdapter:
    """Check an adapter folder as `train_lora` writes it, and copy it to `adapters_dir/BASE/NAME`.

    Args:
        base: the folder of the net it belongs to.
        name: of the adapter in requests; "" takes the one in adapter.json.
        title: for people; "" takes the one in adapter.json, else the name.

    Raises:
        CheckpointError: the adapter is broken, or was not trained on this net; the message names the file.
        ValueError: the name is not one, or taken.
    """
    folder = SourceFolder(source)
    manifest = read_adapter_manifest(folder)
    name = name or manifest.name
    if not NAME_PATTERN.fullmatch(name):
        raise ValueError(f"name must be small letters, digits, '.', '_' and '-', at most 100, got {name!r}")
    checkpoint = open_text_checkpoint(base)
    target = adapters_dir / checkpoint.manifest.name / name
    if target.exists() and not may_replace:
        raise ValueError(f"{checkpoint.manifest.name} has an adapter {name!r} already; give --name or --replace")
    weights = _checked(folder, manifest, checkpoint)
    with incoming(adapters_dir) as room:
        made = room / name
        made.mkdir()
        shutil.copyfile(weights, made / ADAPTER_WEIGHTS)
        facts = {"name": name, "title": title or manifest.title or name, "base": checkpoint.manifest.name}
        stored = (folder.json(ADAPTER_MANIFEST) or {}) | facts
        content = json.dumps(stored, indent=2, ensure_ascii=False) + "\n"
        (made / ADAPTER_MANIFEST).write_text(content, encoding="utf-8")
        target.parent.mkdir(exist_ok=True)
        if target.exists():
            target.rename(room / "replaced")
        made.rename(target)
    return AddedAdapter(target, manifest.model_copy(update=facts))


def remove_adapter(adapters_dir: Path, net: str, name: str) -> None:
    """Take an adapter away.

    Raises:
        ValueError: the net has none of that name.
    """
    folder = adapters_dir / net / name
    if not (NAME_PATTERN.fullmatch(net) and NAME_PATTERN.fullmatch(name) and folder.is_dir()):
        raise ValueError(f"{net!r} has no adapter {name!r}")
    with incoming(adapters_dir) as room:
        folder.rename(room / name)


def _checked(folder: SourceFolder, manifest: AdapterManifest, base: TextCheckpoint) -> Path:
    """The adapter's weights, after every check."""
    said = folder.path / ADAPTER_MANIFEST
    if manifest.base_sha256 != base.manifest.sha256:
        raise CheckpointError(
            said,
            f"was trained on other weights of {manifest.base!r} (sha256 {manifest.base_sha256[:12]}..., here "
            f"{base.manifest.sha256[:12]}...); train it again on this net",
        )
    path = folder.file(ADAPTER_WEIGHTS)
    if path is None:
        raise CheckpointError(folder.path / ADAPTER_WEIGHTS, "missing")
    if (found := sha256_of(path)) != manifest.sha256:
        raise CheckpointError(path, f"sha256 is {found}, adapter.json says {manifest.sha256}; copy it again")
    try:
        file = SafetensorsFile(path)
        shapes = _shapes(base, manifest.rank)
        for name, spec in file.specs.items():
            if name not in shapes:
                raise CheckpointError(path, f"tensor {name!r} belongs to no linear layer of {base.manifest.name!r}")
            if spec.shape != shapes[name]:
                raise CheckpointError(
                    path, f"tensor {name!r} has shape {spec.shape}, rank and net make it {shapes[name]}"
                )
            require_finite(file.read(name), name, path)
    except SafetensorsError as error:
        raise CheckpointError(path, str(error)) from error
    for target in manifest.targets:
        lacking = [target + suffix for suffix in SUFFIXES if target + suffix not in file.specs]
        if lacking:
            raise CheckpointError(path, f"lacks the tensors {lacking} of a target that adapter.json names")
    if len(file.specs) != 2 * len(manifest.targets):
        raise CheckpointError(
            path, f"has {len(file.specs)} tensors for {len(manifest.targets)} targets, expected two each"
        )
    return path


def _shapes(base: TextCheckpoint, rank: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes that an adapter of this rank may have."""
    with torch.device("meta"):
        net = Decoder(base.config)
    shapes: dict[str, tuple[int, ...]] = {}
    for name, module in net.blocks.named_modules(prefix="blocks"):
        if isinstance(module, nn.Linear):
            shapes[f"{name}.lora_A"] = (rank, module.in_features)
            shapes[f"{name}.lora_B"] = (module.out_features, rank)
    return shapes
