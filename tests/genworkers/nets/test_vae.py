"""Drift: places and pictures, the text prior, the map and the scale of strangeness."""

import pytest
import torch
import torch.nn.functional as F

from genworkers.nets.vae import DriftConfig, DriftPlaces, DriftVae, divergence, sample

TINY = DriftConfig(widths=(16, 16), latent_width=12, num_styles=2, sentence_width=10, prior_width=16)


def test_a_place_and_a_picture_have_their_shapes_at_every_size() -> None:
    for channels, widths in ((4, (16, 24)), (1, (8, 16, 16, 24))):
        net = DriftVae(DriftConfig(channels, widths, latent_width=6, num_styles=2, sentence_width=10, prior_width=16))
        px = net.config.picture_px
        mean, log_variance = net.encode(torch.randn(3, channels, px, px))
        assert mean.shape == log_variance.shape == (3, 6)
        assert net.decode(mean).shape == (3, channels, px, px)
        assert net.prior(torch.zeros(3, 10), torch.eye(2)[[0, 1, 0]])[0].shape == (3, 6)


@pytest.mark.slow
def test_one_batch_overfits() -> None:
    torch.manual_seed(0)
    net = DriftVae(TINY)
    target = torch.rand(4, 4, 8, 8) * 1.6 - 0.8
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(200):
        loss = F.l1_loss(net.decode(net.encode(target)[0]), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.08


def test_the_prior_learns_where_a_sentence_lies() -> None:
    torch.manual_seed(0)
    net, sentence, style, wanted = DriftVae(TINY), torch.randn(4, 10), torch.eye(2)[[0, 1, 0, 1]], torch.randn(4, 12)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(150):
        mean, log_variance = net.prior(sentence, style)
        loss = (0.5 * ((wanted - mean).square() / log_variance.exp() + log_variance)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float((net.prior(sentence, style)[0].detach() - wanted).abs().mean()) < 0.1


def test_divergence_is_zero_only_at_the_unit_gaussian_and_noise_picks_the_place() -> None:
    zeros = torch.zeros(2, 5)
    torch.testing.assert_close(divergence(zeros, zeros), zeros)
    assert bool((divergence(zeros + 0.1, zeros - 0.3) > 0).all())
    torch.testing.assert_close(sample(zeros + 2.0, zeros, torch.ones(2, 5)), zeros + 3.0)


def test_what_was_never_seen_is_stranger() -> None:
    torch.manual_seed(0)
    net, known = DriftVae(TINY), torch.full((4, 4, 8, 8), 0.5)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(40):
        mean, log_variance = net.encode(known)
        loss = F.mse_loss(net.decode(mean), known) + 0.01 * divergence(mean, log_variance).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.inference_mode():
        usual, strange = net.strangeness(known[:1], 0.1), net.strangeness(-known[:1], 0.1)
    assert usual.shape == (1,)
    assert float(strange[0]) > 5 * float(usual[0])


def places_with(side: int) -> DriftPlaces:
    places = DriftPlaces(6, map_side=side, num_directions=2, channels=4)
    places.anchors.copy_(torch.randn(side, side, 6, generator=torch.Generator().manual_seed(0)))
    return places


def test_the_middle_of_a_tile_is_its_anchor_and_edges_hold() -> None:
    places = places_with(3)
    points = torch.tensor([[0.5 / 3, 0.5 / 3], [2.5 / 3, 0.5 / 3], [1.5 / 3, 2.5 / 3], [0.0, 0.0], [1.0, 1.0]])
    found = places.map_point(points)
    wanted = torch.stack([places.anchors[0, 0], places.anchors[0, 2], places.anchors[2, 1]])
    torch.testing.assert_close(found[:3], wanted)
    torch.testing.assert_close(found[3:], torch.stack([places.anchors[0, 0], places.anchors[2, 2]]))
    torch.testing.assert_close(places_with(1).map_point(points), places_with(1).anchors[0].expand(5, 6))


def test_the_map_has_no_jumps_and_keeps_its_length() -> None:
    places = places_with(4)
    line = torch.stack([torch.linspace(0, 1, 400), torch.full((400,), 0.4)], dim=1)
    found = places.map_point(line)
    assert float((found[1:] - found[:-1]).norm(dim=-1).max()) < 0.2
    assert float(found.norm(dim=-1).min()) >= float(places.anchors.norm(dim=-1).min()) - 1e-4


def test_percentiles_run_from_nothing_to_all() -> None:
    places = DriftPlaces(6, map_side=2, num_directions=0, channels=4)
    places.strangeness_quantiles.copy_(torch.linspace(10, 110, 101))
    torch.testing.assert_close(
        places.percentile(torch.tensor([0.0, 59.5, 1e9])), torch.tensor([0.0, 0.5, 1.0]), atol=1e-6, rtol=0
    )
