"""The compiled decoder: the same numbers as the torch one, whoever shares a call and however a sequence is cut."""

import random
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from genworkers.nets.decoder import Decoder, DecoderConfig
from genworkers.nets.layers import RopeScaling
from genworkers.nets.native_decoder import NativePagedDecoder, Precision
from genworkers.nets.native_library import is_available
from genworkers.nets.paged_decoder import Piece

pytestmark = pytest.mark.skipif(not is_available(), reason="no C++ compiler")

HOUSE = DecoderConfig(
    vocab_size=300,
    context_tokens=128,
    width=96,
    num_layers=2,
    num_heads=6,
    num_kv_heads=2,
    head_width=16,
    mlp_width=200,
)
LLAMA = replace(HOUSE, activation="swiglu", qk_norm="none", has_embed_norm=False, logit_cap=0.0)
CONFIGS = {
    "house": HOUSE,
    "value embeddings": replace(HOUSE, qk_norm="after_rope_free", value_embed_layers=(0, 1), num_kv_heads=6),
    "gpt2": replace(
        LLAMA,
        norm="layer",
        position="learned",
        activation="gelu_tanh",
        num_kv_heads=6,
        has_qkv_bias=True,
        has_out_bias=True,
        has_mlp_bias=True,
    ),
    "llama": replace(LLAMA, rope_scaling=RopeScaling(8.0, 1.0, 4.0, 64)),
    "qwen2": replace(LLAMA, is_tied=False, has_qkv_bias=True, num_heads=5, num_kv_heads=1, head_width=20),
    "qwen3": replace(LLAMA, qk_norm="before_rope", head_width=32, width=90, vocab_size=301, mlp_width=77),
    "biases in a gated MLP": replace(LLAMA, has_mlp_bias=True),
}
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16", "int8")


def random_net(config: DecoderConfig) -> Decoder:
    torch.manual_seed(0)
    net = Decoder(config)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.08 if parameter.ndim > 1 else 0.5)
    return net.requires_grad_(False)


def native(net: Decoder, precision: Precision = "float32", num_blocks: int = 40) -> NativePagedDecoder:
    return NativePagedDecoder(net.config, net.state_dict(), num_blocks=num_blocks, precision=precision, num_threads=2)


def random_ids(config: DecoderConfig, num_tokens: int, seed: int = 0) -> list[int]:
    return torch.randint(0, config.vocab_size, (num_tokens,), generator=torch.Generator().manual_seed(seed)).tolist()


def read_one_by_one(decoder: NativePagedDecoder, ids: list[int], blocks: list[int], adapter: str = "") -> Tensor:
    return torch.cat([decoder.read([Piece([token], i, blocks, adapter=adapter)]) for i, token in enumerate(ids)])


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_equal_those_of_the_torch_decoder(name: str) -> None:
    net = random_net(CONFIGS[name])
    ids = random_ids(net.config, 100)
    logits = read_one_by_one(native(net), ids, [7, 3, 5, 1, 2, 9, 10])
    torch.testing.assert_close(logits, net(torch.tensor([ids]))[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize(("precision", "most"), [("bfloat16", 0.02), ("int8", 0.06)])
def test_narrow_weights_change_the_logits_little(precision: Precision, most: float) -> None:
    net = random_net(HOUSE)
    ids = random_ids(HOUSE, 60)
    logits = read_one_by_one(native(net, precision), ids, [0, 1, 2, 3])
    assert 0 < (logits - net(torch.tensor([ids]))[0]).abs().max() < most


def test_weights_stored_in_bfloat16_lose_nothing_in_bfloat16() -> None:
    net = random_net(HOUSE).bfloat16().float()
    ids = random_ids(HOUSE, 60)
    exact = read_one_by_one(native(net), ids, [0, 1, 2, 3])
    logits = read_one_by_one(native(net, "bfloat16"), ids, [0, 1, 2, 3])  # its cache alone is rounded
    assert (logits - exact).abs().max() < 5e-3


@pytest.mark.parametrize(
    ("name", "precision"),
    [("house", "float32"), ("house", "bfloat16"), ("qwen2", "int8"), ("gpt2", "float32"), ("qwen3", "int8")],
)
def test_numbers_depend_neither_on_company_nor_on_how_a_sequence_is_cut(name: str, precision: Precision) -> None:
    net = random_net(CONFIGS[name])
    decoder = native(net, precision, num_blocks=64)
    sequences = [random_ids(net.config, length, seed=length) for length in (100, 3, 47, 64, 17, 90, 33, 21)]
    alone = [read_one_by_one(decoder, ids, list(range(7))) for ids in sequences]
    chance = random.Random(0)
    free = list(range(64))
    chance.shuffle(free)
    blocks = [[free.pop() for _ in range(len(ids) // 16 + 1)] for ids in sequences]
    read = [0] * len(sequences)
    while any(done < len(ids) for done, ids in zip(read, sequences, strict=True)):
        waiting = [i for i, ids in enumerate(sequences) if read[i] < len(ids)]
        chosen = chance.sample(waiting, chance.randint(1, len(waiting)))
        ends = {i: min(len(sequences[i]), read[i] + chance.choice([1, 1, 1, 5, 16, 40])) for i in chosen}
        logits = decoder.read([Piece(sequences[i][read[i] : ends[i]], read[i], blocks[i]) for i in chosen])
        for row, i in zip(logits, chosen, strict=True):
            assert torch.equal(row, alone[i][ends[i] - 1])
            read[i] = ends[i]


def test_long_calls_are_read_in_turns_with_the_same_numbers() -> None:
    net = random_net(HOUSE)
    decoder = native(net)
    texts = [random_ids(HOUSE, 120, seed=seed) for seed in range(4)]
    blocks = [list(range(8 * i, 8 * i + 8)) for i in range(4)]
    together = decoder.read([Piece(ids, 0, own) for ids, own in zip(texts, blocks, strict=True)])
    alone = torch.cat([decoder.read([Piece(ids, 0, own)]) for ids, own in zip(texts, blocks, strict=True)])
    assert torch.equal(together, alone)


def test_only_the_wanted_logits_come_back() -> None:
    decoder = native(random_net(HOUSE))
    ids = random_ids(HOUSE, 40)
    parts = [Piece(ids[:20], 0, [0, 1], wants_logits=False), Piece(ids, 0, [2, 3, 4]), Piece(ids[20:], 20, [0, 1, 5])]
    logits = decoder.read(parts)
    assert logits.shape == (2, 300)
    assert torch.equal(logits[0], logits[1])
    assert decoder.read(parts[:1]).shape == (0, 300)


def low_rank(net: Decoder, paths: list[str], rank: int, seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for path in paths:
        outputs, inputs = net.state_dict()[f"{path}.weight"].shape
        tensors[f"{path}.lora_A"] = torch.randn(rank, inputs, generator=generator) * 0.1
        tensors[f"{path}.lora_B"] = torch.randn(outputs, rank, generator=generator) * 0.1
    return tensors


def test_adapters_act_like_merged_weights_and_leave_other_rows_alone() -> None:
    net = random_net(LLAMA)
    paths = [
        f"blocks.{i}.{part}" for i in (0, 1) for part in ("attention.qkv", "attention.out", "mlp.gate_up", "mlp.down")
    ]
    tensors = {"small": low_rank(net, paths, 4, seed=1), "large": low_rank(net, paths[1:6], 9, seed=2)}
    decoder = native(net)
    ids = random_ids(LLAMA, 30)
    plain = decoder.read([Piece(ids, 0, [0, 1])])
    for name in tensors:
        decoder.add_adapter(name, tensors[name], 0.5)
    logits = decoder.read(
        [Piece(ids, 0, [2, 3], adapter="small"), Piece(ids, 0, [4, 5]), Piece(ids, 0, [6, 7], adapter="large")]
    )
    assert torch.equal(logits[1], plain[0])
    for row, name in ((0, "small"), (2, "large")):
        merged = {key: tensor.clone() for key, tensor in net.state_dict().items()}
        for path in {key.rsplit(".", 1)[0] for key in tensors[name]}:
            merged[f"{path}.weight"] += 0.5 * tensors[name][f"{path}.lora_B"] @ tensors[name][f"{path}.lora_A"]
        other = Decoder(LLAMA).requires_grad_(False)
        other.load_state_dict(merged)
        torch.testing.assert_close(logits[row], other(torch.tensor([ids]))[0, -1], atol=2e-5, rtol=0)
        assert torch.equal(logits[row], read_one_by_one(decoder, ids, [8, 9], name)[-1])


@pytest.mark.parametrize("precision", PRECISIONS)
def test_numbers_that_are_not_finite_come_out_as_nan(precision: Precision) -> None:
    net = random_net(HOUSE)
    net.blocks[0].get_parameter("mlp_norm.weight")[3] = float("nan")
    decoder = native(net, precision)
    ids = random_ids(HOUSE, 5)
    assert decoder.read([Piece(ids, 0, [0])]).isnan().all()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_block_that_held_nan_is_clean_for_its_next_owner(precision: Precision) -> None:
    net = random_net(replace(HOUSE, is_tied=False))
    net.embed.weight[7] = float("nan")
    decoder = native(net, precision)
    ids = [token for token in random_ids(HOUSE, 20) if token != 7]
    before = decoder.read([Piece(ids, 0, [0, 1])])
    assert decoder.read([Piece([7] * 32, 0, [0, 1])]).isnan().all()
    assert torch.equal(decoder.read([Piece(ids, 0, [0, 1])]), before)


@pytest.mark.parametrize(
    ("piece", "message"),
    [
        (Piece([], 0, [0]), "at least one token"),
        (Piece([1], 128, [0] * 9), r"positions must be 0\.\.127, got 128\.\.128"),
        (Piece([1], -1, [0]), r"positions must be 0\.\.127"),
        (Piece([300], 0, [0]), r"token ids must be 0\.\.299, got \[300\]"),
        (Piece([-1], 0, [0]), r"token ids must be 0\.\.299"),
        (Piece([1] * 17, 0, [0]), "17 positions need more than 1 blocks of 16"),
        (Piece([1], 0, [40]), r"blocks must be 0\.\.39, got \[40\]"),
        (Piece([1], 0, [-1]), r"blocks must be 0\.\.39"),
        (Piece([1], 0, [0], adapter="gone"), "no adapter 'gone'"),
    ],
)
def test_wrong_pieces_are_refused_by_name(piece: Piece, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        native(random_net(HOUSE)).read([piece])


def test_wrong_tensors_are_refused_by_name() -> None:
    net = random_net(HOUSE)
    tensors = dict(net.state_dict())
    for changed, message in (
        ({**tensors, "blocks.0.mlp.gate.weight": torch.zeros(2, 2)}, "'blocks.0.mlp.gate.weight' is unknown"),
        ({**tensors, "embed.weight": torch.zeros(300, 95)}, r"shape \[300, 96\], got \[300, 95\]"),
        ({key: tensors[key] for key in tensors if key != "final_norm.weight"}, "missing: .'final_norm.weight'"),
    ):
        with pytest.raises(ValueError, match=message):
            NativePagedDecoder(HOUSE, changed, num_blocks=2)


def test_wrong_adapters_are_refused_by_name() -> None:
    net = random_net(HOUSE)
    decoder = native(net)
    good = low_rank(net, ["blocks.0.mlp.up"], 4, seed=1)
    up, down = good["blocks.0.mlp.up.lora_A"], good["blocks.0.mlp.up.lora_B"]
    for tensors, message in (
        ({"embed.lora_A": up, "embed.lora_B": down}, "'embed' is not a linear layer"),
        ({"blocks.0.mlp.up.lora_A": up}, "no tensor 'blocks.0.mlp.up.lora_B'"),
        ({"blocks.0.mlp.up.lora_A": up, "blocks.0.mlp.up.lora_B": down[1:]}, r"needs matrices \(rank, 96\)"),
    ):
        with pytest.raises(ValueError, match=message):
            decoder.add_adapter("wrong", tensors, 1.0)
    decoder.add_adapter("right", good, 1.0)
    with pytest.raises(ValueError, match="exists already"):
        decoder.add_adapter("right", good, 1.0)


def test_a_closed_decoder_says_so() -> None:
    decoder = native(random_net(HOUSE))
    decoder.close()
    decoder.close()
    with pytest.raises(ValueError, match="closed"):
        decoder.read([Piece([1], 0, [0])])
