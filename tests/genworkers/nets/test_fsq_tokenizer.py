"""The quantiser's codes, and the tokenizer around it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genworkers.nets.fsq_tokenizer import FiniteScalarQuantiser, FsqTokenizer
from tests.genworkers.tiny_mosaic import TOKENIZER_CONFIG

LEVELS = st.lists(st.integers(2, 9), min_size=1, max_size=4).map(tuple)


@given(LEVELS)
@settings(max_examples=30, deadline=None)
def test_every_code_has_its_own_values_and_comes_back(levels: tuple[int, ...]) -> None:
    quantiser = FiniteScalarQuantiser(levels)
    codes = torch.arange(quantiser.num_codes)
    values = quantiser.codes_to_values(codes)
    assert len(values.unique(dim=0)) == quantiser.num_codes
    assert values.abs().max() < 1
    latent = torch.logit((values + 1) / 2) / 1.6  # the inverse of the bound
    quantised, found = quantiser(latent)
    assert torch.equal(found, codes)
    torch.testing.assert_close(quantised, values)


@given(LEVELS, st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_quantising_moves_a_bounded_latent_by_at_most_half_a_bin(levels: tuple[int, ...], seed: int) -> None:
    quantiser = FiniteScalarQuantiser(levels)
    latent = torch.randn(64, len(levels), generator=torch.Generator().manual_seed(seed)) * 3
    quantised, codes = quantiser(latent)
    bounded = 2 * torch.sigmoid(1.6 * latent) - 1
    assert bool(((quantised - bounded).abs() <= 1 / torch.tensor(levels) + 1e-5).all())
    assert torch.equal(quantiser.codes_to_values(codes), quantised.detach().round(decimals=6)) or torch.allclose(
        quantiser.codes_to_values(codes), quantised, atol=1e-6
    )


def test_extreme_latents_stay_in_the_vocabulary() -> None:
    quantiser = FiniteScalarQuantiser((8, 5))
    _, codes = quantiser(torch.tensor([[1e9, 1e9], [-1e9, -1e9]]))
    assert codes.tolist() == [39, 0]


def test_the_gradient_passes_the_rounding() -> None:
    latent = torch.zeros(1, 2, requires_grad=True)
    quantised, _ = FiniteScalarQuantiser((8, 5))(latent)
    quantised.sum().backward()
    assert latent.grad is not None
    assert bool((latent.grad > 0).all())


def test_one_level_is_refused() -> None:
    with pytest.raises(ValueError, match="2 or more"):
        FiniteScalarQuantiser((8, 1))


def test_shapes_and_light() -> None:
    torch.manual_seed(0)
    net = FsqTokenizer(TOKENIZER_CONFIG)
    codes = net.encode(torch.rand(2, 4, 64, 64))
    assert codes.shape == (2, 64)
    painted = net.decode(codes)
    assert painted.shape == (2, 4, 128, 128)
    assert bool((painted[:, :3] <= painted[:, 3:]).all())
    assert bool(((painted >= 0) & (painted <= 1)).all())


@pytest.mark.slow
def test_one_batch_overfits() -> None:
    torch.manual_seed(0)
    net = FsqTokenizer(TOKENIZER_CONFIG)
    small = torch.zeros(2, 4, 64, 64)
    small[0, :, 16:48, 16:48] = 1.0
    small[1, 1::2, :, :32] = 1.0
    large = small.repeat_interleave(2, -1).repeat_interleave(2, -2)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
    losses = []
    for _ in range(60):
        painted, _ = net(small)
        loss = (painted - large).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.4 * losses[0]


def test_latents_snapped_to_their_levels_are_the_codes() -> None:
    torch.manual_seed(0)
    net = FsqTokenizer(TOKENIZER_CONFIG).eval()
    pictures = torch.rand(2, 4, 64, 64)
    with torch.inference_mode():
        latents = net.encode_latents(pictures)
        snapped = net.quantiser.snap(latents.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        torch.testing.assert_close(net.decode_latents(snapped), net.decode(net.encode(pictures)))
    assert latents.shape == snapped.shape
