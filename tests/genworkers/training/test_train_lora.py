"""LoRA: it learns, changes nothing at first, is the same merged and applied, and says what is wrong with its data."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from genworkers.checkpoints import NET_PART, TOKENIZER_PART, CheckpointFacts, load_manifest, save
from genworkers.contract.manifests import AdapterManifest
from genworkers.nets.decoder import Decoder, DecoderConfig
from genworkers.training.lora import LoraConfig, add_low_rank, merge_low_rank
from genworkers.training.lora_data import LoraDataError, read_examples
from genworkers.training.train_lora import LoraRecipe, train_adapter
from tests.genworkers.tiny_decoder import SENTENCES, tiny_codec, tiny_decoder

CODEC = tiny_codec()
IDS = torch.tensor([CODEC.encode(SENTENCES[0])])


def examples(tmp_path: Path, *rows: object, context_tokens: int = 64) -> list[tuple[list[int], int]]:
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return read_examples(path, CODEC, context_tokens)


def test_an_untrained_adapter_changes_nothing() -> None:
    net = tiny_decoder(CODEC.vocab_size)
    before = net(IDS)
    add_low_rank(net, LoraConfig())
    assert torch.equal(net(IDS), before)


def test_a_few_steps_learn_and_leave_the_net_alone(tmp_path: Path) -> None:
    net = tiny_decoder(CODEC.vocab_size)
    before = {name: value.clone() for name, value in net.named_parameters()}
    adapters = add_low_rank(net, LoraConfig(rank=4))
    rows = examples(tmp_path, {"prompt": "boat", "response": SENTENCES[0]}, {"text": SENTENCES[1]})
    losses = train_adapter(net, adapters, rows, CODEC.end_id, LoraRecipe(steps=40, lr=0.02))
    assert losses[-1] < losses[0] - 0.5
    for name, value in net.state_dict().items():
        plain = name.replace("parametrizations.weight.original", "weight")
        assert "lora" in name or torch.equal(value, before[plain])


@pytest.mark.parametrize(
    "flags", [{}, {"activation": "swiglu", "is_tied": False}, {"norm": "layer", "position": "learned"}]
)
def test_merged_equals_applied(flags: dict[str, object]) -> None:
    sizes = {"vocab_size": 300, "context_tokens": 64, "width": 32, "num_layers": 2, "mlp_width": 48}
    heads = {"num_heads": 4, "num_kv_heads": 2, "head_width": 8}
    net = Decoder(DecoderConfig.from_dict({**sizes, **heads, **flags}))
    generator = torch.Generator().manual_seed(0)
    adapters = add_low_rank(net, LoraConfig(rank=4, alpha=8.0))
    assert len(adapters) == 8
    captured: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    for name, adapter in adapters.items():
        torch.nn.init.normal_(adapter.lora_B, std=0.1, generator=generator)
        linear = net.get_submodule(name)
        linear.register_forward_hook(lambda _, args, out, name=name: captured.update({name: (args[0], out)}))
    with torch.no_grad():
        applied, stored = net(IDS), net.state_dict()
        for name, adapter in adapters.items():
            x, out = captured[name]
            weight, bias = stored[f"{name}.parametrizations.weight.original"], stored.get(f"{name}.bias")
            original = torch.nn.functional.linear(x, weight, bias)
            low_rank = 2.0 * (x @ adapter.lora_A.T) @ adapter.lora_B.T
            torch.testing.assert_close(out, original + low_rank, atol=1e-5, rtol=1e-5)
        merge_low_rank(net)
        torch.testing.assert_close(net(IDS), applied, atol=1e-5, rtol=1e-5)
    assert not any("lora" in name for name in net.state_dict())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: is not JSON"),
        ("[1]", "line 2: must be an object"),
        ({"prompt": "a"}, "line 2: must have the fields prompt and response, or text alone; it has prompt"),
        ({"prompt": "a", "response": 7}, "line 2: field 'response' must be a text"),
        ({"text": " "}, "line 2: field 'text' must be a text that is not empty"),
        ({"text": "x" * 100}, "line 2: text have 100 tokens together, the net reads 64"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: object, message: str) -> None:
    with pytest.raises(LoraDataError, match=message):
        examples(tmp_path, {"text": "fine"}, line)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LoraDataError, match="holds no row"):
        examples(tmp_path, "", "")


def test_only_the_response_is_learnt(tmp_path: Path) -> None:
    [(ids, num_prompt)] = examples(tmp_path, {"prompt": "boat", "response": "home"})
    assert ids == [*CODEC.encode_prompt("boat"), *CODEC.encode("home"), CODEC.end_id]
    assert num_prompt == len(CODEC.encode_prompt("boat"))


@pytest.mark.slow
def test_the_command_writes_an_adapter_that_names_its_net(tmp_path: Path) -> None:
    net = tiny_decoder(CODEC.vocab_size)
    facts = CheckpointFacts(
        name="tiny",
        kind="text",
        family="decoder",
        title="Tiny",
        config={name: getattr(net.config, name) for name in net.config.__dataclass_fields__},
        context_tokens=64,
    )
    folder = tmp_path / "tiny"
    parts = {TOKENIZER_PART: ("tokenizer.json", CODEC.to_json())}
    save(folder, facts, weights={NET_PART: net.state_dict()}, other_parts=parts, card="")
    data = tmp_path / "pairs.jsonl"
    data.write_text('{"prompt": "boat", "response": "The boat sailed home."}\n{"text": ""}\n')
    command = [sys.executable, "-m", "genworkers.training.train_lora", "--net", folder, "--data", data]
    command += ["--out", tmp_path / "pirate", "--steps", "5"]
    refused = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "line 2: field 'text'" in refused.stderr
    data.write_text('{"prompt": "boat", "response": "The boat sailed home."}\n')
    subprocess.run([*map(str, command)], check=True)
    stored = json.loads((tmp_path / "pirate" / "adapter.json").read_text())
    manifest = AdapterManifest.model_validate(stored)
    assert (manifest.name, manifest.base, manifest.rank) == ("pirate", "tiny", 8)
    assert manifest.base_sha256 == load_manifest(folder).sha256
    assert stored["training"]["last_loss"] < stored["training"]["first_loss"]
    tensors = load_file(tmp_path / "pirate" / "adapter.safetensors")
    assert {name: tuple(one.shape) for name, one in tensors.items() if name.startswith("blocks.0.mlp.up")} == {
        "blocks.0.mlp.up.lora_A": (8, 32),
        "blocks.0.mlp.up.lora_B": (64, 8),
    }
