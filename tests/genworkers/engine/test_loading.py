"""From checkpoint folders to nets that can be served: sizes of caches, adapters by name, broken files named."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from genworkers.checkpoints import CheckpointFacts, save, sha256_of
from genworkers.contract.manifests import NetManifest
from genworkers.engine.config import EngineConfig, Precision
from genworkers.engine.errors import EngineError
from genworkers.engine.loading import Checkpoints, cache_size
from genworkers.engine.text_engine import TextEngine
from genworkers.nets import native_library
from genworkers.nets.decoder import DecoderConfig
from tests.genworkers.engine.reading import ask, request, stats_at_rest, text_of
from tests.genworkers.tiny_decoder import tiny_decoder
from tests.genworkers.tiny_nets import CODEC

CONFIG = EngineConfig(precision="float32", num_threads=1, cache_bytes=2**20)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_tiny(tmp_path / "tiny")
    return tmp_path


@pytest.fixture
def engine(folder: Path) -> Iterator[TextEngine]:
    with TextEngine(checkpoints(folder), CONFIG) as engine:
        yield engine


def save_tiny(folder: Path, *, seed: int = 0, **changes: object) -> NetManifest:
    net = tiny_decoder(CODEC.vocab_size, seed=seed)
    fields = {"kind": "text", "family": "decoder", "title": "Tiny", "config": asdict(net.config)} | changes
    return save(
        folder,
        CheckpointFacts(name=folder.name, **fields),  # type: ignore[arg-type]
        weights={"net": net.state_dict()},
        other_parts={"tokenizer": ("tokenizer.json", CODEC.to_json())},
        card="# Tiny\n",
    )


def save_adapter(folder: Path, *, seed: int = 0, path: str = "blocks.1.mlp.down", **changes: object) -> None:
    generator = torch.Generator().manual_seed(seed)
    folder.mkdir(parents=True)
    save_file(
        {
            f"{path}.lora_A": torch.randn(2, 64, generator=generator),
            f"{path}.lora_B": torch.randn(32, 2, generator=generator),
        },
        folder / "adapter.safetensors",
    )
    facts = {
        "name": folder.name,
        "base": "tiny",
        "base_sha256": "",
        "rank": 2,
        "alpha": 4.0,
        "targets": [path],
        "sha256": sha256_of(folder / "adapter.safetensors"),
    }
    (folder / "adapter.json").write_text(json.dumps(facts | changes))


def checkpoints(folder: Path, config: EngineConfig = CONFIG) -> Checkpoints:
    """Nets beside each other, each with its adapters in a folder of their own."""
    return Checkpoints(
        lambda name: folder / name if (folder / name).exists() else None,
        lambda name: {path.name: path for path in (folder / f"adapters of {name}").glob("*")},
        config,
    )


def llama(context_tokens: int) -> DecoderConfig:
    return DecoderConfig(
        vocab_size=1000,
        context_tokens=context_tokens,
        width=64,
        num_layers=4,
        num_heads=4,
        num_kv_heads=2,
        head_width=16,
        mlp_width=128,
    )


def test_cache_has_the_size_that_was_asked_for() -> None:
    block_bytes = 2 * 4 * 2 * 16 * 16 * 2
    config = EngineConfig(cache_bytes=100 * block_bytes, memory_budget_bytes=2**30)
    size = cache_size(llama(512), 0, config)
    assert (size.num_blocks, size.num_bytes, size.context_tokens) == (100, 100 * block_bytes, 512)


def test_cache_holds_a_whole_context_at_least() -> None:
    config = EngineConfig(cache_bytes=1, memory_budget_bytes=2**30)
    assert cache_size(llama(8192), 0, config).num_blocks == 512


def test_context_is_shorter_where_memory_is_short() -> None:
    block_bytes = 2 * 4 * 2 * 16 * 16 * 4
    config = EngineConfig(memory_budget_bytes=1000 + 30 * block_bytes, precision="float32")
    size = cache_size(llama(8192), 1000, config)
    assert (size.num_blocks, size.context_tokens) == (30, 480)
    hopeless = cache_size(llama(8192), 10**9, config)
    assert hopeless.context_tokens == 256, "enough to be refused for its size"


def test_checkpoint_is_served(engine: TextEngine) -> None:
    text = text_of(ask(engine, request(), seed=1))
    assert text
    assert text_of(ask(engine, request(), seed=1)) == text
    (stats,) = engine.stats()
    assert stats.num_bytes >= sum(parameter.numel() for parameter in tiny_decoder(CODEC.vocab_size).parameters()) * 4


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_without_a_compiler_torch_serves(folder: Path, monkeypatch: pytest.MonkeyPatch, precision: Precision) -> None:
    monkeypatch.setattr(native_library, "is_available", lambda: False)
    config = EngineConfig(precision=precision, cache_bytes=2**20)
    with TextEngine(checkpoints(folder, config), config) as engine:
        assert text_of(ask(engine, request(), seed=1))


def test_replaced_net_is_served_as_soon_as_it_is_there(engine: TextEngine, folder: Path) -> None:
    before = text_of(ask(engine, request(), seed=1))
    stats_at_rest(engine)
    save_tiny(folder / "tiny", seed=5)
    assert text_of(ask(engine, request(), seed=1)) != before
    stats_at_rest(engine)  # of the one net that is left


def test_adapters_write_in_one_batch_each_in_its_own_way(engine: TextEngine, folder: Path) -> None:
    for seed, name in enumerate(("pirate", "poet")):
        save_adapter(folder / "adapters of tiny" / name, seed=seed)
    names = ["", "pirate", "poet"]
    alone = [text_of(ask(engine, request(adapter=name), seed=1)) for name in names]
    assert len(set(alone)) == 3
    tickets = [ask(engine, request(adapter=name), seed=1) for name in names * 4]
    assert [text_of(ticket) for ticket in tickets] == alone * 4


def test_adapter_that_is_trained_again_is_loaded_again(engine: TextEngine, folder: Path) -> None:
    home = folder / "adapters of tiny"
    save_adapter(home / "pirate", seed=1)
    before = text_of(ask(engine, request(adapter="pirate"), seed=1))
    (home / "pirate").rename(folder / "old")
    save_adapter(home / "pirate", seed=2)
    assert text_of(ask(engine, request(adapter="pirate"), seed=1)) != before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sha256": "0" * 64}, "is not the file that adapter.json names"),
        ({"rank": 0}, "is not the manifest of an adapter"),
        ({"path": "blocks.9.mlp.down"}, "'blocks.9.mlp.down' is not a linear layer"),
        ({"path": "blocks.0.mlp.up"}, r"needs matrices \(rank, 32\)"),
    ],
)
def test_broken_adapter_is_named(engine: TextEngine, folder: Path, changes: dict[str, object], message: str) -> None:
    save_adapter(folder / "adapters of tiny" / "pirate", **changes)  # type: ignore[arg-type]
    with pytest.raises(EngineError, match=message) as caught:
        ask(engine, request(adapter="pirate"))
    assert caught.value.code == "adapter_broken"
    assert text_of(ask(engine, request()))


def test_broken_nets_are_named_and_harm_no_other(engine: TextEngine, folder: Path) -> None:
    save_tiny(folder / "odd", family="recurrent", config=asdict(tiny_decoder(CODEC.vocab_size).config))
    save_tiny(folder / "deep", config={"depth": 3})
    save_tiny(folder / "cut")
    weights = folder / "cut" / "net.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    save_tiny(folder / "wide", config=asdict(tiny_decoder(CODEC.vocab_size).config) | {"mlp_width": 65})
    for name, message in (
        ("odd", "family 'recurrent'"),
        ("deep", "depth"),
        ("cut", "net.safetensors: has .* bytes, expected"),
        ("wide", "must have shape"),
    ):
        with pytest.raises(EngineError, match=message) as caught:
            ask(engine, request(net=name))
        assert caught.value.code == "net_broken"
    with pytest.raises(EngineError, match="No net 'gone' is installed"):
        ask(engine, request(net="gone"))
    assert text_of(ask(engine, request()))


def test_net_that_is_too_large_is_refused_before_it_is_read(folder: Path) -> None:
    source = checkpoints(folder, EngineConfig(memory_budget_bytes=10_000))
    with TextEngine(source, EngineConfig(memory_budget_bytes=10_000)) as engine:
        with pytest.raises(EngineError, match="Raise TESSERA_TEXT_MEMORY_GB") as caught:
            ask(engine, request())
        assert caught.value.code == "net_too_large"
