"""The decoder: equal to a plain reference, equal with and without cache, able to learn a batch by heart."""

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from genworkers.nets.attention import CausalAttention
from genworkers.nets.decoder import Decoder, DecoderConfig
from genworkers.nets.layers import RopeScaling, rotary_frequencies
from tests.genworkers.tiny_decoder import tiny_decoder

Array = NDArray[np.float64]
VOCAB = 50


def reference_logits(net: Decoder, ids: list[int]) -> Array:
    """The decoder written out in NumPy, a token and a head at a time, in float64."""
    config = net.config
    weights = {name: value.double().numpy() for name, value in net.state_dict().items()}

    def norm(x: Array, name: str) -> Array:
        scaled: Array = x / np.sqrt((x**2).mean(-1, keepdims=True) + config.norm_eps) * weights[name]
        return scaled

    def turn(head: Array, position: int) -> Array:
        half = config.head_width // 2
        turned = head.copy()
        for i in range(half):
            angle = position * config.rope_theta ** (-2 * i / config.head_width)
            turned[i] = head[i] * np.cos(angle) - head[i + half] * np.sin(angle)
            turned[i + half] = head[i + half] * np.cos(angle) + head[i] * np.sin(angle)
        return turned

    x = norm(weights["embed.weight"][ids], "embed_norm.weight")
    for layer in range(config.num_layers):
        prefix = f"blocks.{layer}."
        fused = norm(x, prefix + "attention_norm.weight") @ weights[prefix + "attention.qkv.weight"].T
        heads = fused.reshape(len(ids), -1, config.head_width)
        group = config.num_heads // config.num_kv_heads
        mixed = np.zeros((len(ids), config.num_heads, config.head_width))
        for position in range(len(ids)):
            for head in range(config.num_heads):
                key_head = config.num_heads + head // group
                query = turn(norm(heads[position, head], prefix + "attention.query_norm.weight"), position)
                keys = [
                    turn(norm(heads[p, key_head], prefix + "attention.key_norm.weight"), p) for p in range(position + 1)
                ]
                fits = np.array([query @ key / np.sqrt(config.head_width) for key in keys])
                shares = np.exp(fits - fits.max()) / np.exp(fits - fits.max()).sum()
                mixed[position, head] = shares @ heads[: position + 1, key_head + config.num_kv_heads]
        x = x + mixed.reshape(len(ids), -1) @ weights[prefix + "attention.out.weight"].T
        hidden = norm(x, prefix + "mlp_norm.weight") @ weights[prefix + "mlp.up.weight"].T
        x = x + np.maximum(hidden, 0) ** 2 @ weights[prefix + "mlp.down.weight"].T
    logits = norm(x, "final_norm.weight") @ weights["embed.weight"].T
    capped: Array = config.logit_cap * np.tanh(logits / config.logit_cap)
    return capped


def test_decoder_equals_the_reference() -> None:
    net = tiny_decoder(VOCAB)
    ids = torch.randint(VOCAB, (2, 13), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        ours = net(ids).double().numpy()
    for row in range(2):
        np.testing.assert_allclose(ours[row], reference_logits(net, ids[row].tolist()), atol=1e-4, rtol=0)


KINDS: dict[str, dict[str, Any]] = {
    "gpt2": {
        "norm": "layer",
        "position": "learned",
        "activation": "gelu_tanh",
        "qk_norm": "none",
        "has_qkv_bias": True,
        "has_out_bias": True,
        "has_mlp_bias": True,
        "has_embed_norm": False,
        "logit_cap": 0.0,
    },
    "llama": {
        "activation": "swiglu",
        "qk_norm": "none",
        "has_embed_norm": False,
        "logit_cap": 0.0,
        "is_tied": False,
        "rope_scaling": RopeScaling(8.0, 1.0, 4.0, 16),
    },
    "nanochat": {"qk_norm": "after_rope_free", "value_embed_layers": (1,), "is_tied": False},
}


def decoder_of(kind: str) -> Decoder:
    """A random net with the flags of a kind."""
    sizes: dict[str, Any] = {
        "width": 32,
        "num_layers": 2,
        "num_heads": 4,
        "num_kv_heads": 2,
        "head_width": 6,
        "mlp_width": 40,
    }
    net = Decoder(DecoderConfig(VOCAB, 24, **sizes, **KINDS[kind]))
    generator = torch.Generator().manual_seed(0)
    net.init_weights(generator)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return net.eval()


def test_value_embeddings_are_added_to_the_values_of_their_layers_alone() -> None:
    net = decoder_of("nanochat")
    first, second = (block.attention for block in net.blocks)
    assert isinstance(first, CausalAttention)
    assert isinstance(second, CausalAttention)
    assert not hasattr(first, "value_embed")
    x, ids = torch.randn(1, 3, 32), torch.tensor([[4, 9, 4]])
    with torch.no_grad():
        _, _, values = second.project(x, None, ids)
        table = second.value_embed.weight.clone()
        second.value_embed.weight.zero_()
        _, _, without = second.project(x, None, ids)
    added = (values - without).transpose(1, 2).flatten(2)[0]  # (3, num_kv_heads * head_width)
    torch.testing.assert_close(added, second.value_scale.detach() * table[ids[0]])


def test_free_query_norms_follow_the_rotation_and_have_no_weights() -> None:
    net = decoder_of("nanochat")
    attention = net.blocks[0].attention
    assert isinstance(attention, CausalAttention)
    with torch.no_grad():
        queries, keys, _ = attention.project(
            torch.randn(1, 5, 32), net.angles(torch.arange(5)), torch.zeros(1, 5, dtype=torch.long)
        )
    for heads in (queries, keys):
        torch.testing.assert_close(heads.square().mean(-1), torch.ones(heads.shape[:-1]), atol=1e-4, rtol=0)
    assert not any("query_norm" in name for name in net.state_dict())


def test_scaled_frequencies_keep_fast_turns_and_stretch_slow_ones() -> None:
    scaling = RopeScaling(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_context_tokens=8192)
    plain = rotary_frequencies(128, 500_000.0)
    scaled = rotary_frequencies(128, 500_000.0, scaling)
    wavelengths = 2 * np.pi / plain
    assert torch.equal(scaled[wavelengths < 8192 / 4], plain[wavelengths < 8192 / 4])
    torch.testing.assert_close(scaled[wavelengths > 8192], plain[wavelengths > 8192] / 8)
    between = (wavelengths > 8192 / 4) & (wavelengths < 8192)
    assert 0 < between.sum() < 64
    share = (8192 / wavelengths[between] - 1) / 3
    torch.testing.assert_close(scaled[between], (1 - share) * plain[between] / 8 + share * plain[between])


def test_configs_come_back_from_json() -> None:
    for kind in KINDS:
        config = decoder_of(kind).config
        assert DecoderConfig.from_dict(json.loads(json.dumps(asdict(config)))) == config


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"norm": "batch"}, r"norm must be one of \('rms', 'layer'\), got 'batch'"),
        ({"widht": 3}, r"unknown keys \['widht'\]"),
        ({"rope_scaling": {"factor": 2.0}}, "low_freq_factor"),
        ({"rope_scaling": {"factor": 0.0} | dict.fromkeys(("low_freq_factor", "high_freq_factor"), 1.0)}, "missing"),
        ({"value_embed_layers": [2]}, r"value_embed_layers must be 0\.\.1, got \(2,\)"),
        ({"rope_theta": float("inf")}, "rope_theta must be above 0, got inf"),
        ({"logit_cap": -1.0}, "logit_cap must be at least 0"),
    ],
)
def test_configs_that_are_wrong_are_refused(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        DecoderConfig.from_dict(asdict(tiny_decoder(VOCAB).config) | change)
    lacking = asdict(tiny_decoder(VOCAB).config)
    del lacking["width"]
    with pytest.raises(ValueError, match="width"):
        DecoderConfig.from_dict(lacking)


def test_one_batch_overfits() -> None:
    torch.manual_seed(0)
    net = Decoder(
        DecoderConfig(30, 16, width=32, num_layers=2, num_heads=2, num_kv_heads=2, head_width=16, mlp_width=64)
    )
    net.init_weights(torch.Generator().manual_seed(0))
    ids = torch.randint(30, (4, 13))
    optimiser = torch.optim.AdamW(net.parameters(), lr=0.01)
    for _ in range(120):
        loss = F.cross_entropy(net(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
    assert loss.item() < 0.1


def test_more_tokens_than_the_context_are_refused() -> None:
    net = tiny_decoder(VOCAB, context_tokens=8)
    with pytest.raises(ValueError, match="at most 8 tokens fit, got 9"):
        net(torch.zeros(1, 9, dtype=torch.long))


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="num_kv_heads must divide num_heads 4, got 3"):
        DecoderConfig(10, 8, width=8, num_layers=1, num_heads=4, num_kv_heads=3, head_width=2, mlp_width=8)
    with pytest.raises(ValueError, match="num_layers must be at least 1, got 0"):
        DecoderConfig(10, 8, width=8, num_layers=0, num_heads=4, num_kv_heads=4, head_width=2, mlp_width=8)
    with pytest.raises(ValueError, match="head_width must be even, got 3"):
        Decoder(DecoderConfig(10, 8, width=8, num_layers=1, num_heads=1, num_kv_heads=1, head_width=3, mlp_width=8))
