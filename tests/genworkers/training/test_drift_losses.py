"""Drift's losses against what they are in closed form."""

import math

import torch

from genworkers.training.drift_losses import calibrated_error, information_cost, prior_error


def test_free_nats_are_a_floor_for_every_dimension() -> None:
    mean, log_variance = torch.zeros(4, 3), torch.zeros(4, 3)
    mean[:, 0] = 2.0
    torch.testing.assert_close(information_cost(mean, log_variance, 0.0), torch.tensor(2.0))
    torch.testing.assert_close(information_cost(mean, log_variance, 0.5), torch.tensor(3.0))


def test_halving_the_error_is_worth_the_same_at_every_size() -> None:
    target = torch.zeros(2, 3, 2, 2)
    gains = [
        float(calibrated_error(target + error, target) - calibrated_error(target + error / 2, target))
        for error in (1.0, 0.1)
    ]
    assert all(abs(gain - 12 * math.log(2)) < 1e-4 for gain in gains)


def test_the_prior_is_best_where_the_places_are() -> None:
    places = torch.randn(4000, 2, generator=torch.Generator().manual_seed(0)) * 0.5 + 1.0
    right = prior_error(torch.ones(2), torch.full((2,), 2 * math.log(0.5)), places)
    assert all(
        float(right) < float(prior_error(torch.full((2,), mean), torch.full((2,), log_variance), places))
        for mean, log_variance in ((0.0, -1.4), (1.0, 0.0), (1.0, -3.0))
    )
