"""A sound checkpoint becomes a net in the house's format, whole or not at all, and an adapter one of its adapters."""

import fcntl
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from genworkers.checkpoints import CARD, CheckpointError, sha256_of
from genworkers.codecs.safetensors_file import specs_of, write_safetensors
from genworkers.importing import hub
from genworkers.importing.add_adapter import add_adapter, remove_adapter
from genworkers.importing.add_net import add_net, name_from, remove_net
from genworkers.text_checkpoints import TextCheckpoint, load_decoder, open_text_checkpoint
from tests.genworkers.importing.plain_llama import CONFIG, tensors, write_json, write_llama


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A sound checkpoint."""
    return write_llama(tmp_path / "Tiny-Llama")


def test_a_net_is_added_with_its_facts_its_card_and_nothing_else(source: Path, tmp_path: Path) -> None:
    (source / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\n---\n# Tiny\nlicense: other\n")
    (source / "LICENSE").write_text("Do as you like.")
    write_json(source, "generation_config.json", {"eos_token_id": [2, 1, 9999]})
    added = add_net(source, tmp_path / "nets", "tiny", title="Tiny Llama")
    assert sorted(path.name for path in (tmp_path / "nets").iterdir()) == [".lock", "tiny"]
    assert sorted(path.name for path in added.folder.iterdir()) == [
        "card.md",
        "chat.json",
        "licence.txt",
        "manifest.json",
        "net.safetensors",
        "tokenizer.json",
    ]
    facts = added.manifest
    assert (facts.title, facts.licences, facts.context_tokens) == ("Tiny Llama", ["apache-2.0"], 64)
    assert facts.source["folder"] == "Tiny-Llama"
    assert facts.source["files"]["model.safetensors"] == sha256_of(source / "model.safetensors")
    card = (added.folder / CARD).read_text()
    assert "| Licence | apache-2.0 |" in card
    assert facts.source["files"]["config.json"] in card
    checkpoint = open_text_checkpoint(added.folder)
    assert checkpoint.codec.end_ids == {0, 1, 2}
    assert checkpoint.codec.end_id == 0
    assert json.loads(added.trial)


def test_keys_of_both_generations_of_configs_say_the_same(source: Path, tmp_path: Path) -> None:
    scaling = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}
    older = {"rope_theta": 5e5, "rope_scaling": {"type": "llama3", **scaling}, "torch_dtype": "float32"}
    newer = {"rope_parameters": {"rope_type": "llama3", "rope_theta": 5e5, **scaling}, "dtype": "float32"}
    configs = []
    for name, keys in (("older", older), ("newer", newer)):
        write_json(source, "config.json", CONFIG | keys | {"layer_types": ["full_attention"] * 2})
        configs.append(open_text_checkpoint(add_net(source, tmp_path / "nets", name).folder).config)
    assert configs[0] == configs[1]
    assert configs[0].rope_scaling is not None
    assert configs[0].rope_scaling.original_context_tokens == 32


def test_a_long_context_is_cut_unless_asked_for(source: Path, tmp_path: Path) -> None:
    write_json(source, "config.json", CONFIG | {"max_position_embeddings": 131_072})
    nets = tmp_path / "nets"
    assert add_net(source, nets, "cut").manifest.context_tokens == 16_384
    assert add_net(source, nets, "asked", context_tokens=20_000).manifest.context_tokens == 20_000
    with pytest.raises(ValueError, match=r"context_tokens must be 1\.\.131072 for this net, got 131073"):
        add_net(source, nets, "more", context_tokens=131_073)


def test_a_name_is_taken_once_and_replaced_only_when_asked(source: Path, tmp_path: Path) -> None:
    nets = tmp_path / "nets"
    first = add_net(source, nets, "tiny").manifest
    with pytest.raises(ValueError, match="is there already"):
        add_net(source, nets, "tiny")
    write_json(source, "config.json", CONFIG | {"rms_norm_eps": -1})
    with pytest.raises(CheckpointError):
        add_net(source, nets, "tiny", may_replace=True)
    assert open_text_checkpoint(nets / "tiny").manifest == first
    write_json(source, "config.json", CONFIG)
    add_net(source, nets, "tiny", title="Another", may_replace=True)
    assert open_text_checkpoint(nets / "tiny").manifest.title == "Another"
    for name in ("", "..", "a/b", "Tiny", "-x", ".x", "x" * 101):
        with pytest.raises(ValueError, match="name must be small letters"):
            add_net(source, nets, name)
    assert name_from("HuggingFaceTB/SmolLM2 135M_Instruct!") == "huggingfacetb-smollm2-135m_instruct"


def test_two_at_once_are_refused_and_what_a_killed_one_left_is_cleared(source: Path, tmp_path: Path) -> None:
    nets = tmp_path / "nets"
    (nets / ".incoming-killed" / "tiny").mkdir(parents=True)
    with (nets / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="try again later"):
            add_net(source, nets, "tiny")
    add_net(source, nets, "tiny")
    assert sorted(path.name for path in nets.iterdir()) == [".lock", "tiny"]


def test_a_removed_net_is_gone(source: Path, tmp_path: Path) -> None:
    add_net(source, tmp_path / "nets", "tiny")
    remove_net(tmp_path / "nets", "tiny")
    assert [path.name for path in (tmp_path / "nets").iterdir()] == [".lock"]
    for name in ("tiny", "..", ".lock"):
        with pytest.raises(ValueError, match="no net"):
            remove_net(tmp_path / "nets", name)


def test_an_added_net_that_is_damaged_later_is_named(source: Path, tmp_path: Path) -> None:
    folder = add_net(source, tmp_path / "nets", "tiny").folder
    (folder / "chat.json").write_bytes((folder / "chat.json").read_bytes() + b" ")
    with pytest.raises(CheckpointError, match=r"chat\.json: has"):
        open_text_checkpoint(folder)


@pytest.fixture
def base(source: Path, tmp_path: Path) -> TextCheckpoint:
    """A net to adapt."""
    return open_text_checkpoint(add_net(source, tmp_path / "nets", "tiny").folder)


def write_adapter(folder: Path, base: TextCheckpoint, change: dict[str, Any] | None = None, **extra: Any) -> Path:
    """An adapter of rank 2 for one layer, as train_lora writes it, with changed facts or tensors."""
    folder.mkdir(exist_ok=True)
    target = "blocks.0.attention.qkv"
    made = {f"{target}.lora_A": torch.ones(2, 8), f"{target}.lora_B": torch.ones(16, 2)} | extra
    made = {name: tensor for name, tensor in made.items() if tensor is not None}
    write_safetensors(folder / "adapter.safetensors", specs_of(made), made.items())
    facts = {
        "name": "pirate",
        "base": "tiny",
        "base_sha256": base.manifest.sha256,
        "rank": 2,
        "alpha": 4.0,
        "targets": [target],
        "sha256": sha256_of(folder / "adapter.safetensors"),
        "training": {"steps": 3},
    }
    write_json(folder, "adapter.json", facts | (change or {}))
    return folder


def test_an_adapter_is_added_beside_its_net_and_removed(base: TextCheckpoint, tmp_path: Path) -> None:
    adapters = tmp_path / "adapters"
    folder = write_adapter(tmp_path / "lora", base)
    added = add_adapter(folder, base.folder, adapters, "", "Pirate talk")
    assert added.folder == adapters / "tiny" / "pirate"
    stored = json.loads((added.folder / "adapter.json").read_text())
    assert (stored["name"], stored["title"], stored["rank"]) == ("pirate", "Pirate talk", 2)
    assert stored["training"] == {"steps": 3}
    assert sha256_of(added.folder / "adapter.safetensors") == stored["sha256"]
    with pytest.raises(ValueError, match="has an adapter 'pirate' already"):
        add_adapter(folder, base.folder, adapters, "")
    add_adapter(folder, base.folder, adapters, "pirate", may_replace=True)
    add_adapter(folder, base.folder, adapters, "captain")
    remove_adapter(adapters, "tiny", "pirate")
    assert [path.name for path in (adapters / "tiny").iterdir()] == ["captain"]
    with pytest.raises(ValueError, match="has no adapter 'pirate'"):
        remove_adapter(adapters, "tiny", "pirate")


def test_linear_layers_of_every_kind_can_be_adapted(base: TextCheckpoint, tmp_path: Path) -> None:
    net = load_decoder(base)
    linear = {f"blocks.{name}": one for name, one in net.blocks.named_modules() if isinstance(one, nn.Linear)}
    assert len(linear) == 8
    weights = {
        name + suffix: tensor
        for name, one in linear.items()
        for suffix, tensor in (
            (".lora_A", torch.ones(2, one.in_features)),
            (".lora_B", torch.ones(one.out_features, 2)),
        )
    }
    folder = write_adapter(tmp_path / "lora", base, {"targets": list(linear)}, **weights)
    assert add_adapter(folder, base.folder, tmp_path / "adapters", "").manifest.targets == list(linear)


QKV = "blocks.0.attention.qkv"


@pytest.mark.parametrize(
    ("change", "extra", "reason"),
    [
        ({"base_sha256": "0" * 64}, {}, "was trained on other weights of 'tiny'"),
        ({"sha256": "0" * 64}, {}, r"adapter\.safetensors: sha256 is"),
        ({"rank": 0}, {}, "rank: Input should be greater than or equal to 1"),
        ({"alpha": float("inf")}, {}, "alpha"),
        ({"targets": None}, {}, "targets"),
        ({"rank": 3}, {}, r"has shape \(2, 8\), rank and net make it \(3, 8\)"),
        ({}, {f"{QKV}.lora_A": torch.ones(2, 9)}, r"has shape \(2, 9\)"),
        ({}, {f"{QKV}.lora_A": torch.full((2, 8), float("nan"))}, "holds NaN"),
        ({}, {f"{QKV}.lora_B": None}, "lacks the tensors"),
        ({}, {"blocks.7.mlp.down.lora_A": torch.ones(2, 8)}, "belongs to no linear layer of 'tiny'"),
        ({}, {"blocks.0.mlp.down.lora_A": torch.ones(2, 12)}, "has 3 tensors for 1 targets"),
        ({"targets": [QKV, "blocks.1.attention.qkv"]}, {}, "lacks the tensors"),
    ],
)
def test_an_adapter_that_does_not_fit_is_refused(
    base: TextCheckpoint, tmp_path: Path, change: dict[str, Any], extra: dict[str, Any], reason: str
) -> None:
    folder = write_adapter(tmp_path / "lora", base, change, **extra)
    with pytest.raises(CheckpointError, match=reason):
        add_adapter(folder, base.folder, tmp_path / "adapters", "")
    assert not (tmp_path / "adapters" / "tiny").exists()


def test_broken_adapter_folders_are_named(base: TextCheckpoint, tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "lora", base)
    whole = (folder / "adapter.safetensors").read_bytes()
    (folder / "adapter.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"adapter\.safetensors: missing"):
        add_adapter(folder, base.folder, tmp_path / "adapters", "")
    (folder / "adapter.safetensors").write_bytes(whole[:-3])
    with pytest.raises(CheckpointError, match="sha256 is"):
        add_adapter(folder, base.folder, tmp_path / "adapters", "")
    (folder / "adapter.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"adapter\.json"):
        add_adapter(folder, base.folder, tmp_path / "adapters", "")


@pytest.mark.parametrize("address", ["hf:", "hf:a/b/c", "hf:../x", "hf:a b", "hf:/etc"])
def test_addresses_that_are_none_are_refused(address: str) -> None:
    with pytest.raises(hub.HubError, match="write hf:owner/name"):
        hub.parse(address)


def test_everything_that_was_stored_is_what_was_given(source: Path, base: TextCheckpoint) -> None:
    given, stored = tensors(), dict(base.tensors())
    assert torch.equal(stored["embed.weight"], given["model.embed_tokens.weight"])
    fused = [given[f"model.layers.1.self_attn.{one}_proj.weight"] for one in "qkv"]
    assert torch.equal(stored["blocks.1.attention.qkv.weight"], torch.cat(fused))
    assert base.manifest.num_parameters == sum(tensor.numel() for tensor in given.values())
