"""Every way in which a foreign checkpoint can be wrong is named, with the file, and leaves nothing behind."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from genworkers.checkpoints import CheckpointError
from genworkers.importing.add_net import add_net
from tests.genworkers.importing.plain_llama import CONFIG, VOCAB, tensors, write_json, write_llama, write_weights


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A sound checkpoint, to be damaged."""
    return write_llama(tmp_path / "source")


def refused(source: Path, match: str, file: str = "") -> None:
    """Adding it fails with these words, names the file, and leaves no trace."""
    nets = source.parent / "nets"
    with pytest.raises(CheckpointError, match=match) as caught:
        add_net(source, nets, "tiny")
    assert str(caught.value.path).endswith(file)
    assert not nets.exists() or [path.name for path in nets.iterdir()] == [".lock"]


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_missing_file_is_named(source: Path, name: str) -> None:
    (source / name).unlink()
    refused(source, "missing")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b"[" * 100_000])
def test_a_broken_json_file_is_named(source: Path, name: str, content: bytes) -> None:
    (source / name).write_bytes(content)
    refused(source, "JSON|UTF-8|tokenizer", name)


@pytest.mark.parametrize(
    "key",
    [
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "max_position_embeddings",
        "rms_norm_eps",
        "vocab_size",
        "architectures",
    ],
)
def test_a_config_without_a_needed_key_is_refused(source: Path, key: str) -> None:
    write_json(source, "config.json", {name: value for name, value in CONFIG.items() if name != key})
    refused(source, key, "config.json")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"architectures": ["MixtralForCausalLM"]}, r"Mixtral.*supported: GPT2LMHeadModel.*Qwen3"),
        ({"architectures": []}, "architectures is"),
        ({"architectures": "LlamaForCausalLM"}, "architectures is"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu'; supported: 'silu'"),
        ({"use_sliding_window": True}, "use_sliding_window is 'True'; supported: False"),
        ({"layer_types": ["full_attention", "sliding_attention"]}, "layer_types holds .*no window"),
        ({"rope_scaling": {"type": "yarn", "factor": 4.0}}, "rope type is 'yarn'; supported: 'default', 'llama3'"),
        ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 1e4}}, "lacks the key 'factor'"),
        ({"rope_parameters": {"full_attention": {"rope_type": "default"}}}, "rope_parameters must be a flat object"),
        ({"rope_parameters": {"partial_rotary_factor": 0.5}}, "partial_rotary_factor is '0.5'"),
        ({"rope_theta": float("nan")}, "rope_theta must be a number above 0, got 'nan'"),
        ({"rms_norm_eps": -1}, "rms_norm_eps must be a number above 0, got '-1'"),
        ({"num_hidden_layers": 2.0}, "num_hidden_layers must be a whole number"),
        ({"num_hidden_layers": True}, "num_hidden_layers must be a whole number"),
        ({"num_hidden_layers": 10**12}, "num_hidden_layers must be a whole number 1..1000"),
        ({"num_hidden_layers": 900}, "says 900 layers, but the weights have only 20 tensors"),
        ({"hidden_size": 10**15}, "hidden_size must be a whole number 1..1000000"),
        ({"hidden_size": 1_000_000}, "has shape .*config.json makes it"),
        ({"vocab_size": 9_999_999}, r"has shape \(400, 8\), config.json makes it \(9999999, 8\)"),
        ({"num_key_value_heads": 3}, "num_kv_heads must divide num_heads 2, got 3"),
        ({"head_dim": 3, "num_attention_heads": 2}, "head_width must be even, got 3"),
        ({"tie_word_embeddings": "yes"}, "tie_word_embeddings must be true or false"),
        ({"tie_word_embeddings": False}, r"1 missing \['lm_head.weight'\]"),
        ({"auto_map": {"AutoModel": "modeling.X"}}, "code of its own, which is never run"),
        ({"quantization_config": {"bits": 4}}, "quantised"),
    ],
)
def test_a_config_that_the_decoder_cannot_be_is_refused_by_name(
    source: Path, change: dict[str, Any], reason: str
) -> None:
    write_json(source, "config.json", CONFIG | change)
    refused(source, reason)


def header_of(source: Path) -> tuple[dict[str, Any], bytes]:
    """The header of the weights and what follows it."""
    content = (source / "model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def write_header(source: Path, header: object, data: bytes) -> None:
    """The weights with another header."""
    content = header if isinstance(header, bytes) else json.dumps(header).encode()
    (source / "model.safetensors").write_bytes(struct.pack("<Q", len(content)) + content + data)


Lie = Callable[[dict[str, Any]], object]
NORM = "model.norm.weight"


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        (lambda header: header[NORM].update(shape=[7]), "lies about tensor .* takes 28 bytes, its offsets give it 32"),
        (lambda header: header[NORM].update(dtype="F16"), "takes 16 bytes, its offsets give it 32"),
        (lambda header: header[NORM].update(dtype="Q4"), "is stored as 'Q4'; known are F32"),
        (lambda header: header[NORM].update(shape=[-8]), r"has the shape \[-8\]"),
        (lambda header: header[NORM].update(shape=[8.0]), "has the shape"),
        (lambda header: header[NORM].update(shape=[2**62, 2**62]), "takes"),
        (lambda header: header[NORM].update(shape="8"), "has the shape"),
        (lambda header: header[NORM].update(data_offsets=[0, 32]), "starts at byte 0 of the data, expected 32"),
        (lambda header: header[NORM].update(data_offsets=[10**9, 10**9 + 32]), "should end at byte"),
        (lambda header: header[NORM].update(data_offsets=[32, 0]), "has the offsets"),
        (lambda header: header[NORM].update(data_offsets=[0]), "has the offsets"),
        (lambda header: header.update({NORM: 3}), "no dtype, shape and data_offsets"),
        (lambda header: header.pop(NORM), "starts at byte"),
    ],
)
def test_a_header_that_lies_is_refused(source: Path, lie: Lie, reason: str) -> None:
    header, data = header_of(source)
    lie(header)
    write_header(source, header, data)
    refused(source, reason, "model.safetensors")


def test_truncated_files_are_refused(source: Path) -> None:
    path = source / "model.safetensors"
    whole = path.read_bytes()
    for length, reason in ((0, "it has 0 bytes"), (7, "it has 7"), (300, "announced"), (len(whole) - 1, "truncated")):
        path.write_bytes(whole[:length])
        refused(source, reason, "model.safetensors")
    path.write_bytes(whole + b"\0")
    refused(source, "bytes of data, but its tensors take")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (struct.pack("<Q", 2**63) + b"{}", "bytes of header are announced"),
        (struct.pack("<Q", 2) + b"[]", "its header is not an object"),
        (struct.pack("<Q", 4) + b"\x80\x04\x95\x0a", "its header is not JSON"),
        (struct.pack("<Q", 24) + b'{"a": {}, "a": {}}      ', "stands in it twice"),
    ],
)
def test_a_header_that_is_none_is_refused(source: Path, content: bytes, reason: str) -> None:
    (source / "model.safetensors").write_bytes(content)
    refused(source, reason, "model.safetensors")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_numbers_are_refused(source: Path, value: float) -> None:
    weights = tensors()
    weights["model.layers.1.mlp.up_proj.weight"][3, 3] = value
    write_weights(source, weights)
    refused(source, "'model.layers.1.mlp.up_proj.weight' holds NaN or infinity", "model.safetensors")


def test_missing_unknown_and_misshapen_tensors_are_told_apart(source: Path) -> None:
    weights = tensors()
    name = "model.layers.0.self_attn.q_proj.weight"
    write_weights(source, {key: value for key, value in weights.items() if key != name})
    refused(source, rf"1 missing \['{name}'\], 0 unknown")
    write_weights(source, weights | {"model.layers.0.self_attn.q_norm.weight": torch.ones(4)})
    refused(source, r"0 missing \[\], 1 unknown \['model.layers.0.self_attn.q_norm.weight'\]")
    write_weights(source, weights | {name: torch.ones(8, 4)})
    refused(source, rf"'{name}' has shape \(8, 4\), config.json makes it \(8, 8\)")
    write_weights(source, weights | {name: torch.ones(8, 8, dtype=torch.int8)})
    refused(source, f"'{name}' is stored as I8; supported: F32, F16, BF16")


def test_buffers_and_a_tied_head_are_passed_over(source: Path) -> None:
    buffers = {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(2), "lm_head.weight": torch.ones(VOCAB, 8)}
    write_weights(source, tensors() | buffers)
    assert add_net(source, source.parent / "nets", "tiny").manifest.num_parameters == 4200


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.pkl", "model.gguf", "consolidated.00.pth"])
def test_weights_that_are_not_safetensors_are_refused_with_the_way_out(source: Path, name: str) -> None:
    (source / "model.safetensors").rename(source / name)
    refused(source, "only safetensors are read, because opening such a file can run code.*save_pretrained", name)
    refused(source / name, "only safetensors are read", name)


def test_a_folder_that_is_none_is_refused(source: Path) -> None:
    refused(source / "nowhere", "does not exist")
    refused(source / "config.json", "is not a folder")


def test_links_out_of_the_folder_are_refused(source: Path) -> None:
    for name in ("model.safetensors", "config.json"):
        (source / name).rename(source.parent / name)
        (source / name).symlink_to(source.parent / name)
        refused(source, "link that leads out of the folder.*cp -rL", name)
        (source / name).unlink()
        (source.parent / name).rename(source / name)
    (source / "tokenizer_config.json").unlink()
    (source / "tokenizer_config.json").symlink_to(source / "nowhere")
    refused(source, "is not a file", "tokenizer_config.json")
    (source / "tokenizer_config.json").unlink()
    (source / "tokenizer_config.json").mkdir()
    refused(source, "is not a file", "tokenizer_config.json")


INDEX = "model.safetensors.index.json"


@pytest.mark.parametrize(
    ("index", "reason"),
    [
        ({}, "has no weight_map"),
        ({"weight_map": {"a": 3}}, "has no weight_map"),
        ({"weight_map": {"a": "../model.safetensors"}}, "names a file outside the folder"),
        ({"weight_map": {"a": "/etc/passwd"}}, "names a file outside the folder"),
        ({"weight_map": {"a": "absent.safetensors"}}, "missing; model.safetensors.index.json names it"),
        ({"weight_map": {"a": "part.safetensors"}}, "lacks the tensor 'a'"),
        ({"weight_map": {"a": "config.json"}}, "is no safetensors file"),
    ],
)
def test_an_index_that_lies_is_refused(source: Path, index: object, reason: str) -> None:
    (source / "model.safetensors").rename(source / "part.safetensors")
    write_json(source, INDEX, index)
    refused(source, reason)


def test_a_tensor_in_two_files_is_refused(source: Path) -> None:
    content = (source / "model.safetensors").read_bytes()
    (source / "model.safetensors").unlink()
    for part in ("a.safetensors", "b.safetensors"):
        (source / part).write_bytes(content)
    weight_map = {"model.norm.weight": "a.safetensors", "model.embed_tokens.weight": "b.safetensors"}
    write_json(source, INDEX, {"weight_map": weight_map})
    refused(source, "stands in a.safetensors already", "b.safetensors")


def test_a_tokenizer_larger_than_the_embedding_is_refused(source: Path) -> None:
    weights = tensors()
    weights["model.embed_tokens.weight"] = weights["model.embed_tokens.weight"][:200]
    write_weights(source, weights)
    write_json(source, "config.json", CONFIG | {"vocab_size": 200})
    refused(source, r"has \d+ tokens, but config.json says vocab_size 200", "tokenizer.json")


@pytest.mark.parametrize("kind", ["Unigram", "WordPiece", "byte_fallback", "other letters"])
def test_a_tokenizer_that_is_not_byte_level_is_refused(source: Path, kind: str) -> None:
    content = json.loads((source / "tokenizer.json").read_bytes())
    if kind == "Unigram":
        content["model"] = {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["a", -1.0]]}
    elif kind == "WordPiece":
        vocab = {"[UNK]": 0, "a": 1}
        content["model"] = {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": vocab,
        }
    elif kind == "byte_fallback":
        content["model"]["byte_fallback"] = True
    else:
        content["model"]["vocab"]["▁the"] = len(content["model"]["vocab"])
    write_json(source, "tokenizer.json", content)
    refused(source, "byte-level BPE", "tokenizer.json")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({}, "no token ends a text"),
        ({"eos_token": "<|nowhere|>"}, "no token ends a text"),
        ({"eos_token": "<|end|>", "added_tokens_decoder": []}, "added_tokens_decoder is not an object"),
        ({"eos_token": "<|end|>", "added_tokens_decoder": {"x": {}}}, "an added token is wrong"),
        ({"eos_token": "<|end|>", "added_tokens_decoder": {"999": {"content": "<x>"}}}, "should have the id 999"),
        ({"eos_token": "<|end|>", "chat_template": 3}, "chat_template is not text"),
        ({"eos_token": "<|end|>", "chat_template": "x" * 200_001}, "has 200001 characters, at most 200000"),
        ({"eos_token": "<|end|>", "chat_template": "{% if"}, "TemplateSyntaxError"),
        ({"eos_token": "<|end|>", "chat_template": "{{ ''.__class__.__mro__ }}"}, "unsafe"),
    ],
)
def test_settings_of_the_tokenizer_that_are_wrong_are_refused(
    source: Path, settings: dict[str, Any], reason: str
) -> None:
    write_json(source, "tokenizer_config.json", settings)
    refused(source, reason)


def test_weights_that_overflow_when_they_are_used_are_refused(source: Path) -> None:
    weights = tensors()
    weights["model.norm.weight"] = torch.full((8,), 3e38)
    write_weights(source, weights)
    refused(source, "answers with NaN or infinity")
