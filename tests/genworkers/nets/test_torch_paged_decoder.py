"""The paged decoder in plain torch: the numbers of the whole forward, whoever shares a call."""

import random
from dataclasses import replace

import pytest
import torch

from genworkers.nets.decoder import Decoder, DecoderConfig
from genworkers.nets.paged_decoder import Piece
from genworkers.nets.torch_paged_decoder import TorchPagedDecoder

HOUSE = DecoderConfig(
    vocab_size=300,
    context_tokens=160,
    width=96,
    num_layers=2,
    num_heads=6,
    num_kv_heads=2,
    head_width=16,
    mlp_width=200,
)
LLAMA = replace(HOUSE, activation="swiglu", qk_norm="none", has_embed_norm=False, logit_cap=0.0, is_tied=False)
CONFIGS = {
    "house": HOUSE,
    "value embeddings": replace(HOUSE, qk_norm="after_rope_free", value_embed_layers=(0, 1)),
    "gpt2": replace(LLAMA, norm="layer", position="learned", activation="gelu_tanh", has_qkv_bias=True, is_tied=True),
    "llama": LLAMA,
}


def random_net(config: DecoderConfig) -> Decoder:
    torch.manual_seed(0)
    net = Decoder(config)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.08 if parameter.ndim > 1 else 0.5)
    return net.requires_grad_(False)


def paged(net: Decoder, dtype: torch.dtype = torch.float32) -> TorchPagedDecoder:
    return TorchPagedDecoder(net.config, net.state_dict(), num_blocks=50, block_tokens=8, dtype=dtype)


def random_ids(num_tokens: int, seed: int = 0) -> list[int]:
    return torch.randint(0, 300, (num_tokens,), generator=torch.Generator().manual_seed(seed)).tolist()


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_equal_those_of_the_whole_forward(name: str) -> None:
    net = random_net(CONFIGS[name])
    decoder = paged(net)
    ids = random_ids(140)
    want = net(torch.tensor([ids]))[0]
    got = [decoder.read([Piece(ids[start:end], start, range(18))])[0] for start, end in ((0, 70), (70, 71), (71, 140))]
    torch.testing.assert_close(torch.stack(got), want[[69, 70, 139]], atol=2e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.bfloat16, marks=pytest.mark.slow)])
def test_numbers_depend_neither_on_company_nor_on_how_a_sequence_is_cut(dtype: torch.dtype) -> None:
    decoder = paged(random_net(HOUSE), dtype)
    sequences = [random_ids(length, seed=length) for length in (90, 3, 40, 70, 17)]
    alone = [[decoder.read([Piece([token], i, range(12))])[0] for i, token in enumerate(ids)] for ids in sequences]
    chance = random.Random(0)
    free = chance.sample(range(50), 50)
    blocks = [[free.pop() for _ in range(len(ids) // 8 + 1)] for ids in sequences]
    read = [0] * len(sequences)
    while any(done < len(ids) for done, ids in zip(read, sequences, strict=True)):
        waiting = [i for i, ids in enumerate(sequences) if read[i] < len(ids)]
        chosen = chance.sample(waiting, chance.randint(1, len(waiting)))
        ends = {i: min(len(sequences[i]), read[i] + chance.choice([1, 5, 16, 40])) for i in chosen}
        logits = decoder.read([Piece(sequences[i][read[i] : ends[i]], read[i], blocks[i]) for i in chosen])
        for row, i in zip(logits, chosen, strict=True):
            assert torch.equal(row, alone[i][ends[i] - 1])
            read[i] = ends[i]


def test_adapters_act_like_merged_weights_and_leave_other_rows_alone() -> None:
    net = random_net(LLAMA)
    decoder = paged(net)
    generator = torch.Generator().manual_seed(1)
    tensors: dict[str, torch.Tensor] = {}
    merged = dict(net.state_dict())
    for path in ("blocks.0.attention.qkv", "blocks.1.mlp.gate_up", "blocks.1.mlp.down"):
        outputs, inputs = merged[f"{path}.weight"].shape
        first, second = (
            torch.randn(4, inputs, generator=generator) / 9,
            torch.randn(outputs, 4, generator=generator) / 9,
        )
        tensors |= {f"{path}.lora_A": first, f"{path}.lora_B": second}
        merged[f"{path}.weight"] = merged[f"{path}.weight"] + 0.5 * second @ first
    other = Decoder(LLAMA).requires_grad_(False)
    other.load_state_dict(merged)
    ids = random_ids(30)
    plain = decoder.read([Piece(ids, 0, range(4))])
    decoder.add_adapter("songs", tensors, 0.5)
    logits = decoder.read([Piece(ids, 0, range(4, 8), adapter="songs"), Piece(ids, 0, range(8, 12))])
    assert torch.equal(logits[1], plain[0])
    torch.testing.assert_close(logits[0], other(torch.tensor([ids]))[0, -1], atol=2e-5, rtol=0)
    with pytest.raises(ValueError, match="exists already"):
        decoder.add_adapter("songs", tensors, 0.5)


def test_what_it_holds_is_counted() -> None:
    net = random_net(HOUSE)
    decoder = paged(net, torch.bfloat16)
    assert decoder.weights_bytes == 2 * sum(parameter.numel() for parameter in net.parameters())
    assert decoder.cache_bytes == 2 * 2 * (50 * 8 + 1) * 2 * 16 * 2


def test_wrong_pieces_are_refused() -> None:
    decoder = paged(random_net(HOUSE))
    with pytest.raises(ValueError, match=r"blocks must be 0\.\.49"):
        decoder.read([Piece([1], 0, [50])])
    with pytest.raises(ValueError, match="no adapter 'gone'"):
        decoder.read([Piece([1], 0, [0], adapter="gone")])
