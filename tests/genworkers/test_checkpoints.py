"""Checkpoint folders: what is saved is what is loaded, and every kind of damage is named."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from genworkers.checkpoints import (
    MANIFEST,
    CheckpointError,
    CheckpointFacts,
    fill_net,
    load_manifest,
    load_tensors,
    read_part,
    save,
)

FACTS = CheckpointFacts(
    name="tiny", kind="text", family="decoder", title="Tiny", config={"width": 3}, licences=["CC0"], context_tokens=8
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A saved checkpoint with one weight part and one other part."""
    folder = tmp_path / "tiny"
    torch.manual_seed(0)
    save(
        folder,
        FACTS,
        weights={"net": nn.Linear(3, 2).state_dict()},
        other_parts={"words": ("words.json", b"[]")},
        card="# Tiny\n",
    )
    return folder


def test_what_was_saved_is_loaded(folder: Path) -> None:
    manifest = load_manifest(folder)
    tensors = load_tensors(folder, manifest, "net")
    net = nn.Linear(3, 2)
    fill_net(net, tensors, path=folder)
    torch.manual_seed(0)
    torch.testing.assert_close(net.weight, nn.Linear(3, 2).weight, atol=4e-3, rtol=0)
    assert (manifest.num_parameters, manifest.config, len(manifest.sha256)) == (8, {"width": 3}, 64)
    assert read_part(folder, manifest, "words") == b"[]"
    assert not net.training


def test_missing_manifest_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"manifest\.json: missing"):
        load_manifest(tmp_path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text[:40], "JSON"),
        (lambda text: text.replace('"kind": "text"', '"kind": "smell"'), "kind"),
        (lambda text: text.replace('"name": "tiny"', '"name": "other"'), "lies in the folder 'tiny'"),
        (lambda text: text.replace('"words.json"', '"../words.json"'), "outside the folder"),
    ],
)
def test_broken_manifest_is_refused(folder: Path, change: object, reason: str) -> None:
    assert callable(change)
    path = folder / MANIFEST
    path.write_text(change(path.read_text()))
    with pytest.raises(CheckpointError, match=reason):
        read_part(folder, load_manifest(folder), "words")


def test_changed_hash_in_the_manifest_is_noticed(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"]["net"]["sha256"] = "0" * 64
    (folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match="does not belong to the files"):
        load_manifest(folder)


def test_missing_truncated_and_changed_weights_are_told_apart(folder: Path) -> None:
    manifest = load_manifest(folder)
    path = folder / "net.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(CheckpointError, match=f"has {len(whole) - 1} bytes, expected {len(whole)}"):
        load_tensors(folder, manifest, "net")
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(CheckpointError, match="sha256 is"):
        load_tensors(folder, manifest, "net")
    path.unlink()
    with pytest.raises(CheckpointError, match=r"net\.safetensors: missing"):
        load_tensors(folder, manifest, "net")
    with pytest.raises(CheckpointError, match="lists no part 'sound'"):
        load_tensors(folder, manifest, "sound")


def test_a_file_that_is_not_safetensors_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    manifest = save(folder, FACTS, weights={}, other_parts={"net": ("net.safetensors", b"\x80\x04 a pickle")}, card="")
    with pytest.raises(CheckpointError, match="is no safetensors file"):
        load_tensors(folder, manifest, "net")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_numbers_are_refused(tmp_path: Path, value: float) -> None:
    folder = tmp_path / "tiny"
    manifest = save(folder, FACTS, weights={"net": {"w": torch.tensor([1.0, value])}}, other_parts={}, card="")
    with pytest.raises(CheckpointError, match="'w' holds NaN or infinity"):
        load_tensors(folder, manifest, "net")


def test_tensors_must_fit_the_net(folder: Path) -> None:
    tensors = load_tensors(folder, load_manifest(folder), "net")
    with pytest.raises(CheckpointError, match="has shape"):
        fill_net(nn.Linear(3, 5), tensors | {"bias": torch.zeros(5)}, path=folder)
    with pytest.raises(CheckpointError, match=r"missing \['bias'\]"):
        fill_net(nn.Linear(3, 2), {"weight": tensors["weight"]}, path=folder)
    with pytest.raises(CheckpointError, match=r"unknown \['extra'\]"):
        fill_net(nn.Linear(3, 2), tensors | {"extra": torch.zeros(1)}, path=folder)
